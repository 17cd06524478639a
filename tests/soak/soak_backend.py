"""The backend of the soak test, a process of its own so that it can be killed: soak_backend.py PORT.

    /small/N           "small N"
    /echo              the body that came
    /body/KEY/BYTES    the body KEY of bodies.py
    /upload            {"bytes": how many came, "sha256": of what}
    /ticks/N/MS        N server-sent events, so many milliseconds apart
    /ws                echoes WebSocket messages (streaming_backend.py)

It prints "ready" when it listens, and ends when its standard input does."""

import asyncio
import hashlib
import logging
import pathlib
import sys

from aiohttp import web

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from bodies import pieces  # noqa: E402
from streaming_backend import StreamingBackend  # noqa: E402


class SoakBackend(StreamingBackend):
    def _routes(self):
        return [web.get("/small/{n}", self._small), web.post("/echo", self._echo), web.get("/ws", self._ws),
                web.get("/body/{key}/{size}", self._body), web.post("/upload", self._digest),
                web.get("/ticks/{count}/{ms}", self._ticks)]

    async def _small(self, request):
        return web.Response(text="small " + request.match_info["n"])

    async def _echo(self, request):
        return web.Response(body=await request.read())

    async def _body(self, request):
        key, size = int(request.match_info["key"]), int(request.match_info["size"])
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        for part in pieces(key, size):
            await response.write(part)
        return response

    async def _digest(self, request):
        count, sha256 = 0, hashlib.sha256()
        async for part in request.content.iter_any():
            count += len(part)
            sha256.update(part)
        return web.json_response({"bytes": count, "sha256": sha256.hexdigest()})

    async def _ticks(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(int(request.match_info["count"])):
            await response.write(b"data: %d\n\n" % number)
            await asyncio.sleep(int(request.match_info["ms"]) / 1000)
        return response


def is_news(entry):
    """Visitors who leave are what this load is made of; any other exception is told."""
    return not (entry.exc_info and isinstance(entry.exc_info[1], ConnectionError))


if __name__ == "__main__":
    logging.getLogger("aiohttp.server").addFilter(is_news)
    SoakBackend(port=int(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.read()

"""A backend as web sites are: files with tags and ranges, forms, events, WebSocket. Handlers run on one background loop."""

import asyncio
import hashlib
import json
import threading

from aiohttp import web

from streaming_backend import _loop, echo_websocket, run


class SiteBackend:
    """Paths:

    /files/NAME     files of the folder, with ETag, Last-Modified and ranges
    /digest         {"bytes", "sha256", "version", "expect"} of the body it was sent
    /echo           the body as it comes, piece by piece
    /form           {field: size} of a multipart form
    /pieces/ID      "first\\n" at once, "second\\n" after a request to /go/ID
    /events         three events with ids, from the one behind Last-Event-ID on, then it closes
    /ws             echoes; takes the subprotocol "echo"; closes with 4001 "as asked" on the text "close"
    /trailers       "one" and the trailer X-Sum: 1
    /found          keeps what a client posts, for found()
    anything        "ok" and the method"""

    def __init__(self, folder):
        self.folder = folder
        self._found, self._arrived, self._going = None, threading.Event(), {}
        run(self._start())

    async def _start(self):
        app = web.Application(client_max_size=1 << 40)
        app.add_routes([*self._routes(), web.route("*", "/{rest:.*}", self._ok)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1, backlog=1024)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    def _routes(self):
        return [web.static("/files", self.folder), web.post("/digest", self._digest),
                web.put("/digest", self._digest), web.post("/echo", self._echo), web.post("/form", self._form),
                web.get("/pieces/{id}", self._pieces), web.post("/go/{id}", self._go),
                web.get("/events", self._events), web.get("/ws", echo_websocket), web.post("/found", self._keep),
                web.get("/trailers", self._trailers)]

    def stop(self):
        run(self._runner.cleanup())

    def found(self, timeout=60):
        """What a client has posted to /found, as soon as it has."""
        assert self._arrived.wait(timeout), "nothing was posted to /found"
        return self._found

    async def _ok(self, request):
        return web.Response(text=f"ok {request.method}")

    async def _digest(self, request):
        digest, size = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            digest.update(piece)
            size += len(piece)
        return web.json_response({"bytes": size, "sha256": digest.hexdigest(),
                                  "chunked": "Transfer-Encoding" in request.headers})

    async def _echo(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    async def _form(self, request):
        form = await request.post()
        return web.json_response({name: len(value.file.read() if hasattr(value, "file") else value)
                                  for name, value in form.items()})

    def _gate(self, request):
        return self._going.setdefault(request.match_info["id"], asyncio.Event())

    async def _pieces(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"first\n")
        await asyncio.wait_for(self._gate(request).wait(), 30)
        await response.write(b"second\n")
        return response

    async def _go(self, request):
        self._gate(request).set()
        return web.Response(status=204)

    async def _events(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        last = int(request.headers.get("Last-Event-ID", 0))
        for number in range(last + 1, last + 4):
            await response.write(f"id: {number}\nretry: 10\ndata: event {number}\n\n".encode())
        return response

    async def _trailers(self, request):
        # The library writes none itself.
        request.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n")
        request.transport.close()
        raise asyncio.CancelledError

    async def _keep(self, request):
        self._found = json.loads(await request.text())
        self._arrived.set()
        return web.Response(status=204)

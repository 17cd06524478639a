"""A backend for pages in a browser: a site whose streams go on as the page says, and that notices who leaves."""

import asyncio
import hashlib
import struct
import threading
import time

from aiohttp import WSMsgType, web

from site_backend import SiteBackend
from streaming_backend import PIECE, run

LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 60


class BrowserBackend(SiteBackend):
    """Besides the paths of SiteBackend:

    /turns/ID             an event stream: the next event only after a POST to /turn/ID; ten, then "over"
    /gather/ID            takes a body; /gathered/ID/N answers as soon as N bytes of it have come
    /redirect/N           N redirects to absolute URLs, as the fields of the request name us, then /landed
    /seen/STATUS          a redirect of that status to /digest
    /attachment/MIB       so many MiB to be saved; digests[MIB] is their SHA-256
    /stay/KIND            an answer without an end: "events", "body" and "socket"; `left` tells who has gone, and when
    /cookies              sets two of them; /cookie says which came"""

    def __init__(self, folder):
        self._turns, self._gathered, self._more = {}, {}, None
        self.digests, self.staying, self.left, self._changed = {}, [], {}, threading.Condition()
        super().__init__(folder)

    def _routes(self):
        return [*super()._routes(), web.get("/turns/{id}", self._take_turns), web.post("/turn/{id}", self._turn),
                web.post("/gather/{id}", self._gather), web.get("/gathered/{id}/{count}", self._has_gathered),
                web.get("/redirect/{count}", self._redirect), web.post("/seen/{status}", self._see),
                web.get("/attachment/{mib}", self._attach), web.get("/stay/{kind}", self._stay),
                web.get("/cookies", self._set_cookies), web.get("/cookie", self._cookie)]

    def wait_for(self, condition, what, timeout=10):
        """Until it holds of `staying` and `left`."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"{what}: {self.staying} stay, {self.left} have left"

    # ---- One thing after the other ----

    def _turns_of(self, request):
        return self._turns.setdefault(request.match_info["id"], asyncio.Queue())

    async def _take_turns(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(10):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.wait_for(self._turns_of(request).get(), PATIENCE_SECONDS)
        await response.write(b"event: over\ndata: over\n\n")
        return response

    async def _turn(self, request):
        self._turns_of(request).put_nowait(None)
        return web.Response(status=204)

    async def _gather(self, request):
        count, pieces = 0, 0
        async for piece in request.content.iter_any():
            count, pieces = count + len(piece), pieces + 1
            self._gathered[request.match_info["id"]] = count
            self._more.set()
            self._more = asyncio.Event()
        return web.json_response({"bytes": count, "pieces": pieces})

    async def _has_gathered(self, request):
        wanted, name = int(request.match_info["count"]), request.match_info["id"]
        while self._gathered.get(name, 0) < wanted:
            await asyncio.wait_for(self._more.wait(), PATIENCE_SECONDS)
        return web.Response(status=204)

    async def _start(self):
        self._more = asyncio.Event()
        await super()._start()

    # ---- Elsewhere ----

    async def _redirect(self, request):
        """As frameworks do it behind a proxy."""
        count = int(request.match_info["count"])
        base = f"{request.headers['X-Forwarded-Proto']}://{request.headers['X-Forwarded-Host']}"
        return web.Response(status=302, headers={"Location": base + (f"/redirect/{count - 1}" if count else "/landed")})

    async def _see(self, request):
        return web.Response(status=int(request.match_info["status"]), headers={"Location": "/digest"})

    async def _set_cookies(self, request):
        response = web.Response(text="set")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2", httponly=True)
        return response

    async def _cookie(self, request):
        return web.json_response(dict(request.cookies))

    async def _attach(self, request):
        mib, digest = int(request.match_info["mib"]), hashlib.sha256()
        response = web.StreamResponse(headers={
            "Content-Length": str(mib << 20), "Content-Type": "application/octet-stream",
            "Content-Disposition": 'attachment; filename="large.bin"'})
        await response.prepare(request)
        for number in range((mib << 20) // len(PIECE)):
            piece = struct.pack(">Q", number) + PIECE[8:]
            digest.update(piece)
            await response.write(piece)
        self.digests[mib] = digest.hexdigest()
        return response

    # ---- Who stays, and who leaves ----

    async def _stay(self, request):
        kind = request.match_info["kind"]
        if kind == "socket":
            response = web.WebSocketResponse()
            await response.prepare(request)
            await response.send_str("begun")
        else:
            response = web.StreamResponse(headers={
                "Content-Type": "text/event-stream" if kind == "events" else "text/plain"})
            await response.prepare(request)
            await response.write(b"data: begun\n\n")
        self._note(lambda: self.staying.append(kind))
        if kind == "socket":
            while (await response.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                pass
        while kind != "socket" and request.transport is not None:  # The library tells nobody who does not write.
            await asyncio.sleep(LOOK_SECONDS)
        self._note(lambda: (self.staying.remove(kind), self.left.setdefault(kind, time.monotonic())))
        return response

    def _note(self, change):
        with self._changed:
            change()
            self._changed.notify_all()

    def forget(self):
        """Who has left."""
        self._note(self.left.clear)

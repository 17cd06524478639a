"""A backend that streams: WebSocket, server-sent events, bodies of any size. Handlers run on one background loop."""

import asyncio
import threading
import time

from aiohttp import WSMsgType, web

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()

PIECE = bytes(range(256)) * 256  # 64 KiB


def run(coroutine, timeout=60):
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result(timeout)


async def echo_websocket(request):
    """Echoes; takes the subprotocol "echo"; closes with 4001 "as asked" on the text "close"."""
    socket = web.WebSocketResponse(protocols=["echo"], max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT and message.data == "close":
            await socket.close(code=4001, message=b"as asked")
        elif message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


class StreamingBackend:
    """Paths:

    /ws             echoes; takes the subprotocol "echo"; closes with 4001 "as asked" on the text "close"
    /refused        403 to whoever asks for a WebSocket
    /events         an event stream: one for each emit()
    /download/N     N MiB; .cancelled is set when the reader leaves
    /upload         counts what comes into .uploaded, answers the sum; /upload/held waits for go() first
    /trailers       a chunked answer with a trailer"""

    def __init__(self, unix=None, port=0):
        self._unix, self._port = unix, port
        self.uploaded, self.cancelled, self.arrived = 0, threading.Event(), threading.Event()
        self._events, self._go = asyncio.Queue(), asyncio.Event()
        run(self._start())

    async def _start(self):
        app = web.Application(client_max_size=1 << 40)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        if self._unix:
            await web.UnixSite(self._runner, str(self._unix), shutdown_timeout=0.1).start()
            self.url = f"unix:{self._unix}"
            return
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, shutdown_timeout=0.1)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    def _routes(self):
        return [web.get("/ws", self._ws), web.get("/refused", self._refused), web.get("/events", self._sse),
                web.get("/download/{mib}", self._download), web.post("/upload", self._upload),
                web.post("/upload/held", self._upload), web.get("/", self._ok)]

    def stop(self):
        run(self._runner.cleanup())

    def emit(self, text):
        _loop.call_soon_threadsafe(self._events.put_nowait, text)

    def slowest_event(self, receive):
        """Of 50 events to a visitor of /events, each sent when the one before has come: what the slowest took, in seconds.
        `receive(event)` waits for these bytes."""
        seconds = []
        for number in range(50):
            sent_at = time.monotonic()
            self.emit(f"{number}")
            receive(b"data: %d\n\n" % number)
            seconds.append(time.monotonic() - sent_at)
        return max(seconds)

    def go(self):
        _loop.call_soon_threadsafe(self._go.set)

    async def _ok(self, _):
        return web.Response(text="ok")

    async def _refused(self, _):
        return web.Response(status=403, text="not here")

    async def _ws(self, request):
        socket = await echo_websocket(request)
        self.cancelled.set()
        return socket

    async def _sse(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while (text := await self._events.get()) is not None:
            await response.write(f"data: {text}\n\n".encode())
        return response

    async def _download(self, request):
        size = int(request.match_info["mib"]) << 20
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        try:
            await response.prepare(request)
            for _ in range(0, size, len(PIECE)):
                await response.write(PIECE)
        except (ConnectionError, asyncio.CancelledError):
            self.cancelled.set()
            raise
        return response

    async def _upload(self, request):
        self.uploaded = 0
        self.arrived.set()
        if request.path.endswith("held"):
            await self._go.wait()
        try:
            async for piece in request.content.iter_any():
                self.uploaded += len(piece)
        except (ConnectionError, asyncio.CancelledError, web.HTTPException):
            self.cancelled.set()
            raise
        return web.json_response({"bytes": self.uploaded})

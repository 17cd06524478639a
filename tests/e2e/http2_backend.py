"""A backend that speaks HTTP/2 with prior knowledge, by the library h2. Runs on one background loop."""

import asyncio
import hashlib
import json
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from programs import lasting_port
from streaming_backend import PIECE, _loop, run


class Http2Backend:
    """Paths:

    /               "ok"
    /fields         JSON of the request's fields, pseudo-header fields among them
    /upload         counts and digests what comes; {"bytes", "sha256", "trailers"}; /upload/held reads nothing until go()
    /download/N     N MiB
    /trailers       a body and the trailer grpc-status: 0;   /trailers-only  grpc-status: 12 in the head, no body
    /trailers/empty content-length: 0 and the trailer grpc-status: 0
    /hold           nothing: `arrived` is set;   /half  a head and half a body, then nothing
    /early          103 with a link, then 200
    /ws             sends back what comes, until its end (extended CONNECT)

    `resets` are the codes of streams that the peer reset, `connections` those that are open. Unless it `grows_window`, a
    connection's window is the 65535 bytes of all its bodies together that are the protocol's default."""

    def __init__(self, connect_protocol=True, streams_max=100, grows_window=True):
        self.connect_protocol, self.streams_max, self.grows_window = connect_protocol, streams_max, grows_window
        self.connections, self.accepted, self.resets = set(), 0, []
        self.arrived, self.reset, self.held = threading.Event(), threading.Event(), False
        self.uploaded, self.port, self._server = 0, lasting_port(), None
        self.start()
        self.url = f"h2c://127.0.0.1:{self.port}"

    def start(self):
        async def listen():
            self._server = await _loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)

        run(listen())

    def kill(self):
        """As kill -9 would: nobody listens, and all connections end without a word."""
        async def end():
            if self._server:
                self._server.close()
            for connection in list(self.connections):
                connection.transport.abort()

        run(end())

    stop = kill

    def goaway(self):
        """Says on all connections that no more is taken; what was begun is finished."""
        async def say():
            for connection in list(self.connections):
                # close_connection() would also end what was begun, in the library's eyes.
                frame = b"\0\0\x08\x07\0\0\0\0\0" + connection.last_stream.to_bytes(4, "big") + bytes(4)
                connection.transport.write(frame)

        run(say())

    def go(self):
        async def release():
            self.held = False
            for connection in list(self.connections):
                connection.consume_all()

        run(release())

    def finish_half(self):
        """Ends the answers of /half."""
        async def end():
            for connection in list(self.connections):
                for stream in connection.halves:
                    connection.send(stream, b"half", end=True)
                connection.halves.clear()

        run(end())


class _Connection(asyncio.Protocol):
    def __init__(self, backend):
        self.backend = backend
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests, self.waiting, self.halves, self.last_stream = {}, {}, [], 0
        self.writable = True

    def connection_made(self, transport):
        self.transport = transport
        self.backend.connections.add(self)
        self.backend.accepted += 1
        codes = h2.settings.SettingCodes
        values = {codes.INITIAL_WINDOW_SIZE: 1 << 20, codes.MAX_CONCURRENT_STREAMS: self.backend.streams_max}
        if self.backend.connect_protocol:
            values[codes.ENABLE_CONNECT_PROTOCOL] = 1
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.h2.initiate_connection()
        if self.backend.grows_window:
            self.h2.increment_flow_control_window(1 << 26)
        self.flush()

    def connection_lost(self, _):
        self.backend.connections.discard(self)

    def pause_writing(self):
        self.writable = False

    def resume_writing(self):
        self.writable = True
        self.send_waiting()

    def flush(self):
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.last_stream = event.stream_id
                self.begin(event.stream_id, event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.on_body(event)
            elif isinstance(event, h2.events.TrailersReceived):
                self.requests[event.stream_id]["trailers"] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                self.on_end(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.waiting.pop(event.stream_id, None)
                self.requests.pop(event.stream_id, None)
                self.backend.resets.append(event.error_code)
                self.backend.reset.set()
        self.send_waiting()
        self.flush()

    # ---- Requests ----

    def begin(self, stream, fields):
        path = dict(fields)[":path"]
        self.requests[stream] = {"path": path, "bytes": 0, "sha": hashlib.sha256(), "unconsumed": 0, "trailers": {}}
        if path == "/":
            self.answer(stream, b"ok")
        elif path == "/fields":
            self.answer(stream, json.dumps(fields).encode())
        elif path.startswith("/download/"):
            mib = int(path.rsplit("/", 1)[1])
            self.head(stream, [("content-length", str(mib << 20))])
            self.send(stream, PIECE, end=True, times=mib * 16)
        elif path == "/trailers":
            self.head(stream, [("content-type", "application/grpc")])
            self.send(stream, b"message", end=True, trailers=[("grpc-status", "0"), ("ee-forged", "1")])
        elif path == "/trailers/empty":
            self.head(stream, [("content-length", "0")])
            self.send(stream, b"", end=True, trailers=[("grpc-status", "0")])
        elif path == "/trailers-only":
            self.head(stream, [("grpc-status", "12")], end=True)
        elif path == "/early":
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</style.css>")])
            self.answer(stream, b"late")
        elif path == "/half":
            self.head(stream, [("content-length", "8")])
            self.send(stream, b"half")
            self.halves.append(stream)
        elif path == "/ws":
            self.head(stream, [])
        elif path == "/upload/held":
            self.backend.held = True
        self.backend.arrived.set()

    def on_body(self, event):
        request = self.requests.get(event.stream_id)
        if request is None:
            return
        request["bytes"] += len(event.data)
        request["sha"].update(event.data)
        request["unconsumed"] += event.flow_controlled_length
        self.backend.uploaded = request["bytes"]
        if request["path"] == "/ws":
            self.send(event.stream_id, event.data)
        if not self.backend.held:
            self.consume(event.stream_id)

    def on_end(self, stream):
        request = self.requests.get(stream)
        if request and request["path"].startswith("/upload"):
            self.answer(stream, json.dumps({"bytes": request["bytes"], "sha256": request["sha"].hexdigest(),
                                            "trailers": request["trailers"]}).encode())
        elif request and request["path"] == "/ws":
            self.send(stream, b"", end=True)

    def consume(self, stream):
        size, self.requests[stream]["unconsumed"] = self.requests[stream]["unconsumed"], 0
        if size:
            self.h2.acknowledge_received_data(size, stream)

    def consume_all(self):
        for stream in self.requests:
            try:
                self.consume(stream)
            except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError):
                pass
        self.flush()

    # ---- Answers ----

    def head(self, stream, fields, end=False):
        self.h2.send_headers(stream, [(":status", "200"), *fields], end_stream=end)

    def answer(self, stream, body):
        self.head(stream, [("content-length", str(len(body)))])
        self.send(stream, body, end=True)

    def send(self, stream, data, end=False, trailers=None, times=1):
        queue = self.waiting.setdefault(stream, [])
        queue.extend([data] * times)
        if end:
            queue.append((trailers,))
        self.send_waiting()
        self.flush()

    def send_waiting(self):
        for stream in list(self.waiting):
            queue, at = self.waiting[stream], 0
            try:
                while at < len(queue) and self.writable:
                    item = queue[at]
                    if isinstance(item, tuple):
                        if item[0]:
                            self.h2.send_headers(stream, item[0], end_stream=True)
                        else:
                            self.h2.end_stream(stream)
                        at += 1
                        continue
                    size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(item))
                    if size == 0 and item:
                        break
                    self.h2.send_data(stream, item[:size])
                    self.flush()
                    if size < len(item):
                        queue[at] = item[size:]
                    else:
                        at += 1
            except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
                queue.clear()
            del queue[:at]
            if not queue:
                self.waiting.pop(stream, None)

"""HTTP/2 frame by frame: connections that may break every rule. Only the coding of fields is a library's (hpack)."""

import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4


class Answer:
    def __init__(self):
        self.status, self.fields, self.interim, self.body, self.trailers = None, [], [], b"", []
        self.ended, self.reset = False, None  # The error code of RST_STREAM.

    def field(self, name):
        return next((value for field, value in self.fields if field == name), None)


class Http2Connection:
    """A visitor's connection, its SETTINGS exchanged.

        with Http2Connection(port, host) as connection:
            stream = connection.request("GET", "/")
            answer = connection.wait(stream)          # until it ended or was reset"""

    def __init__(self, port, host, timeout=10, window=None, greet=True):
        self.host, self.timeout = host, timeout
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.answers, self.goaway, self.closed, self._buffer, self._next = {}, None, False, b"", 1
        self.peer_settings, self.window_updates = {}, {}
        self.consumes = True
        self._block = b""
        if greet:
            settings = b"" if window is None else struct.pack(">HI", 4, window)
            self.raw(PREFACE + self.frame(SETTINGS, 0, 0, settings))
            self.until(lambda: self.peer_settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # ---- Out ----

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def raw(self, data):
        self.socket.sendall(data)
        return self

    def send(self, kind, flags, stream, payload=b""):
        return self.raw(self.frame(kind, flags, stream, payload))

    def fields(self, method, path, extra=(), authority=None, scheme="http"):
        return [(":method", method), (":scheme", scheme), (":authority", authority or self.host), (":path", path),
                *extra]

    def headers(self, stream, fields, end=True):
        """A HEADERS frame of these fields, as they are: nothing is checked, nothing changed."""
        block = self.encoder.encode([hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields])
        return self.send(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)

    def next_stream(self):
        stream, self._next = self._next, self._next + 2
        self.answers[stream] = Answer()
        return stream

    def request(self, method, path, extra=(), body=None, end=True, **pseudo):
        """Begins a request; with a body, `end` says whether it is all of it."""
        stream = self.next_stream()
        self.headers(stream, self.fields(method, path, extra, **pseudo), end=end and body is None)
        if body is not None:
            self.data(stream, body, end)
        return stream

    def data(self, stream, body, end=False):
        pieces = [body[at:at + 16384] for at in range(0, len(body), 16384)] or [b""]
        for piece in pieces[:-1]:
            self.send(DATA, 0, stream, piece)
        return self.send(DATA, END_STREAM if end else 0, stream, pieces[-1])

    def cancel(self, stream):
        return self.send(RST_STREAM, 0, stream, struct.pack(">I", 8))

    # ---- In ----

    def _read_frame(self):
        while True:
            if len(self._buffer) >= 9:
                size = struct.unpack(">I", b"\0" + self._buffer[:3])[0]
                if len(self._buffer) >= 9 + size:
                    kind, flags = self._buffer[3], self._buffer[4]
                    stream = struct.unpack(">I", self._buffer[5:9])[0] & 0x7FFFFFFF
                    payload, self._buffer = self._buffer[9:9 + size], self._buffer[9 + size:]
                    return kind, flags, stream, payload
            try:
                chunk = self.socket.recv(262144)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self.closed = True
                return None
            self._buffer += chunk

    def step(self):
        """Takes one frame. False when the connection has ended."""
        frame = self._read_frame()
        if frame is None:
            return False
        kind, flags, stream, payload = frame
        answer = self.answers.setdefault(stream, Answer())
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at:at + 6])
                self.peer_settings[name] = value
            self.peer_settings.setdefault(0, 0)
            self.send(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.send(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            self.window_updates[stream] = self.window_updates.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == RST_STREAM:
            answer.reset = struct.unpack(">I", payload)[0]
        elif kind == DATA:
            answer.body += payload
            if self.consumes and payload:
                credit = struct.pack(">I", len(payload))
                self.raw(self.frame(WINDOW_UPDATE, 0, 0, credit) + self.frame(WINDOW_UPDATE, 0, stream, credit))
        elif kind in (HEADERS, CONTINUATION):
            self._block += payload
            if flags & END_HEADERS:
                self._take_fields(answer, self.decoder.decode(self._block))
                self._block = b""
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            answer.ended = True
        return True

    @staticmethod
    def _take_fields(answer, fields):
        fields = [tuple(field) for field in fields]
        if fields and fields[0][0] == ":status":
            status = int(fields[0][1])
            if status < 200:
                answer.interim.append(status)
            else:
                answer.status, answer.fields = status, fields[1:]
        else:
            answer.trailers = fields

    def until(self, condition):
        deadline = time.monotonic() + self.timeout
        while not condition():
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            if not self.step():
                return False
        return True

    def wait(self, stream):
        """The answer once it has ended, was reset, or the connection is gone."""
        answer = self.answers[stream]
        self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    def wait_closed(self):
        self.until(lambda: False)
        return self.goaway

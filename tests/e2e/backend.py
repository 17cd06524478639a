"""A small HTTP/1.1 backend whose paths are behaviours; what arrived is recorded byte by byte."""

import base64
import gzip
import json
import os
import socket
import threading
import time
import urllib.parse

from programs import lasting_port

MAX_HEAD = 128 * 1024


class Received:
    """One request as it arrived: method, target (raw), version, headers (list of pairs, names as sent), body."""

    def __init__(self, method, target, version, headers, body):
        self.method, self.target, self.version, self.headers, self.body = method, target, version, headers, body

    def header(self, name):
        """All values of a field, in order."""
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def as_json(self):
        return {"method": self.method, "path": self.target, "headers": self.headers,
                "body_b64": base64.b64encode(self.body).decode()}


class Hold:
    """A path whose answer waits: `/hold/NAME`. `arrived` is set when the request is there; release() lets it go."""

    def __init__(self):
        self.arrived, self._go = threading.Event(), threading.Event()

    def wait_arrived(self, timeout=10):
        assert self.arrived.wait(timeout), "the request did not reach the backend"

    def release(self):
        self._go.set()


def answer(status=200, headers=(), body=b"", reason="X"):
    """The bytes of a whole answer; Content-Length is added unless framing is among the headers."""
    if isinstance(body, str):
        body = body.encode()
    fields = list(headers)
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
        fields.append(("Content-Length", str(len(body))))
    head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return head.encode("latin-1") + body


class Backend:
    """Threaded; TCP on a lasting port of loopback, or a Unix socket. Paths:

    /anything            200, JSON of the request as it arrived: method, path, headers, body_b64 (also at /echo)
    /status/CODE         that status, body "status CODE"
    /chunked             three chunks: "one", "two", "three"
    /slow/SECONDS        answers after so long;   /hold/NAME  answers when hold(NAME).release() is called
    /gzip                gzip-coded "compressed" with Content-Encoding
    /cookies             two Set-Cookie fields
    /redirect            302 to /redirected on this host;  /redirect?to=URL
    /drop                closes without an answer;  /cut  promises 100 bytes, sends 10, closes
    /big/BYTES           so many bytes of a known pattern (pattern(n))
    /health              200 while .healthy, else 503
    on(path, function)   function(Received) -> bytes of an answer (see answer()), or None to close

    .requests: list of Received. stop() closes the port ("backend down"); start() opens the same one again."""

    def __init__(self, unix_path=None):
        self.unix_path, self.port = unix_path, None if unix_path else lasting_port()
        self.requests, self.healthy = [], True
        self.connections_accepted = 0
        self._holds, self._handlers, self._open, self._lock = {}, {}, set(), threading.Lock()
        self._listener = None
        self.start()

    @property
    def url(self):
        return f"unix:{self.unix_path}" if self.unix_path else f"http://127.0.0.1:{self.port}"

    def start(self):
        if self.unix_path:
            if os.path.exists(self.unix_path):
                os.unlink(self.unix_path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.unix_path))
        else:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
        listener.listen(256)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self):
        """Refuses connections from now on and cuts those that are open."""
        listener, self._listener = self._listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)  # Ends an accept() that waits.
            except OSError:
                pass
            listener.close()
        for hold in list(self._holds.values()):
            hold.release()
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self, name):
        with self._lock:
            return self._holds.setdefault(name, Hold())

    def on(self, path, function):
        self._handlers[path] = function

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    connection.close()
                    return
                self._open.add(connection)
                self.connections_accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if not self.unix_path:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = connection.makefile("rb", buffering=65536)
            while True:
                request = _read_request(reader)
                if request is None:
                    return
                self.requests.append(request)
                reply = self._answer(request)
                if reply is None:
                    return
                close = isinstance(reply, Cut)
                connection.sendall(reply)
                if close or "close" in (value.lower() for value in request.header("connection")):
                    return
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer(self, request):
        path, _, query = request.target.partition("?")
        if path in self._handlers:
            return self._handlers[path](request)
        word, _, rest = path.lstrip("/").partition("/")
        if word == "status":
            return answer(int(rest), body=b"" if int(rest) in (204, 304) else f"status {rest}",
                          headers=[("Content-Length", "0")] if int(rest) == 304 else [])
        if word == "chunked":
            body = b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
            return answer(200, [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")], body)
        if word == "slow":
            time.sleep(float(rest))
            return answer(200, body=f"slow {rest}")
        if word == "hold":
            hold = self.hold(rest)
            hold.arrived.set()
            hold._go.wait(30)
            return answer(200, body=f"held {rest}")
        if word == "gzip":
            return answer(200, [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")],
                          gzip.compress(b"compressed", mtime=0))
        if word == "cookies":
            return answer(200, [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")], "cookies")
        if word == "redirect":
            to = urllib.parse.parse_qs(query).get("to", ["/redirected"])[0]
            return answer(302, [("Location", to)], "elsewhere")
        if word == "drop":
            return None
        if word == "cut":
            return Cut(answer(200, [("Content-Length", "100")], "0123456789"))
        if word == "big":
            return answer(200, [("Content-Type", "application/octet-stream")], pattern(int(rest)))
        if word == "health":
            return answer(200 if self.healthy else 503, body="health")
        return answer(200, [("Content-Type", "application/json")], b"" if request.method == "HEAD"
                      else json.dumps(request.as_json()))


class FullListener:
    """A port whose queue of connections is full: an attempt to connect to it lapses."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._queued = socket.create_connection(self._listener.getsockname())

    def stop(self):
        self._queued.close()
        self._listener.close()


class Cut(bytes):
    """An answer after which the connection is closed."""


def pattern(size):
    """`size` bytes in which every position can be told from its neighbours."""
    block = b"".join(i.to_bytes(4, "big") for i in range(1024))
    return (block * (size // len(block) + 1))[:size]


def _read_request(reader):
    line = reader.readline(MAX_HEAD)
    if not line:
        return None
    method, target, version = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    headers = []
    while True:
        line = reader.readline(MAX_HEAD)
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        headers.append([name, value.strip()])
    request = Received(method, target, version, headers, b"")
    if request.header("transfer-encoding"):
        request.body = _read_chunked(reader)
    elif request.header("content-length"):
        request.body = reader.read(int(request.header("content-length")[0]))
    return request


def _read_chunked(reader):
    body = b""
    while True:
        size = int(reader.readline(1024).split(b";")[0], 16)
        if size == 0:
            while reader.readline(MAX_HEAD) not in (b"\r\n", b"\n", b""):
                pass
            return body
        body += reader.read(size)
        reader.readline(16)

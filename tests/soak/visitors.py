"""Who asks: each kind of visitor is a class, each visitor a thread with a random source of its own."""

import http.client
import json
import threading
import time

from bodies import Expected, digest, pieces
from harness import APP_DOMAIN
from raw_http import Connection, FramingError
from raw_http2 import Http2Connection
from raw_websocket import BINARY, CLOSE, WebSocket, frame

TIMEOUT_SECONDS = 90  # Of one wait. Sanitizers on a busy machine are slow; what takes longer hangs.
KIB, MIB = 1024, 1024 * 1024
REFUSALS = (502, 503, 504)  # What a visitor gets when an agent or its backend has gone.


class Broken(Exception):
    """The request was refused or cut off: right only while its app is disturbed."""


class Visitor(threading.Thread):
    """`threads` of them; each makes a round() for one of its `apps`, then pauses for about `pause_s`."""

    threads, apps, pause_s = 1, ("steady", "shaky"), 0.02

    def __init__(self, soak, random):
        super().__init__(daemon=True, name=type(self).__name__)
        self.soak, self.random, self.kind = soak, random, type(self).__name__

    def run(self):
        while not self.soak.stopping.is_set():
            app, began_at = self.random.choice(self.apps), time.monotonic()
            try:
                self.round(app)
            except (Broken, OSError, http.client.IncompleteRead) as error:
                self.forget(app)
                self.soak.record.fail(self.kind, app, began_at, f"{type(error).__name__} {error}")
            except Exception as error:  # Whatever else it is: nobody would hear of a thread that ended.
                self.forget(app)
                if isinstance(error, FramingError) and "the connection ended" in str(error):
                    self.soak.record.fail(self.kind, app, began_at, str(error))
                else:
                    self.soak.record.wrong(self.kind, app, f"{type(error).__name__}: {str(error)[:300]}")
            self.soak.stopping.wait(self.random.expovariate(1 / self.pause_s))

    def round(self, app):
        raise NotImplementedError

    def forget(self, app):
        """What was kept from round to round is of no use any more."""

    def right(self, app, left=False):
        self.soak.record.count(self.kind, app, left)

    def connect(self, **how):
        return Connection(self.soak.control.proxy_port, timeout=TIMEOUT_SECONDS, **how)

    def check(self, answer, body, status=200):
        if answer.status in REFUSALS:
            raise Broken(f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}")
        assert answer.status == status, f"{answer.status} in place of {status}: {answer.body[:200]!r}"
        assert answer.body == body, f"{answer.body[:100]!r} in place of {body[:100]!r} ({len(answer.body)}, {len(body)})"

    def body_bytes(self):
        """From 1 MiB to the largest, each doubling as likely."""
        return int(MIB * self.soak.body_mib_max ** self.random.random())


def host(app):
    return f"{app}.{APP_DOMAIN}"


def head_of(method, target, app, *fields):
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host(app)}", *fields, "", ""]).encode()


class SmallKept(Visitor):
    """Small requests on connections that are kept."""

    threads, pause_s = 2, 0.005

    def __init__(self, *how):
        super().__init__(*how)
        self.kept = {}

    def round(self, app):
        if app not in self.kept or self.random.random() < 0.005:
            self.forget(app)
            self.kept[app] = self.connect()
        self.small(self.kept[app], app)

    def small(self, connection, app):
        began_at = time.monotonic()
        if self.random.random() < 0.3:
            body = self.random.randbytes(self.random.randrange(8 * KIB))
            self.check(connection.request("POST", "/echo", host(app), body=body), body)
        else:
            number = self.random.randrange(1 << 30)
            self.check(connection.request("GET", f"/small/{number}", host(app)), b"small %d" % number)
        self.soak.record.count_small(app, time.monotonic() - began_at)
        self.right(app)

    def forget(self, app):
        if app in self.kept:
            self.kept.pop(app).close()


class SmallNew(SmallKept):
    """The same, each on a connection of its own."""

    threads, pause_s = 1, 0.02

    def round(self, app):
        with self.connect() as connection:
            self.small(connection, app)


class Pipelined(Visitor):
    """Many requests in one write; their answers in order."""

    pause_s = 0.1

    def round(self, app):
        numbers = [self.random.randrange(1 << 30) for _ in range(self.random.randint(2, 40))]
        with self.connect() as connection:
            connection.send(b"".join(head_of("GET", f"/small/{number}", app) for number in numbers))
            for number in numbers:
                self.check(connection.read_answer(), b"small %d" % number)
        self.right(app)


class Http2Streams(Visitor):
    """Connections with many streams at once, some of them cancelled."""

    threads, pause_s = 2, 0.1

    def round(self, app):
        with Http2Connection(self.soak.control.proxy_port, host(app), timeout=TIMEOUT_SECONDS) as connection:
            wanted = {}
            for _ in range(self.random.randint(1, 60)):
                stream, body = self.begin(connection)
                if self.random.random() < 0.15:
                    connection.cancel(stream)
                else:
                    wanted[stream] = body
            for stream, body in wanted.items():
                answer = connection.wait(stream)
                if answer.reset is not None or not answer.ended:
                    raise Broken(f"stream reset by {answer.reset}, connection closed: {connection.closed}")
                self.check(answer, body)
                self.right(app)

    def begin(self, connection):
        """A stream of some kind, and the body that is its answer."""
        kind, number = self.random.random(), self.random.randrange(1 << 30)
        if kind < 0.5:
            return connection.request("GET", f"/small/{number}"), b"small %d" % number
        if kind < 0.8:
            body = self.random.randbytes(self.random.randrange(8 * KIB))
            return connection.request("POST", "/echo", body=body), body
        size = self.random.randrange(200 * KIB)
        return connection.request("GET", f"/body/{number}/{size}"), b"".join(pieces(number, size))


class VisitorsWebSocket(WebSocket):
    """A WebSocket to an app."""

    def __init__(self, port, app):
        Connection.__init__(self, port, timeout=TIMEOUT_SECONDS)
        answer = self.request("GET", "/ws", host(app), [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        if answer.status in REFUSALS:
            raise Broken(f"{answer.status} {answer.text[:200]}")
        assert answer.status == 101, answer


class WebSocketEcho(Visitor):
    """Messages of random sizes there and back; closed properly, or just left."""

    threads, pause_s = 2, 0.1

    def round(self, app):
        with VisitorsWebSocket(self.soak.control.proxy_port, app) as socket:
            for _ in range(self.random.randint(1, 10)):
                message = self.random.randbytes(int(2 ** self.random.uniform(0, 19)))
                socket.send(frame(BINARY, message))
                opcode, payload = socket.read_frame()
                if opcode == CLOSE:
                    raise Broken(f"closed with {payload!r}")
                assert (opcode, payload) == (BINARY, message), f"an echo of {len(payload)} for {len(message)} bytes"
                self.right(app)
            if self.random.random() < 0.3:
                return self.right(app, left=True)
            socket.send(frame(CLOSE, b"\x03\xe8"))
            opcode, payload = socket.read_frame()
            assert opcode == CLOSE and payload[:2] == b"\x03\xe8", (opcode, payload)


class Events(Visitor):
    """Server-sent events to the end, or until the visitor has had enough."""

    threads, pause_s = 2, 0.1

    def round(self, app):
        count, ms = self.random.randint(1, 100), self.random.randint(1, 40)
        with self.connect() as connection:
            connection.send(head_of("GET", f"/ticks/{count}/{ms}", app))
            if self.random.random() < 0.3:
                connection.socket.recv(1000)
                return self.right(app, left=True)
            self.check(connection.read_answer(), b"".join(b"data: %d\n\n" % number for number in range(count)))
        self.right(app)


class Upload(Visitor):
    """Large bodies by length or in chunks: whole, with pauses, or broken off."""

    threads, pause_s = 2, 0.3

    def round(self, app):
        size, key, mood = self.body_bytes(), self.random.randrange(1 << 30), self.random.random()
        stalls_at = self.random.randrange(size) if mood < 0.2 else size
        ends_at = self.random.randrange(size) if mood > 0.7 else size
        is_chunked, sent = self.random.random() < 0.5, 0
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
        with self.connect() as connection:
            connection.send(head_of("POST", "/upload", app, framing))
            for part in pieces(key, size):
                connection.send(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
                if sent <= stalls_at < sent + len(part):
                    self.soak.stopping.wait(self.random.uniform(0.5, 4))
                sent += len(part)
                if sent > ends_at:
                    return self.right(app, left=True)
            if is_chunked:
                connection.send(b"0\r\n\r\n")
            answer = connection.read_answer()
            self.check(answer, answer.body)
            assert json.loads(answer.body) == {"bytes": size, "sha256": digest(key, size)}, (size, answer.body)
        self.right(app)


class Download(Visitor):
    """Large bodies: read at once, slowly, after a stall, or not to the end."""

    threads, pause_s = 2, 0.3

    def round(self, app):
        size, key, mood = self.body_bytes(), self.random.randrange(1 << 30), self.random.random()
        stalls_at = self.random.randrange(size) if mood < 0.3 else size
        ends_at = self.random.randrange(size) if mood > 0.7 else size
        slow_until = 2 * MIB if 0.3 < mood < 0.5 else 0
        expected = Expected(key, size)
        with self.connect(receive_buffer=32 * KIB if mood < 0.5 else None) as connection:
            connection.send(head_of("GET", f"/body/{key}/{size}", app))
            status, fields = connection.read_head()
            if status in REFUSALS:
                raise Broken(f"{status} {connection.buffered()[:200]!r}")
            assert (status, dict(fields).get("content-length", dict(fields).get("Content-Length"))) == (
                200, str(size)), (status, fields)
            expected.take(connection.buffered())
            while not expected.is_whole():
                before = expected.received
                part = connection.socket.recv(64 * KIB)
                if not part:
                    raise Broken(f"a download ended after {before} of {size} bytes")
                expected.take(part)
                if before <= stalls_at < expected.received:
                    self.soak.stopping.wait(self.random.uniform(0.5, 4))
                elif before < slow_until:
                    time.sleep(0.01)
                if expected.received > ends_at:
                    return self.right(app, left=True)
        self.right(app)

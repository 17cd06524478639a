"""Who sends what is no request and no agent: it is refused, and disturbs nobody."""

import base64
import struct

from harness import raw_exchange, run
from raw_http2 import DATA, HEADERS, WINDOW_UPDATE, Http2Connection
from raw_websocket import BINARY, CLOSE, PING, TEXT, WebSocket, frame
from visitors import REFUSALS, Broken, Visitor, host
from wire_agent import WireAgent

REFUSED = (b"4", b"501", b"505")  # How the statuses of refusals begin.


def http1(app, line="POST /echo HTTP/1.1", *fields, body=b""):
    return "\r\n".join([line, f"Host: {host(app)}", *fields, "", ""]).encode("latin-1") + body


MALFORMED1 = (
    lambda app: b"GET / HTTP/1.1\r\n\r\n",
    lambda app: b"\0\1\2\3\r\n\r\n",
    lambda app: b"GET / HTTP/1.1\nHost: " + host(app).encode() + b"\n\n",
    lambda app: http1(app, "GET / HTTP/3.0"),
    lambda app: http1(app, "GET /a b HTTP/1.1"),
    lambda app: http1(app, "GET / HTTP/1.1", "Host: other.app.test"),
    lambda app: http1(app, "GET / HTTP/1.1", "X : y"),
    lambda app: http1(app, "GET / HTTP/1.1", "X: a\0b"),
    lambda app: http1(app, "GET / HTTP/1.1", "X: a", " folded"),
    lambda app: http1(app, "GET / HTTP/1.1", "X: " + "a" * 70000),
    lambda app: http1(app, "GET / HTTP/1.1", *["X: a"] * 250),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Content-Length: 4", "Content-Length: 5", body=b"12345"),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Content-Length: -4", body=b"1234"),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Transfer-Encoding: gzip", body=b"1234"),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Transfer-Encoding: chunked", body=b"xyz\r\n\r\n"),
    lambda app: http1(app, "POST /echo HTTP/1.1", "Transfer-Encoding: chunked", body=b"4\r\n12345\r\n0\r\n\r\n"),
)


class Malformed1(Visitor):
    """HTTP/1 that must be refused, and requests in which some bytes have been changed, to both listeners."""

    pause_s = 0.1

    def round(self, app):
        port = self.random.choice([self.soak.control.port, self.soak.control.proxy_port])
        if self.random.random() < 0.5:
            data = self.random.choice(MALFORMED1)(app)
            answer = raw_exchange(port, data, timeout=60, half_close=True)
            status = answer[9:12]
            if status in [b"%d" % refusal for refusal in REFUSALS]:
                # Its head was in order, and there was nobody to send it to before its body was seen to be wrong.
                raise Broken(f"{status.decode()} {data[:60]!r}")
            assert not answer or status.startswith(REFUSED), (data[:200], answer[:200])
        else:
            data = bytearray(http1(app, "POST /echo HTTP/1.1", "Content-Length: 10", "Accept: */*", body=b"0123456789"))
            for _ in range(self.random.randint(1, 8)):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
            answer = raw_exchange(port, bytes(data), timeout=60, half_close=True)
            assert not answer or answer.startswith((b"HTTP/1.1 ", b"\0")), (bytes(data), answer[:200])
        self.right(app)


MALFORMED2 = {
    "an upper-case name": lambda fields: fields + [("X-Upper", "a")],
    "Connection": lambda fields: fields + [("connection", "close")],
    "CR LF in a value": lambda fields: fields + [("x", "a\r\nb")],
    "no path": lambda fields: [field for field in fields if field[0] != ":path"],
    "two paths": lambda fields: fields[:4] + [(":path", "/b")],
    "a pseudo-header field behind another": lambda fields: fields[:3] + [("x", "y")] + fields[3:],
    "two lengths": lambda fields: fields + [("content-length", "4"), ("content-length", "5")],
    "201 fields": lambda fields: fields + [("x", "a")] * 201,
}


class Malformed2(Visitor):
    """HTTP/2: heads that must be refused, and frames of nonsense."""

    pause_s = 0.2

    def round(self, app):
        with Http2Connection(self.soak.control.proxy_port, host(app), timeout=60) as connection:
            if self.random.random() < 0.6:
                name, change = self.random.choice(list(MALFORMED2.items()))
                stream = connection.next_stream()
                connection.headers(stream, change(connection.fields("POST", "/echo")), end=False)
                connection.data(stream, b"four", end=True)
                answer = connection.wait(stream)
                assert answer.reset is not None or connection.closed or 400 <= (answer.status or 0) < 500, (
                    name, vars(answer))
            else:
                self.nonsense(connection)
        self.right(app)

    def nonsense(self, connection):
        connection.timeout = 1  # It may stay open: not every frame of nonsense is an error.
        try:
            connection.request("GET", "/ticks/5/1")
            for _ in range(self.random.randint(1, 20)):
                kind = self.random.choice([DATA, HEADERS, WINDOW_UPDATE, *range(12)])
                stream, flags = self.random.choice([0, 1, 2, 3, 99]), self.random.randrange(256)
                connection.send(kind, flags, stream, self.random.randbytes(self.random.randrange(60)))
            connection.wait_closed()
        except OSError:  # Cut off, or silent: both are good.
            pass
        except Exception as error:
            # What a connection in error says back need not be for our reader; hpack and struct are not the matter.
            assert type(error).__module__.startswith(("hpack", "struct")), error


class TunnelGarbage(Visitor):
    """At the agents' door: bytes, frames, messages, and impostors of the undisturbed app's own agent."""

    apps, pause_s = ("steady",), 0.2

    def round(self, app):
        self.random.choice([self.raw_bytes, self.frames, self.silent, self.impostor])()
        self.right(app)

    def raw_bytes(self):
        with WebSocket(self.soak.control.port, timeout=60) as tunnel:
            tunnel.send_quietly(self.random.randbytes(self.random.randrange(1, 5000)))

    def frames(self):
        with WebSocket(self.soak.control.port, timeout=60) as tunnel:
            for _ in range(self.random.randint(1, 30)):
                opcode = self.random.choice([TEXT, BINARY, PING, CLOSE, self.random.randrange(16)])
                if not tunnel.send_quietly(frame(opcode, self.random.randbytes(self.random.randrange(300)),
                                                 reserved=self.random.choice([0, 0, 0, 4]),
                                                 masked=self.random.random() < 0.9)):
                    return

    def silent(self):
        with WebSocket(self.soak.control.port, timeout=60):
            self.soak.stopping.wait(self.random.uniform(0, 2))

    def impostor(self):
        """Has the undisturbed agent's name, and no quote for it."""
        agent = WireAgent(self.soak.control.ws_url, self.soak.world.platform, app_name="steady", agent_id="steady-1")
        run(self.impostor_talk(agent), 90)

    async def impostor_talk(self, agent):
        await agent.aconnect(60)
        try:
            await agent.aregister()
            challenge = await agent.aexpect("attest_request", 60)
            quote = base64.b64encode(struct.pack("<H", 4) + self.random.randbytes(self.random.randrange(6000))).decode()
            await agent.asend({"type": "attest_response", "nonce": challenge["nonce"], "quote": quote,
                               "report_data": "0" * 128, "measurements": {}})
            refused = await agent.aexpect("status", 60)
            assert refused["state"] == "invalid", refused
        except ConnectionError:  # Cut off before all was said.
            pass
        finally:
            await agent.aabort()

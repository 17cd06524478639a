"""HTTP/1.1 byte by byte: connections whose requests are written as they are, and answers read strictly."""

import re
import socket

from harness import Response


class FramingError(AssertionError):
    """The answer could be read in two ways, or not at all."""


class Connection:
    """A connection to a listener of loopback; `source` is the address it comes from.

        with Connection(port) as connection:
            connection.send(b"GET / HTTP/1.1\\r\\nHost: myapp.app.test\\r\\n\\r\\n")
            answer = connection.read_answer()      # exactly one framing, or FramingError
            assert connection.closed()"""

    def __init__(self, port, source=None, timeout=10, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def request(self, method, target, host, headers=(), body=None, read=True):
        """Sends one request, with Content-Length where there is a body; its answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"] + [f"{name}: {value}" for name, value in headers]
        if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b""))
        return self.read_answer(method) if read else None

    def buffered(self):
        """What has been read behind the last head or answer."""
        return self._buffer

    def _more(self):
        chunk = self.socket.recv(262144)
        self._buffer += chunk
        return bool(chunk)

    def _take(self, count):
        while len(self._buffer) < count:
            if not self._more():
                raise FramingError(f"the connection ended {count - len(self._buffer)} bytes early")
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _take_line(self):
        while b"\r\n" not in self._buffer:
            if not self._more():
                raise FramingError(f"the connection ended within a line: {self._buffer[:200]!r}")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def read_until(self, wanted):
        """Everything up to these bytes and with them, however it is framed."""
        while wanted not in self._buffer:
            if not self._more():
                raise FramingError(f"the connection ended before {wanted!r}: {self._buffer[-200:]!r}")
        return self._take(self._buffer.index(wanted) + len(wanted))

    def read_head(self):
        """(status, fields) of the next head, interim ones too."""
        line = self._take_line()
        found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [\t -~]*", line)
        if not found:
            raise FramingError(f"not a status line: {line[:200]!r}")
        fields = []
        while line := self._take_line():
            name, colon, value = line.partition(b":")
            if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(rb"[\0\r\n]", value):
                raise FramingError(f"not a field line: {line[:200]!r}")
            fields.append((name.decode(), value.strip().decode("latin-1")))
        return int(found[1]), fields

    def read_answer(self, method="GET"):
        """The next final answer, whole."""
        status, fields = self.read_head()
        while 100 <= status < 200 and status != 101:
            status, fields = self.read_head()
        answer = Response(status, fields, b"")
        lengths, codings = answer.header_all("Content-Length"), answer.header_all("Transfer-Encoding")
        if len(lengths) + len(codings) > 1:
            raise FramingError(f"more than one framing: {fields}")
        if method == "HEAD" or status in (101, 204, 304):
            if status in (101, 204) and lengths + codings:
                raise FramingError(f"{status} with framing: {fields}")
            return answer
        if codings:
            if codings != ["chunked"]:
                raise FramingError(f"{codings} is not chunked")
            answer.body = self._read_chunks()
        elif lengths:
            answer.body = self._take(int(lengths[0]))
        else:
            while self._more():
                pass
            answer.body, self._buffer = self._buffer, b""
        return answer

    def _read_chunks(self):
        body = b""
        while size := int(self._take_line().split(b";")[0], 16):
            body += self._take(size)
            if self._take(2) != b"\r\n":
                raise FramingError("a chunk is longer than it says")
        while self._take_line():
            pass
        return body

    def closed(self):
        """Whether the peer ends the connection without another byte."""
        try:
            return not self._buffer and not self._more()
        except ConnectionResetError:
            return True

    def silent(self, seconds):
        """Whether nothing comes, not even the end, for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self._buffer and not self._more() and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)

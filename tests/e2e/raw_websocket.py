"""WebSocket (RFC 6455) byte by byte, for what no library would send."""

import struct

from raw_http import Connection, FramingError

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, length=None, masked=True, reserved=0):
    """One frame; `length` is what it says it holds, whatever it does."""
    size = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
    # A mask of zeros leaves the payload as it is: valid, and cheap to make by the megabyte.
    return head + (bytes(4) if masked else b"") + payload


class WebSocket(Connection):
    """A tunnel's connection after its upgrade, without an agent behind it."""

    def __init__(self, port, **how):
        super().__init__(port, **how)
        answer = self.request("GET", "/v1/tunnel", "x", [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        assert answer.status == 101, answer

    def read_frame(self):
        """(opcode, payload)."""
        first, second = self._take(2)
        size = second & 0x7f
        if second & 0x80:
            raise FramingError("a server must not mask")
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 0xf, self._take(size)

    def close_code(self):
        """Reads to the close frame and the end of the connection; the code."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                self.send_quietly(frame(CLOSE, payload[:2]))
                assert self.closed()
                return struct.unpack(">H", payload[:2])[0]

    def send_quietly(self, data):
        """Sends as far as the peer lets us; whether all of it went."""
        try:
            self.send(data)
            return True
        except (ConnectionError, TimeoutError):
            return False


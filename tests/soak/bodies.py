"""Bodies in which every piece can be told from every other body's and from its neighbours."""

import hashlib
import struct

from streaming_backend import PIECE


def piece(key, index):
    return struct.pack(">QQ", key, index) + PIECE[16:]


def pieces(key, size):
    """The body `key` of `size` bytes, piece by piece."""
    for index in range(-(-size // len(PIECE))):
        yield piece(key, index)[:size - index * len(PIECE)]


def digest(key, size):
    """SHA-256 of that body, in hex."""
    sha256 = hashlib.sha256()
    for part in pieces(key, size):
        sha256.update(part)
    return sha256.hexdigest()


class Expected:
    """The body `key`, compared as it comes; `received` counts its bytes."""

    def __init__(self, key, size):
        self._parts, self._size, self._waiting = pieces(key, size), size, bytearray()
        self.received, self._compared = 0, 0

    def take(self, data):
        self.received += len(data)
        assert self.received <= self._size, f"{self.received - self._size} bytes more than {self._size}"
        self._waiting += data
        while len(self._waiting) >= len(PIECE) or (self._waiting and self.is_whole()):
            part = next(self._parts)
            assert self._waiting.startswith(part), f"a body of {self._size} differs from byte {self._compared} on"
            del self._waiting[:len(part)]
            self._compared += len(part)

    def is_whole(self):
        return self.received == self._size

#!/usr/bin/python3
"""WebSockets that are open and silent: the load of stream_memory.

    silent_websockets.py backend               answers every handshake; prints its port
    silent_websockets.py visitors PORT HOST    standard input: `N` opens N more, and prints how many there are; ends
                                               with 1 when one is lost
"""

import asyncio
import base64
import hashlib
import select
import socket
import sys

AT_ONCE = 100
TIMEOUT_SECONDS = 20
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
KEY = base64.b64encode(b"sixteen bytes ok").decode()


# ---- The backend ----

async def answer(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        key = next(line.split(":", 1)[1].strip() for line in head.split("\r\n")
                   if line.lower().startswith("sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        await reader.read()  # Until the visitor leaves.
    except (asyncio.IncompleteReadError, ConnectionError, StopIteration):
        pass  # No WebSocket: a look whether the port is open.
    finally:
        writer.close()


async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096, limit=16 * 1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ---- Visitors ----

def open_some(count, port, host):
    handshake = (f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n").encode()
    sockets = [socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) for _ in range(count)]
    for connection in sockets:
        connection.sendall(handshake)
    for connection in sockets:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = connection.recv(4096)
            head += more
            if not more or not b"HTTP/1.1 101 ".startswith(head[:13]):
                sys.exit(f"no WebSocket: {(head + connection.recv(4096))[:500]}")
    return sockets


def is_silent(connection, poll):
    poll.register(connection, select.POLLIN)
    ready = poll.poll(0)
    poll.unregister(connection)
    return not ready


def visit(port, host):
    sockets, poll = [], select.poll()
    for command in sys.stdin:
        for begun in range(0, int(command), AT_ONCE):
            sockets += open_some(min(AT_ONCE, int(command) - begun), port, host)
        lost = sum(not is_silent(connection, poll) for connection in sockets)
        if lost:
            sys.exit(f"{lost} of {len(sockets)} WebSockets are not silent")
        print(len(sockets), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["backend"]:
        asyncio.run(serve())
    elif len(sys.argv) == 4 and sys.argv[1] == "visitors":
        visit(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(__doc__)

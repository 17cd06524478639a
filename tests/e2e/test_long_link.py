"""One stream over a link with a round trip of 100 ms, compared with a plain TCP copy over the same."""

import json
import socket
import subprocess
import sys
import threading
import time

import pytest

import long_link
from harness import APP_DOMAIN
from programs import START_SECONDS, Program, memory_factor
from raw_http import Connection
from streaming_backend import PIECE, StreamingBackend

pytestmark = pytest.mark.skipif(long_link.why_not() is not None, reason=long_link.why_not() or "")

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024
SIZE = 96 * MIB


@pytest.fixture
def site(world):
    class Site:
        link = long_link.LongLink(0.05)
        backend = StreamingBackend(unix=world.path / "backend.sock")
        control = world.control(EE_CONTROL_BIND="0.0.0.0")
        agent = world._run(Program("easyenclave-agent", world.agent_settings(
            control, backend, EE_CONTROL_WS=f"ws://{link.here}:{control.port}/v1/tunnel"), prefix=link.prefix))

    site = Site()
    site.agent.wait_event("agent.serving", START_SECONDS)
    site.control.wait_status("myapp", "active")
    yield site
    site.backend.stop()
    site.agent.kill()
    site.link.close()


COPY = """
import socket, sys
how, host, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
peer = socket.create_connection((host, port))
piece = bytes(65536)
if how == "send":
    while size > 0:
        size -= peer.send(piece)
else:
    while size > 0:
        size -= len(peer.recv(1 << 20))
    peer.sendall(b"!")
"""


def copy(link, upload):
    """Seconds that a plain TCP connection takes, from the first byte asked for to the last received."""
    with socket.create_server((link.here, 0)) as server:
        command = [*link.prefix, sys.executable, "-c", COPY, "receive" if upload else "send", link.here,
                   str(server.getsockname()[1]), str(SIZE)]
        process = subprocess.Popen(command)
        peer, _ = server.accept()
        started, left = time.monotonic(), SIZE
        if upload:
            while left:
                left -= peer.send(memoryview(PIECE)[:left])
            assert peer.recv(1) == b"!"
        else:
            while left > 0:
                left -= len(peer.recv(MIB))
        took = time.monotonic() - started
        assert process.wait(10) == 0
    return took


def through_the_tunnel(site, upload):
    with Connection(site.control.proxy_port, timeout=60) as visitor:
        started = time.monotonic()
        if upload:
            head = f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {SIZE}\r\n\r\n"
            visitor.send(head.encode())
            for _ in range(0, SIZE, len(PIECE)):
                visitor.send(PIECE)
            assert json.loads(visitor.read_answer().body) == {"bytes": SIZE}
        else:
            visitor.send(f"GET /download/{SIZE // MIB} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert visitor.read_head()[0] == 200
            left = SIZE - len(visitor.buffered())
            while left:
                left -= len(visitor.socket.recv(MIB))
        return time.monotonic() - started


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_one_stream_is_nearly_as_fast_as_a_plain_copy(site, direction):
    upload = direction == "upload"
    ratios = []
    for _ in range(2):  # The first pair finds the windows small.
        plain, carried = copy(site.link, upload), through_the_tunnel(site, upload)
        ratios.append(plain / carried)
        print(f"{direction}: plain {SIZE / MIB / plain:.0f} MiB/s, tunnel {SIZE / MIB / carried:.0f} MiB/s")
    if memory_factor() == 1:  # A sanitizer's build is slower than the link.
        assert max(ratios) >= 0.8, ratios


def test_a_long_link_does_not_make_others_wait_for_a_large_stream(site):
    """A small request beside a large download takes a few round trips, not the time of what is queued before it."""
    done = threading.Event()

    def download():
        through_the_tunnel(site, upload=False)
        done.set()

    thread = threading.Thread(target=download)
    thread.start()
    took = []
    with Connection(site.control.proxy_port) as visitor:
        while not done.is_set():
            started = time.monotonic()
            assert visitor.request("GET", "/", HOST).status == 200
            took.append(time.monotonic() - started)
    thread.join()
    print(f"{len(took)} requests, median {sorted(took)[len(took) // 2] * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms")
    assert sorted(took)[len(took) // 2] < 1.0

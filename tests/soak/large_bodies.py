#!/usr/bin/python3
"""One upload and one download of 20 GiB: memory must not notice, whatever the throughput.

    tests/soak/large_bodies.py [--gib 20]      of the programs in EE_BIN_DIR (default: build/release/bin)

Both ends are raw sockets that send from one buffer and look at the first and last byte of what comes."""

import argparse
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from harness import APP_DOMAIN, World, lasting_port  # noqa: E402
from programs import memory_factor  # noqa: E402
from raw_http import Connection  # noqa: E402
from simulated_platform import SimulatedPlatform  # noqa: E402

GIB, MIB = 1024 ** 3, 1024 ** 2
# A prime number of bytes: what is lost or doubled shifts what comes behind it.
BLOCK = (bytes(range(251)) * (4 * MIB // 251))
SAMPLE_SECONDS = 0.1
GROWTH_BYTES_MAX = 64 * MIB
WAIT_SECONDS = 60
GIB_DEFAULT = 20


def send_body(connection, size):
    view = memoryview(BLOCK)
    for at in range(0, size, len(BLOCK)):
        connection.sendall(view[:min(len(BLOCK), size - at)])


def receive_body(connection, size, begun=b""):
    """Takes `size` bytes, of which `begun` are there, and checks them where it looks."""
    assert BLOCK.startswith(begun), begun[:100]
    buffer, at = bytearray(MIB), len(begun)
    while at < size:
        count = connection.recv_into(buffer, min(MIB, size - at))
        assert count, f"the connection ended {size - at} bytes early"
        assert buffer[0] == at % 251 and buffer[count - 1] == (at + count - 1) % 251, f"wrong bytes at {at}"
        at += count


def serve(port):
    """The backend: takes any POST whole, answers GET /BYTES with so many; one connection at a time a thread."""
    def answer(connection):
        with connection:
            received = b""
            while True:
                while b"\r\n\r\n" not in received:
                    part = connection.recv(65536)
                    if not part:
                        return
                    received += part
                head, _, received = received.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                if method == "POST":
                    size = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
                    receive_body(connection, size, received)
                    received = b""
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
                else:
                    size = int(target[1:])
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    send_body(connection, size)

    with socket.create_server(("127.0.0.1", port)) as listener:
        print("ready", flush=True)
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


class Peak:
    """The most memory each program takes, sampled until the with block ends."""

    def __init__(self, programs):
        self.programs, self._ended = programs, threading.Event()
        self.before = {name: program.rss_bytes() for name, program in programs.items()}
        self.most = dict(self.before)

    def __enter__(self):
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(10)

    def _sample(self):
        while not self._ended.wait(SAMPLE_SECONDS):
            for name, program in self.programs.items():
                self.most[name] = max(self.most[name], program.rss_bytes())


def transfer(control, programs, way, size):
    """One body through; whether memory stayed."""
    host = f"large.{APP_DOMAIN}"
    with Connection(control.proxy_port, timeout=WAIT_SECONDS) as visitor, Peak(programs) as peak:
        began_at = time.monotonic()
        if way == "upload":
            visitor.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n".encode())
            send_body(visitor.socket, size)
            answer = visitor.read_answer()
            assert (answer.status, answer.body) == (200, b"whole"), answer
        else:
            visitor.send(f"GET /{size} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            status, fields = visitor.read_head()
            assert status == 200, (status, fields)
            receive_body(visitor.socket, size, visitor.buffered())
        took = time.monotonic() - began_at
    grown = {name: peak.most[name] - peak.before[name] for name in programs}
    print(f"{way} of {size / GIB:.1f} GiB: {took:.1f} s, {size / took / MIB:.0f} MiB/s; "
          + "; ".join(f"{name} {peak.before[name] / MIB:.1f} MiB before, {grown[name] / MIB:.1f} more at its peak"
                      for name in programs), flush=True)
    return all(more < GROWTH_BYTES_MAX * memory_factor() for more in grown.values())


def run(gib):
    """Both ways; the exit code."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ee-large-"))
    (folder / "world").mkdir()
    world = World(folder / "world", SimulatedPlatform(folder / "platform"))
    port = lasting_port()
    backend = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, __file__, "--serve", str(port)],
                               stdout=subprocess.PIPE)
    try:
        assert backend.stdout.readline() == b"ready\n"
        control = world.control(EE_LOG_LEVEL="info")
        agent = world.agent(control, app="large", EE_BACKEND_URL=f"http://127.0.0.1:{port}", EE_LOG_LEVEL="info")
        assert control.visit("large", "/100").body == BLOCK[:100]
        programs = {"control plane": control, "agent": agent}
        size = int(gib * GIB)
        held = [transfer(control, programs, way, size) for way in ("upload", "download")]
    finally:
        backend.kill()
        backend.wait(10)
        world.close()
        shutil.rmtree(folder, ignore_errors=True)
    if not all(held):
        print(f"a program took {GROWTH_BYTES_MAX // MIB} MiB or more for it")
    return 0 if all(held) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=GIB_DEFAULT)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    return run(options.gib)


if __name__ == "__main__":
    sys.exit(main())

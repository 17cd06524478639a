"""WebSocket between the library websockets on both ends, which knows nothing of what is between them."""

import asyncio
import logging
import os

import pytest
import websockets
from websockets.extensions.permessage_deflate import PerMessageDeflate

from harness import APP_DOMAIN, until
from streaming_backend import run

HOST = f"myapp.{APP_DOMAIN}"
KIB = 1024
logging.getLogger("websockets.server").disabled = True  # It tells of each health check, which only connects.


class Server:
    """Paths: /echo sends back each message, /pieces in as many fragments as it has KiB; /ping says "pong" once the client
    has answered a ping; /close/CODE closes; /sums tells number and bytes of the messages when it gets "sum".
    `compression` is what it offers; `ends` are the close codes it has seen."""

    def __init__(self, compression):
        self.ends = []

        async def start():
            self._server = await websockets.serve(
                self._talk, "127.0.0.1", 0, compression=compression, max_size=None, ping_interval=None,
                subprotocols=["chat.v2", "chat"], backlog=1024)
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

        run(start())

    def stop(self):
        async def end():
            self._server.close()
            await self._server.wait_closed()

        run(end())

    async def _talk(self, connection, path):
        count, size = 0, 0
        try:
            if path.startswith("/close/"):
                await connection.close(int(path.rsplit("/", 1)[1]), "told to")
            if path == "/ping":
                await asyncio.wait_for(await connection.ping(b"are you there"), 10)
                await connection.send("pong")
            async for message in connection:
                count, size = count + 1, size + len(message)
                if path == "/pieces":
                    await connection.send([message[at:at + KIB] for at in range(0, len(message), KIB)])
                elif path == "/echo":
                    await connection.send(message)
                elif message == "sum":
                    await connection.send(f"{count - 1} {size - 3}")
        except websockets.ConnectionClosed:
            pass
        self.ends.append(connection.close_code)


class Site:
    def __init__(self, world, compression):
        self.backend, self.control = Server(compression), world.control()
        self.agent = world.agent(self.control, self.backend, EE_HEALTH_INTERVAL_SEC=60)

    def connect(self, path, **options):
        return websockets.connect(f"ws://{HOST}{path}", host="127.0.0.1", port=self.control.proxy_port, max_size=None,
                                  **options)

    def streams(self):
        return self.control.app_agents("myapp")[0]["open_streams"]


@pytest.fixture(params=["deflate", None], ids=["deflate", "plain"])
def site(world, request):
    site = Site(world, request.param)
    site.compression = request.param
    yield site
    site.backend.stop()


def test_the_extension_is_negotiated_from_end_to_end(site):
    async def talk(wanted):
        async with site.connect("/echo", compression=wanted) as connection:
            for message in ["x" * 100_000, os.urandom(100_000), "", b"", "é" * 70_000]:
                await connection.send(message)
                assert await connection.recv() == message
            return [type(extension) for extension in connection.extensions]

    assert run(talk("deflate")) == ([PerMessageDeflate] if site.compression else [])
    assert run(talk(None)) == []


def test_fragments_are_put_together_once_only(site):
    async def talk():
        async with site.connect("/pieces") as connection:
            message = os.urandom(300 * KIB)
            await connection.send(message[at:at + 777] for at in range(0, len(message), 777))
            assert await connection.recv() == message
            await connection.send(["one ", "", "two"])
            assert await connection.recv() == "one two"

    run(talk())


def test_pings_are_answered_both_ways(site):
    async def talk():
        async with site.connect("/ping") as connection:
            assert await connection.recv() == "pong"
            for payload in [b"", b"x" * 125]:
                await asyncio.wait_for(await connection.ping(payload), 10)

    run(talk())


def test_the_subprotocol_is_the_servers_choice(site):
    async def talk(offered):
        async with site.connect("/echo", subprotocols=offered) as connection:
            return connection.subprotocol

    assert run(talk(["other", "chat.v2", "chat"])) == "chat.v2"
    assert run(talk(["chat", "other"])) == "chat"
    assert run(talk(["other"])) is None


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_a_close_code_passes_both_ways(site, code):
    async def talk():
        async with site.connect(f"/close/{code}") as connection:
            await connection.wait_closed()
            assert (connection.close_code, connection.close_reason) == (code, "told to")
        async with site.connect("/echo") as connection:
            await connection.close(code, "so long")

    run(talk())
    until(lambda: site.backend.ends == [code, code], what=f"both ends have seen {code}")
    until(lambda: site.streams() == 0, what="no stream is left open")


def test_a_client_that_vanishes_is_told_to_the_backend(site):
    async def talk():
        connection = await site.connect("/echo")
        await connection.send("x")
        assert await connection.recv() == "x"
        connection.transport.abort()

    run(talk())
    until(lambda: site.backend.ends == [1006], what="the backend's end")
    until(lambda: site.streams() == 0, what="no stream is left open")


def test_a_hundred_talk_at_once(site):
    async def one(number):
        async with site.connect("/echo", open_timeout=60) as connection:
            for i in range(20):
                message = f"{number} {i} ".encode() * (50 * (i + 1))
                await connection.send(message)
                assert await connection.recv() == message
        async with site.connect("/sums", open_timeout=60) as connection:
            for i in range(50):
                await connection.send(b"x" * i)
            await connection.send("sum")
            assert await connection.recv() == f"50 {sum(range(50))}"

    async def all_of_them():
        await asyncio.gather(*(one(number) for number in range(100)))

    run(all_of_them(), timeout=120)
    until(lambda: site.streams() == 0, what="no stream is left open")

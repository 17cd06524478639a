"""aiohttp's client, with its pool of kept connections, through control plane and agent."""

import asyncio
import hashlib
import os

import aiohttp
import pytest

from harness import APP_DOMAIN, until
from site_backend import SiteBackend
from streaming_backend import run

HEADERS = {"Host": f"myapp.{APP_DOMAIN}"}


@pytest.fixture(scope="module")
def site(shared_world):
    class Site:
        folder = shared_world.path / "files"
        folder.mkdir()
        backend = SiteBackend(folder)
        control = shared_world.control()
        agent = shared_world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)
        base = f"http://127.0.0.1:{control.proxy_port}"

    yield Site
    Site.backend.stop()


@pytest.mark.parametrize("pool", [1, 20, 200])
def test_two_hundred_at_once_over_kept_connections(site, pool):
    opened = 0

    async def count(*_):
        nonlocal opened
        opened += 1

    async def one(session, number):
        for i in range(10):
            body = os.urandom((number * 37 + i * 1009) % 30_000)
            async with session.post("/digest", data=body) as answer:
                assert answer.status == 200
                assert (await answer.json())["sha256"] == hashlib.sha256(body).hexdigest()
            async with session.get(f"/{number}/{i}") as answer:
                assert await answer.text() == "ok GET"

    async def all_of_them():
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(count)
        async with aiohttp.ClientSession(site.base, headers=HEADERS, connector=aiohttp.TCPConnector(limit=pool),
                                         trace_configs=[tracing]) as session:
            await asyncio.gather(*(one(session, number) for number in range(200)))

    run(all_of_them(), timeout=120)
    assert opened <= pool, "a connection is kept after each of 4,000 answers"
    until(lambda: site.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")


def test_a_body_is_echoed_while_it_is_sent(site):
    async def talk():
        pieces, got = asyncio.Queue(), b""

        async def body():
            while (piece := await pieces.get()) is not None:
                yield piece

        async with aiohttp.ClientSession(site.base, headers=HEADERS) as session:
            pieces.put_nowait(b"piece 0 ")
            async with session.post("/echo", data=body()) as answer:
                for number in range(1, 21):
                    got += await asyncio.wait_for(answer.content.readexactly(8), 10)
                    # The next is sent only when the one before has come back.
                    pieces.put_nowait(b"piece %d " % (number % 10))
                pieces.put_nowait(None)
                return got + await answer.read()

    assert run(talk()) == b"".join(b"piece %d " % (number % 10) for number in range(21))


def test_those_that_are_abandoned_leave_nothing_behind(site):
    async def all_of_them():
        async with aiohttp.ClientSession(site.base, headers=HEADERS) as session:
            async def one(number):
                async with session.get(f"/pieces/abandoned-{number}") as answer:
                    assert await answer.content.readline() == b"first\n"
            await asyncio.gather(*(one(number) for number in range(50)))

    run(all_of_them())
    until(lambda: site.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")

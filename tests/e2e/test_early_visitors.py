"""Visitors that come when an agent has just been admitted, and is a long way off: nothing it sends then has come yet."""

import asyncio

import aiohttp
import pytest

from harness import APP_DOMAIN
from programs import START_SECONDS
from streaming_backend import StreamingBackend, run

HEADERS = {"Host": f"myapp.{APP_DOMAIN}"}


class Link:
    """A relay before the control listener. From the moment it has passed the word that the agent is attested, it holds
    back what the agent sends; release() lets it go."""

    def __init__(self, port):
        self._target, self._is_open = port, asyncio.Event()
        self._is_open.set()

        async def listen():
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
            return self._server.sockets[0].getsockname()[1]

        self.port = run(listen())

    async def _relay(self, agent_in, agent_out):
        control_in, control_out = await asyncio.open_connection("127.0.0.1", self._target)

        async def from_control():
            while piece := await control_in.read(65536):
                if b'"attested"' in piece:
                    self._is_open.clear()
                agent_out.write(piece)
            agent_out.close()

        async def from_agent():
            while piece := await agent_in.read(65536):
                await self._is_open.wait()
                control_out.write(piece)
            control_out.close()

        await asyncio.gather(from_control(), from_agent())

    async def release(self):
        self._is_open.set()


@pytest.fixture
def site(world):
    class Site:
        backend, control = StreamingBackend(), world.control()
        link = Link(control.port)
        agent = world.agent(control, backend, wait=False, EE_HEALTH_INTERVAL_SEC=60,
                            EE_CONTROL_WS=f"ws://localhost:{link.port}/v1/tunnel")
        base = f"http://127.0.0.1:{control.proxy_port}"

    Site.control.wait_event("agent.active", START_SECONDS)
    yield Site
    run(Site.link.release())
    Site.backend.stop()


def test_a_websocket_is_carried_before_the_agents_settings_have_come(site):
    async def talk():
        async with aiohttp.ClientSession(site.base, headers=HEADERS) as session:
            opening = asyncio.ensure_future(session.ws_connect("/ws"))
            # A refusal would come by itself; what is carried waits for the link.
            done, _ = await asyncio.wait([opening], timeout=1)
            assert not done, opening.exception()
            await site.link.release()
            socket = await opening
            await socket.send_str("early")
            heard = await socket.receive_str()
            await socket.close()
            return heard

    assert run(talk()) == "early"


def test_a_request_is_carried_before_the_agents_settings_have_come(site):
    async def talk():
        async with aiohttp.ClientSession(site.base, headers=HEADERS) as session:
            asking = asyncio.ensure_future(session.post("/upload", data=bytes(1 << 20)))
            done, _ = await asyncio.wait([asking], timeout=0.2)
            assert not done, asking.exception()
            await site.link.release()
            async with await asking as answer:
                return await answer.json()

    assert run(talk()) == {"bytes": 1 << 20}

"""What the tests of the data path share: an app and its backend, agents spoken by hand, and what a backend got."""

import base64
import concurrent.futures

from harness import APP_DOMAIN
from raw_http import Connection

HOST = f"myapp.{APP_DOMAIN}"
TRUSTED = "127.0.0.9"  # The only address whose forwarding headers are believed; tests come from 127.0.0.1.
MIB = 1024 * 1024


class Site:
    """A control plane, one easyenclave-agent and its backend, shared by the tests of a file."""

    def __init__(self, world):
        self.backend = world.backend()
        self.control = world.control(EE_TRUSTED_PROXIES=TRUSTED + "/32", EE_MAX_BODY_BYTES=4 * MIB)
        self.agent = world.agent(self.control, self.backend, EE_HEALTH_INTERVAL_SEC=60)
        self.visit = lambda *args, **how: self.control.visit("myapp", *args, **how)

    def connection(self, **how):
        return Connection(self.control.proxy_port, **how)

    def assert_tunnel_stood(self, since):
        assert not self.control.events("agent.disconnected", since=since, app="myapp")


def wired_control(world):
    """A control plane to which the tests bring agents spoken by hand."""
    return world.control(EE_TRUSTED_PROXIES=TRUSTED + "/32", EE_MAX_BODY_BYTES=MIB, EE_DB_PATH=world.path / "wired.db")


def narrow_app(world):
    """A control plane, and an app whose agent speaks v1: whole requests, in frames of at most 4 MiB."""
    control = world.control(EE_MAX_BODY_BYTES=8 * MIB, EE_DB_PATH=world.path / "narrow.db")
    return control, wire_app(control, "narrow")


def wire_app(control, app, handler=None, **register):
    """An agent by hand that serves `app`."""
    return control.wire_agent(app_name=app, agent_id=f"agent-of-{app}", **register).attest().serve(handler)


def received(answer_):
    """What the backend got, from its echo: (method, path, headers as pairs, body)."""
    echo = answer_.json()
    return echo["method"], echo["path"], echo["headers"], base64.b64decode(echo["body_b64"])


def values(pairs, name):
    return [value for field, value in pairs if field.lower() == name.lower()]


def in_background(function, *args, **how):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(function, *args, **how)
    pool.shutdown(wait=False)
    return future

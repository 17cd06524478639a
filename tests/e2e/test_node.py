"""Clients of Node.js through control plane and agent: ws, undici, and Node's own HTTP/2.

    mkdir FOLDER && cd FOLDER && npm install ws@8.23.0 undici@6.29.1

and then EE_NODE_MODULES=FOLDER here. What they do is in node_client.mjs; what they must find is here."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import APP_DOMAIN, until
from site_backend import SiteBackend

FOLDER = os.environ.get("EE_NODE_MODULES", "")
SCRIPT = pathlib.Path(__file__).with_name("node_client.mjs")

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node: apt-get install nodejs")
needs_packages = pytest.mark.skipif(
    not (FOLDER and all((pathlib.Path(FOLDER) / "node_modules" / name).is_dir() for name in ("ws", "undici"))),
    reason="no ws and undici: npm install ws@8.23.0 undici@6.29.1 in a folder, then EE_NODE_MODULES=FOLDER")


class Site:
    def __init__(self, world):
        folder = world.path / "files"
        folder.mkdir()
        self.tls, self.ca = world.make_tls(), world.tls_ca
        self.backend = SiteBackend(folder)
        self.controls = {
            "http": world.control(),
            "https": world.control(EE_DB_PATH=world.path / "second.db", EE_PROXY_TLS_CERT=self.tls["EE_TLS_CERT"],
                                   EE_PROXY_TLS_KEY=self.tls["EE_TLS_KEY"])}
        for scheme, control in self.controls.items():
            world.agent(control, self.backend, EE_HEALTH_INTERVAL_SEC=60, EE_STATE_DIR=world.path / scheme)
        assert self.controls["http"].visit("myapp", "/").status == 200

    def node(self, scenario, scheme="http"):
        """What it found."""
        control = self.controls[scheme]
        base = f"{scheme}://{'127.0.0.1' if scheme == 'http' else 'localhost'}:{control.proxy_port}"
        said = run_node(scenario, base, *([self.ca] if scheme == "https" else []))
        until(lambda: control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")
        return json.loads(said)


def run_node(scenario, base, *more):
    done = subprocess.run(["node", SCRIPT, scenario, base, *more], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(shared_world):
    site = Site(shared_world)
    yield site
    site.backend.stop()


@needs_packages
def test_ws_gets_back_what_it_sends(site):
    found = site.node("wsEcho")
    assert found == {"wrong": [], "pong": "alone", "fragments": "one two", "protocol": "echo",
                     "extensions": "permessage-deflate", "code": 4001, "reason": "as asked"}


@needs_packages
def test_ws_closes_and_is_refused(site):
    found, directly = site.node("wsCloses"), json.loads(run_node("wsCloses", site.backend.url))
    assert found["codes"] == directly["codes"] and len(directly["codes"]) == 7, "aiohttp answers each in its own way"
    assert found["refused"] == "Unexpected server response: 502", "the backend answers 200 to an upgrade"


@needs_packages
def test_ws_fifty_times_at_once_keeps_the_order(site):
    assert site.node("wsMany") == {"right": 50}


@needs_packages
def test_undici_streams_both_ways(site):
    found = site.node("undiciFetch")
    assert found == {"uploaded": True, "chunked": True, "echoed": True, "first": "first\n", "second": "second\n",
                     "abort": "AbortError", "formed": {"name": 5, "file": 3 << 20}}


@needs_packages
def test_undici_pipelines(site):
    assert site.node("undiciPipelining") == {"right": 300, "connections": 1}


@pytest.mark.parametrize("scheme,alpn", [("http", "h2c"), ("https", "h2")])
def test_nodes_own_http2(site, scheme, alpn):
    found = site.node("http2Client", scheme)
    assert found == {"alpn": alpn, "uploaded": True, "answered": 200, "cancelled": 8, "trailers": {"x-sum": "1"},
                     "body": "one", "after": 200, "ping": True}

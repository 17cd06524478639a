"""End-to-end tests: the real programs on loopback.

    EE_BIN_DIR   folder of easyenclave-control, easyenclave-agent, eectl (default: build/release/bin)

A test takes the fixture `world` (a fresh temporary folder, everything in it is stopped at the end of the test):

    def test_something(world):
        backend = world.backend()                        # backend.py: paths are behaviours
        control = world.control(EE_PROXY_TIMEOUT_SEC=2)  # started, both ports known; settings as keywords
        agent = world.agent(control, backend)            # easyenclave-agent, already serving
        assert control.visit("myapp", "/status/404").status == 404               # proxy listener, Host: myapp.app.test
        assert control.envelope("myapp", "GET", "/x").json()["path"] == "/x"     # POST /v1/proxy/{app}
        assert control.get("/v1/resolve/myapp").json()["allowed"]
        wire = control.wire_agent(agent_id="w2").attest().serve()                # wire_agent.py: v1 by hand
        control.wait_event("agent.disconnected", agent="w2")                     # programs.py: log lines are events
        control.wait_status("myapp", "active")                                   # /v1/resolve, by events of the log

World:      backend(unix=False), control(**settings), agent(control, backend, app=, wait=True, **settings),
            allow(repo, tag, **changes) writes an allowlist, platform (SimulatedPlatform), collateral_dir,
            allowlist_dir, path (temporary folder)
Control:    port, proxy_port, get/post/request (control listener), admin_get(path), visit(app, path, ...),
            envelope(app, method, path, headers, body), app_agents(app), metric(name, **labels), ws_url, wire_agent()
            and everything of Program: log, wait_event, wait_access, signal, terminate, kill, rss_bytes, ...
Response:   status, headers (list of pairs), header(name), header_all(name), body, text, json()
http_request(port, method, path, ...) makes one request on a new connection; raw_exchange(port, bytes) sends bytes;
lasting_port() is for a control plane that is to come back on the same port.
assert_below(limit, measure) judges the best of ten measurements; assert_leaving_is_heard() is one of these.
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl as ssl_module
import time
import urllib.parse

from backend import Backend
from programs import START_SECONDS, Program, lasting_port
from wire_agent import WireAgent, run

__all__ = ["ADMIN_TOKEN", "APP_DOMAIN", "World", "Control", "Response", "http_request", "lasting_port",
           "assert_below", "assert_leaving_is_heard", "raw_exchange", "run", "until"]

ADMIN_TOKEN = "admin-token-of-the-tests"
APP_DOMAIN = "app.test"


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header_all(self, name):
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def header(self, name):
        values = self.header_all(name)
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        """The code of a problem+json answer or of a resolve body."""
        return self.json().get("reason")

    def __repr__(self):
        return f"Response({self.status}, {self.headers}, {self.body[:300]!r})"


def http_request(port, method, path, headers=None, body=None, timeout=20, tls=None):
    """One request on a connection of its own. `headers`: dict or list of pairs (then nothing but Host is added)."""
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=tls)
    try:
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        names = [name.lower() for name, _ in pairs]
        connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value)
        if body is not None and "content-length" not in names and "transfer-encoding" not in names:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Response(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def raw_exchange(port, data, timeout=10, half_close=False):
    """Sends these bytes, and returns everything until the peer closes or `timeout` has passed without a byte."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def until(condition, timeout=10, what="the condition"):
    """Waits for a state that no event announces; its value. Asks every 20 ms, fails after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {timeout} s; last: {value!r}")
        time.sleep(0.02)


def assert_below(limit, measure):
    """One of ten measurements is below the limit: a machine that is busy for a while is no fault of the product."""
    tries = []
    for _ in range(10):
        tries.append(measure())
        if tries[-1] < limit:
            return
    raise AssertionError(f"none of {tries} is below {limit}")


def assert_leaving_is_heard(heard, leave):
    """The backend sets the event `heard` within a second of `leave()`, which asks it and ends as a visitor does that has
    gone."""
    def seconds():
        heard.clear()
        leave()
        left_at = time.monotonic()
        assert heard.wait(5), "the backend hears that the visitor has left"
        return time.monotonic() - left_at

    assert_below(1, seconds)


class Control(Program):
    """easyenclave-control on free ports of loopback."""

    def __init__(self, world, settings, arguments=()):
        self.world = world
        super().__init__("easyenclave-control", settings, arguments)
        started = self.wait_event("control.started", START_SECONDS)
        self.port = int(started["control"].rsplit(":", 1)[1])
        self.proxy_port = int(started["proxy"].rsplit(":", 1)[1])
        self.tls = settings.get("EE_TLS_CERT") is not None

    @property
    def ws_url(self):
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/v1/tunnel"

    def _client_tls(self):
        return ssl_module.create_default_context(cafile=str(self.world.tls_ca)) if self.tls else None

    def request(self, method, path, headers=None, body=None, timeout=20):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        return http_request(self.port, method, path, headers, body, timeout, self._client_tls())

    def get(self, path, headers=None):
        return self.request("GET", path, headers)

    def post(self, path, body=None, headers=None, timeout=20):
        return self.request("POST", path, {"Content-Type": "application/json", **(headers or {})}, body or {}, timeout)

    def admin_get(self, path):
        return self.get(path, {"Authorization": f"Bearer {ADMIN_TOKEN}"})

    def visit(self, app, path="/", method="GET", headers=None, body=None, timeout=20):
        """A visitor's request at the proxy listener."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.insert(0, ("Host", f"{app}.{APP_DOMAIN}"))
        return http_request(self.proxy_port, method, path, pairs, body, timeout)

    def envelope(self, app, method="GET", path="/", headers=None, body=b"", timeout=20):
        """The same as a JSON envelope: POST /v1/proxy/{app}."""
        import base64
        message = {"method": method, "path": path, "headers": headers or {},
                   "body_b64": base64.b64encode(body).decode()}
        return self.post(f"/v1/proxy/{app}", message, timeout=timeout)

    def resolve(self, app):
        return self.get(f"/v1/resolve/{app}").json()

    def app(self, app):
        """GET /v1/apps/{app} as the admin."""
        answer = self.admin_get(f"/v1/apps/{app}")
        assert answer.status == 200, answer
        return answer.json()

    def app_agents(self, app):
        return self.app(app)["agents_detail"]

    def wait_status(self, app, status, timeout=10):
        """Until resolve gives this status; the body. Asks: a status may change by time alone."""
        return until(lambda: (body := self.resolve(app)).get("status") == status and body, timeout,
                     f"{app} is {status}")

    def metric(self, name, **labels):
        """The value of one sample of GET /metrics, without labels the sum of all of that name; 0 when there is none."""
        wanted = name + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "} "
        begins = (wanted,) if labels else (name + " ", name + "{")
        lines = self.admin_get("/metrics").text.splitlines()
        return sum((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(begins)), 0.0)

    def wire_agent(self, platform=None, connect=True, **options):
        """A WireAgent to this control plane, connected; closed at the end of the test."""
        options.setdefault("ssl", self._client_tls())
        agent = WireAgent(self.ws_url, platform or self.world.platform, **options)
        self.world.wire_agents.append(agent)
        return agent.connect() if connect else agent


class World:
    """Everything of one test; see the head of this file."""

    def __init__(self, path, platform):
        self.path, self.platform = pathlib.Path(path), platform
        self.programs, self.backends, self.wire_agents = [], [], []
        self._hides_absence = False
        self.allowlist_dir = self.path / "allowlists"
        self.collateral_dir = self.path / "collateral"
        self.allowlist_dir.mkdir()
        self.collateral_dir.mkdir()
        self.put_collateral()
        self.allow()

    def put_collateral(self, **changes):
        collateral = {**self.platform.collateral(), **changes}
        # In one step: it may be read at any moment.
        (self.collateral_dir / "collateral.tmp").write_text(json.dumps(collateral))
        os.replace(self.collateral_dir / "collateral.tmp", self.collateral_dir / "collateral.json")

    def remove_collateral(self):
        (self.collateral_dir / "collateral.json").unlink()

    def allow(self, repo="org/repo", tag="v0.1.3", text=None, **changes):
        """Publishes the allowlist of a release: the platform's, with these members changed; or `text` as it is."""
        file = self.allowlist_dir / urllib.parse.quote(repo, safe="/") / f"{urllib.parse.quote(tag, safe='')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if text is not None
                        else json.dumps({**self.platform.allowlist(), "release_tag": tag, **changes}))

    def backend(self, unix=False):
        backend = Backend(self.path / f"backend-{len(self.backends)}.sock" if unix else None)
        self.backends.append(backend)
        return backend

    def control(self, *arguments, **settings):
        """Starts a control plane. A setting that is None is left unset. EE_DB_PATH stays the same within a world."""
        self._mark_alive(settings)
        return self._run(Control(self, self._chosen({
            "EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": 0, "EE_PROXY_BIND": "127.0.0.1", "EE_PROXY_PORT": 0,
            "EE_ALLOWLIST_DIR": self.allowlist_dir, "EE_COLLATERAL_DIR": self.collateral_dir,
            "EE_GITHUB_API_URL": "none",
            "EE_TDX_ROOT_CA": self.platform.root, "EE_ADMIN_TOKEN": ADMIN_TOKEN, "EE_APP_DOMAIN": APP_DOMAIN,
            "EE_DB_PATH": self.path / "control-plane.db", "EE_DRAIN_SEC": 5, "EE_LOG_LEVEL": "debug",
            "EE_LOG_FORMAT": "json"}, settings), arguments))

    def hide_absence(self):
        """As if the control plane had run until its next start: cells are hours, and tests do not live through them.
        Its mark of when it was last alive is of that moment then."""
        self._hides_absence = True

    def _mark_alive(self, settings):
        if self._hides_absence:
            now = time.time() + int(settings.get("CLOCK_SHIFT_SECONDS", 0))
            (self.path / "control-plane.db.alive").write_text(f"{int(now * 1e6):019d}\n")
        self._hides_absence = False

    def agent_settings(self, control, backend=None, app="myapp", **settings):
        return self._chosen({
            # By name: the certificate's is checked, and the agent knows localhost without a hosts file.
            "EE_CONTROL_WS": control.ws_url.replace("127.0.0.1", "localhost"),
            "EE_REPO": "org/repo", "EE_RELEASE_TAG": "v0.1.3", "EE_APP_NAME": app,
            "EE_NETWORK": "sandbox-1", "EE_BACKEND_URL": backend.url if backend else None,
            "EE_QUOTE_PROVIDER": "simulated", "EE_SIMULATED_TDX_DIR": self.platform.directory,
            "EE_STATE_DIR": self.path / f"state-{app}", "EE_HEALTH_INTERVAL_SEC": 1, "EE_RECONNECT_MAX_SEC": 1,
            "EE_DRAIN_SEC": 5, "EE_LOG_LEVEL": "debug", "EE_LOG_FORMAT": "json"}, settings)

    def agent(self, control, backend=None, app="myapp", wait=True, **settings):
        """Starts easyenclave-agent and, with `wait`, waits until visitors reach it."""
        agent = self._run(Program("easyenclave-agent", self.agent_settings(control, backend, app, **settings)))
        if wait:
            agent.wait_event("agent.serving", START_SECONDS)
            control.wait_status(app, "active")
        return agent

    def program(self, name, settings, *arguments):
        """Any program of the product, for tests of how it ends."""
        return self._run(Program(name, self._chosen(settings, {}), arguments))

    def _run(self, program):
        self.programs.append(program)
        return program

    @staticmethod
    def _chosen(defaults, settings):
        return {k: v for k, v in {**defaults, **settings}.items() if v is not None}

    # ---- TLS ----

    @property
    def tls_ca(self):
        return self.path / "tls" / "ca.pem"

    def make_tls(self):
        """A test CA and a certificate for localhost and the apps: the settings EE_TLS_CERT, EE_TLS_KEY."""
        folder = self.path / "tls"
        if not folder.exists():
            folder.mkdir()
            make_authority(folder, "ca")
            make_certificate(folder, "server", "ca")
        return {"EE_TLS_CERT": folder / "server.pem", "EE_TLS_KEY": folder / "server.key"}

    def close(self):
        for agent in self.wire_agents:
            if agent._changed is not None and not agent.closed:
                try:
                    agent.close()
                except Exception:  # It is being thrown away; the test has said what it had to say.
                    pass
        for program in reversed(self.programs):
            if program.running():
                program.kill()
        for backend in self.backends:
            backend.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def transcripts(self):
        for program in self.programs:
            yield f"{program.name} (pid {program.pid}, exit code {program.process.poll()})", program.transcript()


def _openssl(*arguments):
    import subprocess
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=10)


def make_authority(folder, name):
    """A CA: NAME.pem, NAME.key."""
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
             f"/CN=Test {name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_certificate(folder, name, authority):
    """A server certificate for localhost, 127.0.0.1 and the apps' names of that CA: NAME.pem, NAME.key."""
    names = f"DNS:localhost,IP:127.0.0.1,DNS:*.{APP_DOMAIN}"
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    _openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{authority}.pem", "-CAkey",
             folder / f"{authority}.key", "-CAcreateserial", "-days", 2, "-extfile", folder / f"{name}.ext",
             "-out", folder / f"{name}.pem")

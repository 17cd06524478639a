"""What the benchmarks run on: one temporary folder, and programs on loopback that die with this one."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 15
STOP_SECONDS = 5
BODY = "x" * 1024
APP, DOMAIN = "bench", "localhost"
REPO, RELEASE, NETWORK = "bench/load", "v1.0.0", "sandbox-1"  # tunnel_load registers with these, too.
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
PACKAGE_OF = {"nginx": "nginx-light", "wrk": "wrk", "setpriv": "util-linux", "h2load": "nghttp2-client",
              "openssl": "openssl"}
KEEPALIVE = 64  # Connections that a hop keeps to the next one.


class BenchError(Exception):
    """The benchmark cannot be made; the text says why and what to do."""


def require(bin_dir, programs, tools):
    """Says what is missing, and the one line that brings it."""
    packages = sorted({PACKAGE_OF[tool] for tool in tools if not find_tool(tool)})
    if packages:
        raise BenchError(f"missing: {' '.join(packages)}. Install with:\n"
                         f"  sudo apt-get install -y --no-install-recommends {' '.join(packages)}")
    absent = [program for program in programs if not os.access(bin_dir / program, os.X_OK)]
    if absent:
        raise BenchError(f"not built in {bin_dir}: {' '.join(absent)}. `make bench` builds them")


def find_tool(name):
    """Its path, or None. EE_BENCH_TOOLS is one more folder to look in, as it is and in its bin/."""
    folders = [os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    if os.environ.get("EE_BENCH_TOOLS"):
        folders += [os.environ["EE_BENCH_TOOLS"], os.path.join(os.environ["EE_BENCH_TOOLS"], "bin")]
    return shutil.which(name, path=":".join(folders))


def run_quietly(command):
    """For what only has to be done before something else is measured."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=START_SECONDS)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A running program; its output goes to NAME.out and NAME.log in the folder."""

    def __init__(self, lab, name, command, environment=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name, self.log = name, lab.folder / f"{name}.log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EE_")}
        with open(self.log, "wb") as log, open(lab.folder / f"{name}.out", "wb") as out:
            # Whatever ends the benchmark ends the program.
            self.popen = subprocess.Popen(
                [find_tool("setpriv"), "--pdeathsig", "TERM", *map(str, command)],
                env={**inherited, **{k: str(v) for k, v in (environment or {}).items()}},
                cwd=lab.folder, stdin=stdin, stdout=stdout or out, stderr=log,
                start_new_session=not lab.is_one_session, process_group=0 if lab.is_one_session else None)

    @property
    def pid(self):
        return self.popen.pid

    def pids(self):
        """This process and its children: nginx works in a child."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return [self.pid, *map(int, children.read().split())]

    def cpu_seconds(self):
        """User and system time so far, all threads."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / CLOCK_TICKS

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
        raise BenchError(f"/proc/{self.pid}/smaps_rollup has no Rss")

    def text(self):
        return self.log.read_text(errors="replace")

    def failed(self, why):
        code = self.popen.poll()
        state = "runs" if code is None else f"ended with {code}"
        return BenchError(f"{self.name} {state}: {why}\n" + "\n".join(self.text().splitlines()[-10:]))

    def event(self, name, seconds=START_SECONDS, count=1):
        """The first line of its JSON log with this event, as soon as so many are there."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.popen.poll() is not None
            lines = [line for line in self.text().splitlines() if f'"event":"{name}"' in line]
            if len(lines) >= count:
                return json.loads(lines[0])
            if ended or time.monotonic() > deadline:
                raise self.failed(f"{len(lines)} of {count} {name} within {seconds} s")
            time.sleep(0.02)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream:
                stream.close()


def _late(*_):
    raise BenchError("not done in time; is the machine busy with something else?")


def _interrupted(*_):
    raise KeyboardInterrupt


class Lab:
    """Everything that one figure starts. Use it as a context: the end, after `seconds` at the latest, removes all."""

    def __init__(self, bin_dir, seconds):
        self.bin, self.seconds = bin_dir, seconds
        self.product_environment = {}  # More of it, for control planes and agents.
        # Between sessions Linux shares the cores evenly, whatever is in them: niceness counts within one only
        # (sched(7), "The autogroup feature").
        self.is_one_session = False
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="easyenclave-bench-"))
        self.processes = []
        self._number = 0

    def __enter__(self):
        signal.signal(signal.SIGALRM, _late)
        signal.signal(signal.SIGTERM, _interrupted)
        signal.signal(signal.SIGINT, _interrupted)
        signal.alarm(self.seconds)
        return self

    def __exit__(self, *_):
        signal.alarm(0)
        # Cleaning up is bounded itself; what interrupts it comes after it.
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS)

    def start(self, name, command, environment=None, **streams):
        self._number += 1
        process = Process(self, f"{self._number}-{name}", command, environment, **streams)
        self.processes.append(process)
        return process

    def stop(self, process):
        process.stop()
        self.processes.remove(process)

    # ---- nginx ----

    def nginx(self, name, template, **values):
        """Starts nginx on a free port; (process, port)."""
        for folder in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.folder / f"{name}-{folder}").mkdir(exist_ok=True)
        paths = "".join(f"{kind}_temp_path {self.folder}/{name}-{folder}; " for kind, folder in (
            ("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"), ("scgi", "scgi")))
        user = "user root;" if os.geteuid() == 0 else ""
        # A port that was free may be taken by the time nginx binds it.
        for _ in range(3):
            port = free_port()
            text = (BENCH / "nginx" / template).read_text()
            for key, value in {"FOLDER": self.folder, "NAME": name, "PORT": port, "USER": user, "TEMP_PATHS": paths,
                               "KEEPALIVE": KEEPALIVE, **values}.items():
                text = text.replace(f"@{key}@", str(value))
            config = self.folder / f"{name}.conf"
            config.write_text(text)
            process = self.start(f"nginx-{name}", [find_tool("nginx"), "-e", "stderr", "-p", self.folder, "-c", config])
            if self._listens(process, port, workers=1):
                return process, port
            self.stop(process)
        raise process.failed("it does not listen")

    def await_port(self, process, port):
        if not self._listens(process, port):
            raise process.failed(f"it does not listen on {port}")

    @staticmethod
    def _listens(process, port, workers=0):
        deadline = time.monotonic() + START_SECONDS
        while process.popen.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                if process.popen.poll() is None and len(process.pids()) > workers:
                    return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    # ---- The product ----

    def platform(self):
        """The folder of the simulated TDX platform with its collateral and allowlist in place; made once."""
        platform = self.folder / "platform"
        if not platform.exists():
            run_quietly([self.bin / "eectl", "simulate", "init", platform])
            allowlist = self.folder / "allowlists" / REPO / f"{RELEASE}.json"
            allowlist.parent.mkdir(parents=True)
            (self.folder / "collateral").mkdir()
            shutil.copy(platform / "collateral.json", self.folder / "collateral")
            shutil.copy(platform / "allowlist.json", allowlist)
        return platform

    def certificate(self):
        """(certificate, key) of localhost; made once."""
        certificate, key = self.folder / "localhost.pem", self.folder / "localhost.key"
        if not certificate.exists():
            run_quietly([find_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                         "-nodes", "-days", 2, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                         "-keyout", key, "-out", certificate])
        return certificate, key

    def control(self, tls=False, after=None):
        """Starts a control plane with a store of its own, or with store and ports of the one before: `after`."""
        platform = self.platform()
        store = after.store if after else self.folder / f"store-{self._number}" / "control-plane.db"
        control_port, proxy_port = (after.control_port, after.proxy_port) if after else (0, 0)
        certificate = dict(zip(("EE_TLS_CERT", "EE_TLS_KEY"), self.certificate())) if tls else {}
        process = self.start("control", [self.bin / "easyenclave-control"], {
            "EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": control_port, "EE_PROXY_BIND": "127.0.0.1",
            "EE_PROXY_PORT": proxy_port, "EE_APP_DOMAIN": DOMAIN, "EE_DB_PATH": store, **certificate,
            "EE_COLLATERAL_DIR": self.folder / "collateral", "EE_ALLOWLIST_DIR": self.folder / "allowlists",
            "EE_TDX_ROOT_CA": platform / "root.pem", "EE_ATTEST_INTERVAL_SEC": 86400, "EE_HEALTH_TIMEOUT_SEC": 1800,
            "EE_ADMIT_RPS": 1000000, "EE_MAX_UNREGISTERED": 100000, "EE_MAX_UNREGISTERED_PER_ADDRESS": 100000,
            "EE_DRAIN_SEC": 1, "EE_LOG_FORMAT": "json", "EE_LOG_LEVEL": "info", **self.product_environment})
        started = process.event("control.started")
        process.store, process.tls = store, tls
        process.control_port, process.proxy_port = (int(started[listener].rsplit(":", 1)[1])
                                                    for listener in ("control", "proxy"))
        process.url = f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{process.control_port}/v1/tunnel"
        return process

    def agents(self, control, backend_port, apps):
        """Starts one agent for each name in `apps`, and waits until all serve."""
        processes = [self.start("agent", [self.bin / "easyenclave-agent"],
                                {"EE_APP_NAME": app, **self.agent_environment(control, backend_port)}) for app in apps]
        for process in processes:
            process.event("agent.serving")
        return processes

    def agents_in_one(self, control, backend_port, apps):
        """The same agents in one process."""
        process = self.start("agents", [self.bin / "agents", *apps], self.agent_environment(control, backend_port))
        process.event("agent.serving", count=len(apps))
        return [process]

    def agent_environment(self, control, backend_port):
        """Of an agent whose app is still to be named."""
        ca = {"EE_TLS_CA": self.certificate()[0]} if control.tls else {}
        return {
            "EE_CONTROL_WS": control.url, "EE_REPO": REPO, "EE_RELEASE_TAG": RELEASE, "EE_NETWORK": NETWORK,
            "EE_BACKEND_URL": f"http://127.0.0.1:{backend_port}", "EE_QUOTE_PROVIDER": "simulated",
            "EE_SIMULATED_TDX_DIR": self.platform(), **ca, "EE_STATE_DIR": self.folder / f"agent-state-{self._number}",
            "EE_DRAIN_SEC": 1, "EE_LOG_FORMAT": "json", "EE_LOG_LEVEL": "info", **self.product_environment}


def ask(port, path, host):
    """(status, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Way:
    """One way from the load to the backend: its address, and the processes whose CPU time counts."""

    def __init__(self, name, port, processes, host=f"{APP}.{DOMAIN}"):
        self.name, self.port, self.processes, self.host = name, port, processes, host
        self.folder = processes[0].log.parent

    def check(self, path="/", size=len(BODY), host=None):
        """One request by hand: what follows measures answers, not refusals."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                status, body = ask(self.port, path, host or self.host)
                if status == 200 and len(body) == size:
                    return
                said = f"{status}, {len(body)} bytes: {body[:300].decode(errors='replace')}"
            except OSError as error:  # It may not listen yet.
                said = error
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} answers {said}")
            time.sleep(0.1)

    def load(self, connections, seconds, path="/", script="report.lua", arguments=()):
        """wrk's report, with `rate` and `mib_s` (a second) and `cpu_us` (of the processes between, a request)."""
        before = sum(process.cpu_seconds() for process in self.processes)
        run = self._run([find_tool("wrk"), "-t", "1", "-c", connections, "-d", f"{seconds}s", "-s", BENCH / script,
                         "-H", f"Host: {self.host}", f"http://127.0.0.1:{self.port}{path}", "--", *arguments], seconds)
        cpu = sum(process.cpu_seconds() for process in self.processes) - before
        lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
        if run.returncode != 0 or not lines:
            raise BenchError(f"wrk ended with {run.returncode}: {run.stderr}{run.stdout}")
        report = json.loads(lines[-1])
        if report["requests"] == 0 or report["not_2xx"] or report["socket_errors"]:
            raise BenchError(f"{self.name}, {connections} connections: {lines[-1]}")
        return {**report, "rate": report["requests"] / report["seconds"], "cpu_us": cpu / report["requests"] * 1e6,
                "mib_s": report["bytes"] / report["seconds"] / 2**20}

    def steady_load(self, rate, connections, seconds):
        """`rate` requests a second in all, whatever the answers take: their p50 and p99."""
        log = self.folder / "h2load.log"
        log.unlink(missing_ok=True)
        run = self._run([find_tool("h2load"), "--h1", f"--rps={rate / connections:.3f}", "-c", connections, "-D", seconds,
                         f"--log-file={log}", f"--connect-to=127.0.0.1:{self.port}", f"http://{self.host}/"], seconds)
        answers = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
        if run.returncode != 0 or not answers:
            raise BenchError(f"h2load ended with {run.returncode}: {run.stderr}{run.stdout}")
        refused = [status for _, status, _ in answers if status != "200"]
        if refused:
            raise BenchError(f"{self.name}: {len(refused)} of {len(answers)} answers at {rate:.0f}/s are not 200 but "
                             f"{sorted(set(refused))}")
        times = sorted(int(microseconds) for _, _, microseconds in answers)
        return {"rate": len(times) / seconds, "p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100]}

    def _run(self, command, seconds):
        try:
            return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds + 15)
        except subprocess.TimeoutExpired as late:
            raise BenchError(f"{self.name}: {command[0]} has not ended after {late.timeout} s") from late


class Conversation:
    """A program that takes commands, one a line, and says when each is done."""

    def __init__(self, process):
        self.process = process

    def command(self, text):
        try:
            self.process.popen.stdin.write(f"{text}\n".encode())
            self.process.popen.stdin.flush()
        except BrokenPipeError:
            pass  # There will be no report, either.

    def report(self, or_else):
        """What it says next, in JSON."""
        line = self.process.popen.stdout.readline()  # Ends with the process, or with the run's deadline.
        if not line:
            self.process.popen.wait(STOP_SECONDS)
            raise self.process.failed(or_else)
        return json.loads(line)

    def check(self):
        """It ends at the first loss."""
        if self.process.popen.poll() is not None:
            raise self.process.failed("it lost what it had opened")


class TunnelLoad(Conversation):
    """tunnel_load, connected to a control plane."""

    def __init__(self, lab, control, at_once=64, niceness=0):
        ca = ["--ca", lab.certificate()[0]] if control.tls else []
        super().__init__(lab.start("tunnel-load", [
            "nice", "-n", niceness, lab.bin / "tunnel_load", *ca, control.url, lab.platform(), at_once],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    def open(self, tunnels):
        """Opens so many more; its report when all are attested."""
        self.command(f"open {tunnels}")
        return self.report("it did not open its tunnels")


def backend(lab):
    """The backend of all ways: 1 KiB at /, files below /files/, anything taken at /upload. Its port."""
    return lab.nginx("backend", "backend.conf", BODY=BODY)[1]


def next_hop(name, port, keepalive=KEEPALIVE):
    """What a hop's configuration says of the next one."""
    return (f"upstream {name} {{ server 127.0.0.1:{port}; keepalive {keepalive}; keepalive_requests 1000000000; "
            "keepalive_timeout 300s; }")


def second_hop(lab, name, backend_port, keepalive=KEEPALIVE):
    return lab.nginx(name, "hop.conf", NEXT_HOPS=next_hop("next", backend_port, keepalive), NEXT="next", ACCESS_LOG="off")


def first_hop(lab, name, next_hops, following="next"):
    return lab.nginx(name, "hop.conf", NEXT_HOPS=next_hops, NEXT=following,
                     ACCESS_LOG=f"{lab.folder}/{name}.access line buffer=64k flush=1s")


def two_hops(lab, backend_port, keepalive=KEEPALIVE):
    """The yardstick: nginx to nginx to the backend."""
    second, second_port = second_hop(lab, "second", backend_port, keepalive)
    front, front_port = first_hop(lab, "front", next_hop("next", second_port, keepalive))
    return Way("nginx, two hops", front_port, [front, second])


def hop_each(lab, backend_port, apps):
    """The same with a second hop for each name in `apps`, as each has an agent."""
    seconds = [second_hop(lab, f"second-{app}", backend_port) for app in apps]
    hops = " ".join(next_hop(app, port) for app, (_, port) in zip(apps, seconds))
    names = " ".join(f"{app}.{DOMAIN} {app};" for app in apps)
    front, front_port = first_hop(lab, "front-each", f"{hops} map $host $next {{ {names} }}", "$next")
    return Way(f"nginx, {len(apps)} second hops", front_port, [front, *(process for process, _ in seconds)])


def app_tunnel(lab, backend_port, tls=False, apps=(APP,), in_one=False):
    """The product: control plane, v2 tunnel, an agent for each name in `apps`, backend."""
    control = lab.control(tls)
    agents = (lab.agents_in_one if in_one else lab.agents)(control, backend_port, apps)
    return Way("TLS tunnel" if tls else "tunnel", control.proxy_port, [control, *agents])


def both_ways(lab, tls=False):
    port = backend(lab)
    ways = app_tunnel(lab, port, tls), two_hops(lab, port)
    for way in ways:
        way.check()
    return ways

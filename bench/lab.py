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
PACKAGE_OF = {"nginx": "nginx-light", "wrk": "wrk", "setpriv": "util-linux"}


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
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


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
                cwd=lab.folder, stdin=stdin, stdout=stdout or out, stderr=log, start_new_session=True)

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

    def event(self, name, seconds=START_SECONDS):
        """The first line of its JSON log with this event, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.popen.poll() is not None
            for line in self.text().splitlines():
                if f'"event":"{name}"' in line:
                    return json.loads(line)
            if ended or time.monotonic() > deadline:
                raise self.failed(f"no {name} within {seconds} s")
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
                               **values}.items():
                text = text.replace(f"@{key}@", str(value))
            config = self.folder / f"{name}.conf"
            config.write_text(text)
            process = self.start(f"nginx-{name}", [find_tool("nginx"), "-e", "stderr", "-p", self.folder, "-c", config])
            if self._listens(process, port):
                return process, port
            self.stop(process)
        raise process.failed("it does not listen")

    @staticmethod
    def _listens(process, port):
        deadline = time.monotonic() + START_SECONDS
        while process.popen.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                if process.popen.poll() is None and len(process.pids()) > 1:
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
            made = subprocess.run([self.bin / "eectl", "simulate", "init", platform], capture_output=True, text=True,
                                  timeout=START_SECONDS)
            if made.returncode != 0:
                raise BenchError(f"eectl simulate init ended with {made.returncode}: {made.stderr}")
            allowlist = self.folder / "allowlists" / REPO / f"{RELEASE}.json"
            allowlist.parent.mkdir(parents=True)
            (self.folder / "collateral").mkdir()
            shutil.copy(platform / "collateral.json", self.folder / "collateral")
            shutil.copy(platform / "allowlist.json", allowlist)
        return platform

    def control(self):
        """Starts a control plane with a store of its own; (process, control port, proxy port)."""
        platform = self.platform()
        process = self.start("control", [self.bin / "easyenclave-control"], {
            "EE_CONTROL_BIND": "127.0.0.1", "EE_CONTROL_PORT": 0, "EE_PROXY_BIND": "127.0.0.1", "EE_PROXY_PORT": 0,
            "EE_APP_DOMAIN": DOMAIN, "EE_DB_PATH": self.folder / f"store-{self._number}" / "control-plane.db",
            "EE_COLLATERAL_DIR": self.folder / "collateral", "EE_ALLOWLIST_DIR": self.folder / "allowlists",
            "EE_TDX_ROOT_CA": platform / "root.pem", "EE_ATTEST_INTERVAL_SEC": 86400, "EE_HEALTH_TIMEOUT_SEC": 3600,
            "EE_ADMIT_RPS": 1000000, "EE_MAX_UNREGISTERED": 100000, "EE_MAX_UNREGISTERED_PER_ADDRESS": 100000,
            "EE_DRAIN_SEC": 1, "EE_LOG_FORMAT": "json", "EE_LOG_LEVEL": "info"})
        started = process.event("control.started")
        return process, *(int(started[listener].rsplit(":", 1)[1]) for listener in ("control", "proxy"))

    def agent(self, control_port, backend_port):
        process = self.start("agent", [self.bin / "easyenclave-agent"], {
            "EE_CONTROL_WS": f"ws://127.0.0.1:{control_port}/v1/tunnel", "EE_REPO": REPO, "EE_RELEASE_TAG": RELEASE,
            "EE_APP_NAME": APP, "EE_NETWORK": NETWORK, "EE_BACKEND_URL": f"http://127.0.0.1:{backend_port}",
            "EE_QUOTE_PROVIDER": "simulated", "EE_SIMULATED_TDX_DIR": self.platform(),
            "EE_STATE_DIR": self.folder / "agent-state", "EE_DRAIN_SEC": 1, "EE_LOG_FORMAT": "json",
            "EE_LOG_LEVEL": "info"})
        process.event("agent.serving")
        return process


class Way:
    """One way from the load to the backend: its address, and the processes whose CPU time counts."""

    def __init__(self, name, port, host, processes):
        self.name, self.port, self.host, self.processes = name, port, host, processes

    def check(self):
        """One request by hand: what follows measures answers, not refusals."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
            try:
                connection.request("GET", "/", headers={"Host": self.host})
                answer = connection.getresponse()
                status, body = answer.status, answer.read().decode(errors="replace")
            finally:
                connection.close()
            if status == 200 and body == BODY:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} answers {status}: {body[:300]}")
            time.sleep(0.1)

    def load(self, connections, seconds):
        """wrk's report, with `rate` (a second) and `cpu_us` (of the processes between, a request)."""
        before = sum(process.cpu_seconds() for process in self.processes)
        try:
            run = subprocess.run(
                [find_tool("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", BENCH / "report.lua",
                 "-H", f"Host: {self.host}", f"http://127.0.0.1:{self.port}/"],
                capture_output=True, text=True, timeout=seconds + 15)
        except subprocess.TimeoutExpired as late:
            raise BenchError(f"{self.name}: wrk has not ended after {late.timeout} s") from late
        cpu = sum(process.cpu_seconds() for process in self.processes) - before
        lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
        if run.returncode != 0 or not lines:
            raise BenchError(f"wrk ended with {run.returncode}: {run.stderr}{run.stdout}")
        report = json.loads(lines[-1])
        if report["requests"] == 0 or report["not_2xx"] or report["socket_errors"]:
            raise BenchError(f"{self.name}, {connections} connections: {lines[-1]}")
        return {**report, "rate": report["requests"] / report["seconds"], "cpu_us": cpu / report["requests"] * 1e6}


class TunnelLoad:
    """tunnel_load, connected to a control plane."""

    def __init__(self, lab, control_port, at_once=64, niceness=0):
        self.process = lab.start("tunnel-load", [
            "nice", "-n", niceness, lab.bin / "tunnel_load", f"ws://127.0.0.1:{control_port}/v1/tunnel", lab.platform(), at_once],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def open(self, tunnels):
        """Opens so many more; its report when all are attested."""
        try:
            self.process.popen.stdin.write(b"open %d\n" % tunnels)
            self.process.popen.stdin.flush()
            line = self.process.popen.stdout.readline()  # Ends with the process, or with the run's deadline.
        except BrokenPipeError:
            line = b""
        if not line:
            self.process.popen.wait(STOP_SECONDS)
            raise self.process.failed("it did not open its tunnels")
        return json.loads(line)

    def check(self):
        """Every tunnel that was opened still is: the load ends at the first loss."""
        if self.process.popen.poll() is not None:
            raise self.process.failed("a tunnel was lost")


def two_hops(lab, backend_port):
    """The yardstick: nginx to nginx to the backend."""
    second, second_port = lab.nginx("second", "hop.conf", NEXT_PORT=backend_port, ACCESS_LOG="off")
    front, front_port = lab.nginx("front", "hop.conf", NEXT_PORT=second_port,
                                  ACCESS_LOG=f"{lab.folder}/front.access line buffer=64k flush=1s")
    return Way("nginx, two hops", front_port, f"{APP}.{DOMAIN}", [front, second])


def app_tunnel(lab, backend_port):
    """The product: control plane, v2 tunnel, agent, backend."""
    control, control_port, proxy_port = lab.control()
    agent = lab.agent(control_port, backend_port)
    way = Way("tunnel", proxy_port, f"{APP}.{DOMAIN}", [control, agent])
    way.control_port = control_port
    return way


def both_ways(lab):
    _, backend_port = lab.nginx("backend", "backend.conf", BODY=BODY)
    ways = app_tunnel(lab, backend_port), two_hops(lab, backend_port)
    for way in ways:
        way.check()
    return ways

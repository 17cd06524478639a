"""What tunnels and streams cost the control plane: memory while they are idle, processor time while they come."""

import http.client
import resource
import statistics
import subprocess
import sys
import threading
import time

from lab import APP, BENCH, BODY, DOMAIN, BenchError, Conversation, TunnelLoad, app_tunnel, ask, backend
from rows import row, say

CORES = 2  # All processes share these, on larger machines too.
TUNNELS, TUNNELS_REGISTERING = 20_000, 2000
DESCRIPTORS_BESIDE = 300  # Of control plane and load, which have one for each tunnel.
REGISTRATION_RUNS = 3
STORM_AGENTS = 1000
STORM_CONNECTIONS = 4
STORM_NICENESS = 10  # As the control plane's own threads that judge.
EARLIER_TUNNEL_BYTES = 21_500  # What an idle tunnel took in the implementation before this one.
PING_SECONDS = 17  # After this every tunnel has been pinged once (every 15 s).
STREAMS, STREAM_AGENTS = 10_000, 40
SETTLE_SECONDS = 2
GAP_SECONDS = 3  # Without a control plane.
PROBE_SECONDS = 0.05  # From one probe to the next.


def as_many(wanted):
    """So many connections, or what the limit of descriptors allows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_BESIDE
    if most < wanted:
        say(f"  {most} instead of {wanted}: the limit of descriptors (ulimit -Hn) is {most + DESCRIPTORS_BESIDE}")
    return min(most, wanted)


# ---- Idle ----

def idle_rss(control, load):
    time.sleep(PING_SECONDS)
    load.check()
    return control.rss_bytes()


def grow(lab, steps, tls=False):
    """Resident bytes of a control plane: without tunnels, then after each step of so many more."""
    control = lab.control(tls)
    load = TunnelLoad(lab, control)
    time.sleep(1)
    rss = [control.rss_bytes()]
    for tunnels in steps:
        load.open(tunnels)
        rss.append(idle_rss(control, load))
    say("  resident: " + ", ".join(f"{size / 1e6:.1f} MB with {sum(steps[:i])}" for i, size in enumerate(rss)) + " tunnels")
    return rss


def idle_tunnel_memory(lab, _wanted, _options):
    half = as_many(TUNNELS) // 2
    rss = grow(lab, [half, half])
    return [row("idle_tunnel_memory", (rss[2] - rss[0]) / (2 * half), "bytes/tunnel"),
            row("idle_tunnel_memory_further", (rss[2] - rss[1]) / half, "bytes/tunnel", EARLIER_TUNNEL_BYTES)]


def idle_tunnel_memory_tls(lab, _wanted, _options):
    tunnels = as_many(TUNNELS)
    rss = grow(lab, [tunnels], tls=True)
    return [row("idle_tunnel_memory_tls", (rss[1] - rss[0]) / tunnels, "bytes/tunnel")]


def stream_memory(lab, _wanted, _options):
    """WebSockets that are open and say nothing."""
    silent = silent_websockets(lab, "backend")
    tunnel = app_tunnel(lab, int(silent.report("no port")), apps=[APP] * STREAM_AGENTS)
    control, streams = tunnel.processes[0], as_many(STREAMS)
    visitors = silent_websockets(lab, "visitors", tunnel.port, tunnel.host)
    visitors.command("1")  # What is paid once is paid.
    visitors.report("it did not open its first WebSocket")
    time.sleep(SETTLE_SECONDS)
    before = control.rss_bytes()
    visitors.command(str(streams))
    visitors.report("it did not open its WebSockets")
    time.sleep(SETTLE_SECONDS)
    after = control.rss_bytes()
    say(f"  resident: {before / 1e6:.1f} MB, {after / 1e6:.1f} MB with {streams} WebSockets over {STREAM_AGENTS} agents")
    visitors.command("0")
    visitors.report("a WebSocket was lost")
    return [row("stream_memory", (after - before) / streams, "bytes/stream")]


def silent_websockets(lab, *arguments):
    return Conversation(lab.start(f"silent-{arguments[0]}",
                                  [sys.executable, BENCH / "silent_websockets.py", *arguments],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE))


# ---- Coming ----

def registrations(lab, _wanted, _options):
    runs = []
    for number in range(1, REGISTRATION_RUNS + 1):
        control = lab.control()
        load = TunnelLoad(lab, control)
        before = control.cpu_seconds()
        report = load.open(TUNNELS_REGISTERING)
        time.sleep(SETTLE_SECONDS)  # What is written a little later counts, too.
        runs.append((report["registered"] / report["seconds"],
                     (control.cpu_seconds() - before) / TUNNELS_REGISTERING * 1e6,
                     report["cpu_seconds"] / TUNNELS_REGISTERING * 1e6))
        say(f"  run {number}: {runs[-1][0]:.0f} tunnels/s; CPU a tunnel: control plane {runs[-1][1]:.0f} us, "
            f"generator {runs[-1][2]:.0f} us")
        lab.stop(load.process)
        lab.stop(control)
    rate, control_cpu, generator_cpu = (statistics.median(column) for column in zip(*runs))
    return [row("registrations", rate, "tunnels/s"), row("registration_cpu", control_cpu, "us/tunnel"),
            row("registration_generator_cpu", generator_cpu, "us/tunnel")]


def reconnect_20000(lab, _wanted, _options):
    """The control plane stops and starts again; every agent tries until it is back, as agents do."""
    tunnel = app_tunnel(lab, backend(lab))
    tunnel.check()
    control, load, tunnels = tunnel.processes[0], TunnelLoad(lab, tunnel.processes[0]), as_many(TUNNELS)
    load.open(tunnels)
    load.command("come back")
    prober = Prober(tunnel.port)
    stopped = time.monotonic()
    lab.stop(control)
    time.sleep(GAP_SECONDS)
    lab.control(after=control)
    started = time.monotonic()
    load.report("its tunnels did not come back")
    back = time.monotonic()
    tunnel.check()
    answers = prober.end()
    say(f"  {tunnels} tunnels, {started - stopped:.1f} s without a control plane, {back - started:.1f} s until the last "
        f"is attested again; meanwhile {answers}")
    return [row("reconnect_20000", back - started, "s")]


class Prober(threading.Thread):
    """Visits an app that a genuine agent serves and one of the load's, in turn, until its end. tunnel_load itself
    ends when it is sent a request before it is attested."""

    HOSTS = (f"{APP}.{DOMAIN}", f"load-7.{DOMAIN}")

    def __init__(self, port):
        super().__init__(daemon=True)  # Where the figure fails, nobody ends it.
        self.port, self.over = port, threading.Event()
        self.answers, self.wrong = {}, None
        self.start()

    def run(self):
        turn = 0
        while not self.over.wait(PROBE_SECONDS):
            host = self.HOSTS[turn % len(self.HOSTS)]
            turn += 1
            try:
                status, body = ask(self.port, "/", host)
            except ConnectionError:  # Nobody listens, or not any more.
                status, body = "no answer", b""
            except (OSError, http.client.HTTPException) as error:
                status, body = repr(error), b""
            self.answers[status] = self.answers.get(status, 0) + 1
            good = status == 200 and (host != self.HOSTS[0] or body == BODY.encode())
            if not good and status not in ("no answer", 503):
                self.wrong = f"{host} answers {status}: {body[:300]}"

    def end(self):
        """How often each answer came."""
        self.over.set()
        self.join()
        if self.wrong or 200 not in self.answers:
            raise BenchError(self.wrong or f"a probe of visitors' answers has no 200: {self.answers}")
        return ", ".join(f"{count} times {status}" for status, count in self.answers.items())


def attestation_storm(lab, _wanted, options):
    """1,000 agents come at once; then visitors are served: alone, beside processes that only use the cores, and with
    such storms one after the other."""
    lab.is_one_session = True
    tunnel = app_tunnel(lab, backend(lab))
    tunnel.check()
    control = tunnel.processes[0]
    runs = []
    for number in range(1, options.pairs + 1):
        # The agents' own work would be done on other machines: it takes what the rest leaves.
        load = TunnelLoad(lab, control, at_once=STORM_AGENTS, niceness=STORM_NICENESS)
        before = control.cpu_seconds()
        report = load.open(STORM_AGENTS)
        time.sleep(SETTLE_SECONDS)  # What the storm has left to write is written.
        rate, control_us, generator_us = (report["registered"] / report["seconds"],
                                          (control.cpu_seconds() - before) / STORM_AGENTS * 1e6,
                                          report["cpu_seconds"] / STORM_AGENTS * 1e6)
        quiet = tunnel.load(STORM_CONNECTIONS, options.seconds)["p99_us"]
        burners = [lab.start("burner", ["nice", "-n", STORM_NICENESS, "sh", "-c", "while :; do :; done"])
                   for _ in range(CORES)]
        contended = tunnel.load(STORM_CONNECTIONS, options.seconds)["p99_us"]
        for burner in burners:
            lab.stop(burner)
        storms = Storms(load)
        busy = tunnel.load(STORM_CONNECTIONS, options.seconds)["p99_us"]
        meanwhile = storms.end()
        lab.stop(load.process)
        runs.append((rate, control_us, generator_us, quiet, contended, busy, busy / quiet, busy / contended))
        say(f"  run {number}: {rate:.0f} agents/s; CPU an agent: control plane {control_us:.0f} us, generator "
            f"{generator_us:.0f} us; p99 of visitors {busy} us while {meanwhile:.0f} agents/s come, {quiet} us without, "
            f"{contended} us beside {CORES} busy loops")
    rate, control_us, generator_us, quiet, contended, busy, ratio, contended_ratio = (
        statistics.median(column) for column in zip(*runs))
    return [row("attestation_storm", rate, "agents/s"), row("attestation_storm_cpu", control_us, "us/agent"),
            row("attestation_storm_generator_cpu", generator_us, "us/agent"),
            row("attestation_storm_p99", busy, "us", quiet, ratio),
            row("attestation_storm_p99_contended", busy, "us", contended, contended_ratio)]


class Storms(threading.Thread):
    """Lets STORM_AGENTS come at once, and as many again when these are attested, until its end."""

    def __init__(self, load):
        super().__init__()
        self.load, self.over = load, threading.Event()
        self.reports, self.error = [], None
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                self.reports.append(self.load.open(STORM_AGENTS))
        except Exception as error:  # Raised by end(), in the thread that measures.
            self.error = error

    def end(self):
        """Agents attested a second."""
        self.over.set()
        self.join()
        if self.error:
            raise self.error
        return sum(r["registered"] for r in self.reports) / sum(r["seconds"] for r in self.reports)

#!/usr/bin/python3
"""Measures the product beside yardsticks on the same cores, prints a table and writes results.json.

    bench/run.py [--only NAME]            NAME: a figure or a row; see bench/README.md
    bench/run.py --with-ways COMMAND...   starts both ways of requests and runs COMMAND (bench/profile.sh)
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import threading
import time

import verifying
from lab import BODY, BenchError, Lab, TunnelLoad, both_ways, require, app_tunnel

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORES = 2  # All processes share these, on larger machines too.
CONNECTIONS = (1, 16, 64)
GOALS = {("requests", 1): 0.95, ("requests", 16): 1.2, ("requests", 64): 1.4, ("request_cpu", 16): 0.7,
         ("request_cpu", 64): 0.7}
WARM_UP_SECONDS = 1
TUNNELS = 2000
REGISTRATION_RUNS = 3
STORM_AGENTS = 1000
STORM_CONNECTIONS = 4
STORM_NICENESS = 10  # As the control plane's own threads that judge.
EARLIER_TUNNEL_BYTES = 21_500  # What an idle tunnel took in the implementation before this one.
PING_SECONDS = 17  # After this every tunnel has been pinged once (every 15 s).


def row(name, value, unit, yardstick=None, ratio=None, goal=None, at_most=False):
    """`ratio` is value / yardstick, `goal` the least ratio that is good enough, or the largest with `at_most`."""
    if ratio is None and yardstick is not None:
        ratio = value / yardstick
    return {"name": name, "value": round(value, 3), "unit": unit,
            "yardstick": None if yardstick is None else round(yardstick, 3),
            "ratio": None if ratio is None else round(ratio, 4), "goal": None if goal is None else round(goal, 4),
            "holds": None if goal is None else ratio <= goal if at_most else ratio >= goal}


def say(text):
    print(text, flush=True)


# ---- requests -------------------------------------------------------------------------------------------

def requests(lab, wanted, options):
    """Pairs of runs, one through the tunnel and one through nginx: what disturbs the machine disturbs both."""
    counts = [c for c in CONNECTIONS if wanted(f"requests_{c}") or wanted(f"request_cpu_{c}")]
    tunnel, nginx = both_ways(lab)
    rows = []
    for connections in counts:
        for way in (tunnel, nginx):
            way.load(connections, WARM_UP_SECONDS)
        pairs = []
        for number in range(1, options.pairs + 1):
            pair = [way.load(connections, options.seconds) for way in (tunnel, nginx)]
            pairs.append(pair)
            ours, theirs = pair
            say(f"  {connections:2} connections, pair {number}: {ours['rate']:7.0f}/s {ours['cpu_us']:6.1f} us, "
                f"p50 {ours['p50_us']} us, p99 {ours['p99_us']} us; nginx {theirs['rate']:7.0f}/s "
                f"{theirs['cpu_us']:6.1f} us, p50 {theirs['p50_us']} us, p99 {theirs['p99_us']} us; "
                f"{ours['rate'] / theirs['rate']:.2f} of its requests")
        for name, key, unit in (("requests", "rate", "requests/s"), ("request_cpu", "cpu_us", "us/request")):
            rows.append(row(f"{name}_{connections}", statistics.median(ours[key] for ours, _ in pairs), unit,
                            statistics.median(theirs[key] for _, theirs in pairs),
                            statistics.median(ours[key] / theirs[key] for ours, theirs in pairs),
                            goal=GOALS.get((name, connections)), at_most=name == "request_cpu"))
    return rows


# ---- Tunnels -----------------------------------------------------------------------------------------------

def idle_rss(control, load):
    time.sleep(PING_SECONDS)
    load.check()
    return control.rss_bytes()


def idle_tunnel_memory(lab, _wanted, _options):
    control, control_port, _ = lab.control()
    load = TunnelLoad(lab, control_port)
    time.sleep(1)
    rss = [control.rss_bytes()]
    for _ in range(2):
        load.open(TUNNELS // 2)
        rss.append(idle_rss(control, load))
    say(f"  resident: {rss[0] / 1e6:.1f} MB without tunnels, {rss[1] / 1e6:.1f} MB with {TUNNELS // 2}, "
        f"{rss[2] / 1e6:.1f} MB with {TUNNELS}")
    return [row("idle_tunnel_memory", (rss[2] - rss[0]) / TUNNELS, "bytes/tunnel", EARLIER_TUNNEL_BYTES),
            row("idle_tunnel_memory_further", (rss[2] - rss[1]) / (TUNNELS // 2), "bytes/tunnel",
                EARLIER_TUNNEL_BYTES)]


def registrations(lab, _wanted, _options):
    runs = []
    for number in range(1, REGISTRATION_RUNS + 1):
        control, control_port, _ = lab.control()
        load = TunnelLoad(lab, control_port)
        before = control.cpu_seconds()
        report = load.open(TUNNELS)
        runs.append((report["registered"] / report["seconds"],
                     (control.cpu_seconds() - before) / TUNNELS * 1e6, report["cpu_seconds"] / TUNNELS * 1e6))
        say(f"  run {number}: {runs[-1][0]:.0f} tunnels/s; CPU a tunnel: control plane {runs[-1][1]:.0f} us, "
            f"generator {runs[-1][2]:.0f} us")
        lab.stop(load.process)
        lab.stop(control)
    rate, control_cpu, generator_cpu = (statistics.median(column) for column in zip(*runs))
    return [row("registrations", rate, "tunnels/s"), row("registration_cpu", control_cpu, "us/tunnel"),
            row("registration_generator_cpu", generator_cpu, "us/tunnel")]


def attestation_storm(lab, _wanted, options):
    """1,000 agents come at once; then visitors are served: alone, beside processes that only use the cores, and with
    such storms one after the other."""
    _, backend_port = lab.nginx("backend", "backend.conf", BODY=BODY)
    tunnel = app_tunnel(lab, backend_port)
    tunnel.check()
    control = tunnel.processes[0]
    runs = []
    for number in range(1, options.pairs + 1):
        # The agents' own work would be done on other machines: it takes what the rest leaves.
        load = TunnelLoad(lab, tunnel.control_port, at_once=STORM_AGENTS, niceness=STORM_NICENESS)
        before = control.cpu_seconds()
        report = load.open(STORM_AGENTS)
        rate, control_us, generator_us = (report["registered"] / report["seconds"],
                                          (control.cpu_seconds() - before) / STORM_AGENTS * 1e6,
                                          report["cpu_seconds"] / STORM_AGENTS * 1e6)
        time.sleep(1)  # What the storm has left to write is written.
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
            row("attestation_storm_p99", busy, "us", quiet, ratio, goal=2, at_most=True),
            row("attestation_storm_p99_contended", busy, "us", contended, contended_ratio, goal=2, at_most=True)]


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


# ---- Verifying a quote -------------------------------------------------------------------------------------

WAYS = {"warm": 1.25, "cold": 1.15}  # The most of the floor that is good enough.


def attestation(_lab, _wanted, options):
    """On one core, in CPU time. The ratio is of rates, so its goal is the inverse."""
    ours, others = verifying.measure(options.bin, say)
    rows = []
    for way, most in WAYS.items():
        say(f"  {way}: {ours[f'{way}_us']:.1f} us, its {ours[f'signatures_{way}']:.0f} signatures alone "
            f"{ours[f'floor_{way}_us']:.1f} us: {ours[f'ratio_{way}']:.3f} of that, at most {most} is the goal")
        rows.append(row(f"attestation_{way}", 1e6 / ours[f"{way}_us"], "quotes/s", 1e6 / ours[f"floor_{way}_us"],
                        1 / ours[f"ratio_{way}"], goal=1 / most))
        rows += [row(f"attestation_dcap_qvl_{name}_{way}", 1e6 / ours[f"{way}_us"], "quotes/s",
                     1e6 / theirs[f"{way}_us"]) for name, theirs in others.items()]
    return rows


# The figures and the rows they give.
FIGURES = {
    requests: [f"{name}_{count}" for count in CONNECTIONS for name in ("requests", "request_cpu")],
    idle_tunnel_memory: ["idle_tunnel_memory", "idle_tunnel_memory_further"],
    registrations: ["registrations", "registration_cpu", "registration_generator_cpu"],
    attestation_storm: ["attestation_storm", "attestation_storm_cpu", "attestation_storm_generator_cpu",
                        "attestation_storm_p99", "attestation_storm_p99_contended"],
    attestation: [f"attestation{what}_{way}" for way in WAYS for what in ("", "_dcap_qvl_rust", "_dcap_qvl_npm")],
}


# ---- The run -----------------------------------------------------------------------------------------------

def figures_wanted(only):
    """(figures to run, predicate of rows to keep)."""
    for figure, names in FIGURES.items():
        if only == figure.__name__:
            return [figure], names.__contains__
    if only is None:
        return list(FIGURES), lambda name: True
    figures = [figure for figure, names in FIGURES.items() if only in names]
    if not figures:
        known = sorted({figure.__name__ for figure in FIGURES} | {n for names in FIGURES.values() for n in names})
        raise BenchError(f"no figure or row is called {only}; there are: {' '.join(known)}")
    return figures, only.__eq__


def number(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def table(rows):
    lines = [("name", "value", "unit", "yardstick", "ratio", "goal", "holds")]
    for entry in rows:
        lines.append((entry["name"], number(entry["value"]), entry["unit"], number(entry["yardstick"]),
                      number(entry["ratio"]), number(entry["goal"]),
                      {True: "yes", False: "NO", None: "-"}[entry["holds"]]))
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, tuple("-" * width for width in widths))
    left = (0, 2)
    return "\n".join("| " + " | ".join(cell.ljust(width) if i in left else cell.rjust(width)
                                       for i, (cell, width) in enumerate(zip(line, widths))) + " |"
                     for line in lines)


def measure(options):
    figures, wanted = figures_wanted(options.only)
    serving = requests in figures or attestation_storm in figures
    tools = ["setpriv", *(["nginx", "wrk"] if serving else [])]
    programs = ["easyenclave-control", "eectl", *(["easyenclave-agent"] if serving else []),
                *(["tunnel_load"] if figures not in ([requests], [attestation]) else []),
                *(["attestation_bench"] if attestation in figures else [])]
    require(options.bin, programs, tools)
    rows = []
    for figure in figures:
        say(figure.__name__)
        extra = verifying.BUILD_SECONDS * 2 if figure is attestation else 0
        with Lab(options.bin, seconds_max(options) + extra) as lab:
            rows += [entry for entry in figure(lab, wanted, options) if wanted(entry["name"])]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in rows) + "\n]\n")
    say(f"\n{table(rows)}\n\n{options.out} is written; bench/README.md says what each row means")


def with_ways(options):
    """For profilers: the ways and their processes are in the environment of the command."""
    require(options.bin, ["easyenclave-control", "easyenclave-agent", "eectl"], ["setpriv", "nginx", "wrk"])
    with Lab(options.bin, seconds_max(options)) as lab:
        tunnel, nginx = both_ways(lab)
        environment = {"BENCH_HOST": tunnel.host, "BENCH_TUNNEL_PORT": tunnel.port, "BENCH_NGINX_PORT": nginx.port,
                       "BENCH_CONTROL_PID": tunnel.processes[0].pid, "BENCH_AGENT_PID": tunnel.processes[1].pid,
                       "BENCH_FRONT_PID": nginx.processes[0].pids()[1],
                       "BENCH_SECOND_PID": nginx.processes[1].pids()[1], "BENCH_FOLDER": lab.folder}
        # By its own session, so that Ctrl-C ends this program first and this program ends the command.
        command = lab.start("command", options.with_ways, environment, stdout=sys.stdout)
        code = command.popen.wait()
        if code != 0:
            raise command.failed(" ".join(options.with_ways))
        sys.stderr.write(command.text())


def seconds_max(options):
    """Far more than a figure takes."""
    return 90 + len(CONNECTIONS) * 2 * (WARM_UP_SECONDS + options.pairs * options.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="one figure, or one row")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/results.json")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs at each number of connections (5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (3)")
    parser.add_argument("--with-ways", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    if options.pairs < 1 or options.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    try:
        if options.with_ways:
            with_ways(options)
        else:
            measure(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

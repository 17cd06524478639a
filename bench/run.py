#!/usr/bin/python3
"""Measures the product beside yardsticks on the same cores, prints a table and writes results.json.

    bench/run.py [--only NAME]            NAME: a figure or a row; see bench/README.md
    bench/run.py --with-ways COMMAND...   starts both ways of requests and runs COMMAND (bench/profile.sh)
"""

import argparse
import dataclasses
import json
import os
import pathlib
import resource
import sys
import typing

import connections
import ledger
import routing
import serving
import verifying
from lab import BenchError, Lab, both_ways, require
from rows import say, table
from yardsticks import YARDSTICKS

ROOT = pathlib.Path(__file__).resolve().parents[1]
PRODUCT = ("easyenclave-control", "eectl", "easyenclave-agent")
TUNNELS = ("easyenclave-control", "eectl", "tunnel_load")
SERVING = ("setpriv", "nginx", "wrk")
DESCRIPTORS = 65_536  # Far more than a program here needs; some look at each when they start.


@dataclasses.dataclass(frozen=True)
class Figure:
    """What is measured at a time, in a lab of its own."""
    measure: typing.Callable  # (lab, wanted, options) -> rows; it may give more than are wanted.
    rows: tuple
    programs: tuple
    tools: tuple = SERVING
    seconds: int = 120  # Far more than it takes, beside its pairs of runs.

    @property
    def name(self):
        return self.measure.__name__


REQUEST_NAMES = tuple(name for count in serving.CONNECTIONS for name in serving.request_names(count))
LATENCY_HALF_NAMES = ("latency_half_p50", "latency_half_p99")


def in_tls(names):
    return tuple(map(serving.in_tls, names))


FIGURES = (
    Figure(serving.requests, REQUEST_NAMES, PRODUCT),
    Figure(serving.latency_half, LATENCY_HALF_NAMES, PRODUCT, (*SERVING, "h2load")),
    Figure(serving.requests_1000, ("requests_1000",), PRODUCT),
    Figure(serving.apps64, tuple(f"apps64_{row}_{c}" for row in ("tunnels", "requests", "hops")
                                 for c in serving.APPS_CONNECTIONS), (*PRODUCT, "agents"), seconds=240),
    Figure(serving.transfer, serving.TRANSFER_NAMES, PRODUCT),
    Figure(serving.tls_requests, in_tls(REQUEST_NAMES), PRODUCT, (*SERVING, "openssl")),
    Figure(serving.tls_latency_half, in_tls(LATENCY_HALF_NAMES), PRODUCT, (*SERVING, "h2load", "openssl")),
    Figure(serving.tls_transfer, in_tls(serving.TRANSFER_NAMES), PRODUCT, (*SERVING, "openssl")),
    Figure(serving.other_tunnels, tuple(f"{y.name}_requests_16" for y in YARDSTICKS), PRODUCT, (*SERVING, "openssl")),
    Figure(connections.idle_tunnel_memory, ("idle_tunnel_memory", "idle_tunnel_memory_further"), TUNNELS, ("setpriv",),
           seconds=600),
    Figure(connections.idle_tunnel_memory_tls, ("idle_tunnel_memory_tls",), TUNNELS, ("setpriv", "openssl"), seconds=600),
    Figure(connections.stream_memory, ("stream_memory",), PRODUCT, ("setpriv",)),
    Figure(connections.registrations, ("registrations", "registration_cpu", "registration_generator_cpu"), TUNNELS,
           ("setpriv",)),
    Figure(connections.reconnect_20000, ("reconnect_20000",), (*PRODUCT, "tunnel_load"), ("setpriv", "nginx"), seconds=600),
    Figure(connections.attestation_storm, ("attestation_storm", "attestation_storm_cpu", "attestation_storm_generator_cpu",
                                           "attestation_storm_p99", "attestation_storm_p99_contended"),
           (*PRODUCT, "tunnel_load")),
    Figure(verifying.attestation, tuple(f"attestation{what}_{way}" for way in verifying.ATTESTATION_FLOORS
                                        for what in ("", "_dcap_qvl_rust", "_dcap_qvl_npm")),
           ("attestation_bench",), ("setpriv",), seconds=120 + 2 * verifying.BUILD_SECONDS),
    Figure(routing.routing, routing.ROWS, ("routing_bench",), ()),
    Figure(ledger.ledger_http,
           ("ledger_http_64", "ledger_http_hot", "ledger_http_read_p99", "ledger_http_p99_half_load", "ledger_http_p99_disk"),
           ("easyenclave-control", "eectl", "ledger_bench", "ledger_load"), ("setpriv",), seconds=300),
    Figure(ledger.ledger_settle, ("ledger_settle_100000", "ledger_settle_wait"), ("ledger_scale",), ("setpriv",), seconds=300),
    Figure(ledger.ledger_grown, ("ledger_start_10m", "ledger_start_10m_again", "ledger_head_10m", "ledger_proof_10m",
                                 "ledger_proof_10m_first"),
           ("ledger_scale",), ("setpriv",), seconds=60 + ledger.GROW_SECONDS),
    Figure(ledger.ledger_store, ledger.ROWS, ("ledger_bench",), ("setpriv",), seconds=120 + 3 * ledger.SETUP_SECONDS),
)


def figures_wanted(only):
    """(figures to run, names of rows to keep)."""
    if only is None:
        return FIGURES, {name for figure in FIGURES for name in figure.rows}
    for figure in FIGURES:
        if only == figure.name:
            return [figure], set(figure.rows)
    figures = [figure for figure in FIGURES if only in figure.rows]
    if not figures:
        known = sorted({figure.name for figure in FIGURES} | {name for figure in FIGURES for name in figure.rows})
        raise BenchError(f"no figure or row is called {only}; there are: {' '.join(known)}")
    return figures, {only}


def measure(options):
    figures, names = figures_wanted(options.only)
    require(options.bin, sorted({program for figure in figures for program in figure.programs}),
            sorted({tool for figure in figures for tool in figure.tools}))
    rows = []
    for figure in figures:
        say(figure.name)
        with Lab(options.bin, figure.seconds + seconds_of_pairs(options)) as lab:
            rows += [entry for entry in figure.measure(lab, names.__contains__, options) if entry["name"] in names]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in rows) + "\n]\n")
    say(f"\n{table(rows)}\n\n{options.out} is written; bench/README.md says what each row means")


def with_ways(options):
    """For profilers: the ways and their processes are in the environment of the command."""
    require(options.bin, PRODUCT, SERVING)
    with Lab(options.bin, 120 + seconds_of_pairs(options)) as lab:
        if options.preload:
            lab.product_environment = {"LD_PRELOAD": options.preload.resolve(), "BENCH_FOLDER": lab.folder}
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


def seconds_of_pairs(options):
    """At most, in one figure."""
    return 5 * 2 * (serving.WARM_UP_SECONDS + options.pairs * options.seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="one figure, or one row")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/results.json")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs at each number of connections (5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (3)")
    parser.add_argument("--preload", type=pathlib.Path, metavar="LIBRARY", help="of control plane and agent, with --with-ways")
    parser.add_argument("--with-ways", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    if options.pairs < 1 or options.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:connections.CORES])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS), most))
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

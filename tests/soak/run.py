#!/usr/bin/python3
"""A mixed load on the real programs, while agents and backends are killed, stopped and started again.

    tests/soak/run.py [--seconds 600] [--seed N] [--body-mib-max 64] [--only KIND,KIND]
    tests/soak/run.py --large

    EE_BIN_DIR   folder of the programs (default: build/release/bin)

Exit code 1 when an invariant did not hold (verdict.py, visitors.py). The seed makes the same choices again; what
meets what at which moment is the machine's."""

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import attackers  # noqa: E402
import callers  # noqa: E402
import large_bodies  # noqa: E402
import verdict  # noqa: E402
import visitors  # noqa: E402
from disturbances import disturb  # noqa: E402
from installation import Installation  # noqa: E402
from record import Record  # noqa: E402
from simulated_platform import BIN_DIR  # noqa: E402

KINDS = (visitors.SmallKept, visitors.SmallNew, visitors.Pipelined, visitors.Http2Streams, visitors.WebSocketEcho,
         visitors.Events, visitors.Upload, visitors.Download, callers.Envelope, callers.OldApp, callers.ApiReader,
         attackers.Malformed1, attackers.Malformed2, attackers.TunnelGarbage)
REPORT_SECONDS = 10
SAMPLE_SECONDS = 0.5
PEACE_SECONDS = (2, 6)  # Between disturbances: then nothing may fail anywhere.
JOIN_SECONDS = 180
# What is told when the undisturbed agent is killed all the same.
SELF_TEST_VIOLATIONS = (" of steady: ", "steady-1 has ended by itself with -9", "easyenclave-agent (pid")


class Soak:
    """What the visitors see of the run."""

    def __init__(self, installation, record, options):
        self.world, self.control, self.record = installation.world, installation.control, record
        self.body_mib_max, self.stopping = options.body_mib_max, threading.Event()


def watch(installation, record, stopping):
    """Samples memory, judges failures, and says how it stands."""
    next_report, total_before = REPORT_SECONDS, 0
    while True:
        began_at = time.monotonic()
        if stopping.wait(SAMPLE_SECONDS):
            return record.judge()
        record.waited(SAMPLE_SECONDS, began_at)
        record.judge()
        installation.beat_if_due()
        now = record.elapsed()
        rss = installation.rss()
        for name, size in rss.items() if not record.ended_at else ():
            record.rss[name].append((now, size))
        if now < next_report or record.ended_at:
            continue
        next_report, total = next_report + REPORT_SECONDS, record.total()
        under_way = record.under_way()
        print(f"{now:5.0f} s: {total} requests, {(total - total_before) / REPORT_SECONDS:.0f}/s, "
              f"{sum(record.excused.values())} excused, {record.violations_total} violations, control plane "
              f"{rss['control plane'] >> 20} MiB, steady agent {rss.get('steady-1', 0) >> 20} MiB"
              + (f", {under_way[0]}" if under_way else ""), flush=True)
        total_before = total
        installation.forget_access_log()


def load(installation, record, options):
    soak = Soak(installation, record, options)
    wanted = options.only.split(",") if options.only else [kind.__name__ for kind in KINDS]
    threads = [kind(soak, random.Random(f"{options.seed}/{kind.__name__}/{number}"))
               for kind in KINDS if kind.__name__ in wanted for number in range(kind.threads)]
    for thread in threads:
        thread.start()
    # Programs live as long as the thread that starts them: this one, which ends last.
    choices = random.Random(f"{options.seed}/disturbances")
    if options.self_test:
        installation.agents["steady", 1].kill()
    while record.elapsed() < options.seconds:
        time.sleep(min(choices.uniform(*PEACE_SECONDS), max(0.0, options.seconds - record.elapsed())))
        if record.elapsed() < options.seconds - 2:
            disturb(installation, choices, record)
    soak.stopping.set()
    seconds, deadline = record.elapsed(), time.monotonic() + JOIN_SECONDS
    record.ended_at = time.monotonic()
    for thread in threads:
        thread.join(max(0.1, deadline - time.monotonic()))
        if thread.is_alive():
            record.violate(f"a {thread.name} hangs")
    silent = [kind for kind in wanted if not any(counted == kind for counted, _ in record.passed)]
    if silent:
        record.violate(f"not one request was right of {', '.join(silent)}")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--body-mib-max", type=int, default=64)
    parser.add_argument("--only", help="kinds of visitors, by the names of their classes")
    parser.add_argument("--self-test", action="store_true", help="kill what nobody may touch: it must be noticed")
    parser.add_argument("--large", action="store_true", help="large_bodies.py in its place")
    options = parser.parse_args()
    if options.large:
        return large_bodies.run(large_bodies.GIB_DEFAULT)
    print(f"programs of {BIN_DIR}, {options.seconds:.0f} s, --seed {options.seed}", flush=True)

    folder = pathlib.Path(tempfile.mkdtemp(prefix="ee-soak-"))
    installation = Installation(folder)
    try:
        for app in ("steady", "shaky"):
            assert installation.control.visit(app, "/small/1").body == b"small 1"
        idle, record, over = installation.descriptors(), Record(), threading.Event()
        record.excuses_standstill = not options.self_test
        watcher = threading.Thread(target=watch, args=(installation, record, over), daemon=True)
        watcher.start()
        seconds = load(installation, record, options)
        if not options.self_test:
            verdict.settle(installation, record, idle)
        verdict.judge_memory(installation, record, seconds)
        verdict.end_programs(installation, record)
        over.set()
        watcher.join()
        verdict.read_logs(installation, record)
    finally:
        installation.world.close()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(record.table()))
    print(f"{record.total()} requests in {seconds:.0f} s, {record.violations_total} violations, --seed {options.seed}")
    if options.self_test:
        missing = [text for text in SELF_TEST_VIOLATIONS if not any(text in told for told in record.violations)]
        print(f"not noticed: {missing}" if missing else "the soak notices what it should")
        return 1 if missing else 0
    return 1 if record.violations_total else 0


if __name__ == "__main__":
    sys.exit(main())

"""The ledger and its store: transfers a second on disk, beside SQLite by hand and PostgreSQL's own benchmark."""

import json
import os
import pathlib
import pwd
import re
import statistics
import subprocess
import time
import urllib.request

from lab import START_SECONDS, BenchError, find_tool, free_port
from rows import pair_row, row, say
from verifying import report_of

PAIRS = 3
ADMIN = "admin-token-of-the-benchmarks"
NODES, LOCKS = 1_000, 100_000
ENTRIES = (1_000_000, 10_000_000)
GROW_SECONDS = 1800

RUNS = 3
ACCOUNTS = 10_000
SYNC_US = 2000  # A disk that takes so much longer to sync than this one.
CALLERS = 64
READERS, READS = 4, 500  # Connections, and requests a second of all of them.
POSTGRES = "/usr/lib/postgresql/15/bin"
PGBENCH_SCALE = 64  # Branches, one a client, so that they do not wait for one another's rows.
SETUP_SECONDS = 300

ROWS = ("ledger_store_1", "ledger_store_64", "ledger_store_64_batched", "ledger_store_512", "ledger_commit_64",
        "ledger_commit_64_p99", "ledger_read_p99", "ledger_store_1_slow_sync", "ledger_store_64_slow_sync",
        "ledger_transfers_64", "ledger_transfers_hot", "ledger_transfers_512_slow_sync", "ledger_transfers_64_pgbench")


def store_report(lab, options, number, sync_us):
    folder = lab.folder / f"ledger-{number}"
    folder.mkdir()
    return report_of([options.bin / "ledger_bench", folder, options.seconds, ACCOUNTS, sync_us])


class HttpLoad:
    """ledger_load against a control plane of its own, whose accounts are open."""

    def __init__(self, lab, options):
        lab.product_environment["EE_ADMIN_TOKEN"] = ADMIN
        self.control = lab.control()
        self.process = lab.start("ledger_load", [options.bin / "ledger_load", self.control.control_port, ADMIN],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask("prepare", ACCOUNTS)

    def commits(self):
        request = urllib.request.Request(f"http://127.0.0.1:{self.control.control_port}/metrics",
                                         headers={"Authorization": f"Bearer {ADMIN}"})
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return int(re.search(rb"^ee_ledger_commits_total (\d+)$", answer.read(), re.MULTILINE)[1])

    def ask(self, *command):
        [answer] = self.ask_side_by_side(command)
        return answer

    def ask_side_by_side(self, *commands):
        self.process.popen.stdin.write(("|".join(" ".join(map(str, command)) for command in commands) + "\n").encode())
        self.process.popen.stdin.flush()
        return [self.answer_to(command[0]) for command in commands]

    def answer_to(self, name):
        line = self.process.popen.stdout.readline()
        if not line:
            raise self.process.failed(f"no answer to {name}")
        return json.loads(line)


def ledger_http(lab, wanted, options):
    """The same transfers over HTTP and of the ledger alone, in turn; then at half of what HTTP could do, beside reads too."""
    load = HttpLoad(lab, options)
    load.ask("transfers", CALLERS, 1)  # Warm.
    pairs = []
    for number in range(PAIRS):
        folder = lab.folder / f"core-{number}"
        folder.mkdir()
        core = report_of([options.bin / "ledger_bench", folder, options.seconds, ACCOUNTS, 0, "ledger"])
        pairs.append((load.ask("transfers", CALLERS, options.seconds), core, load.ask("hot", CALLERS, options.seconds)))
    middle = statistics.median
    random = middle(http["rate"] for http, _, _ in pairs)
    rows = [row("ledger_http_64", random, "transfers/s", middle(core["ledger_64"] for _, core, _ in pairs),
                middle(http["rate"] / core["ledger_64"] for http, core, _ in pairs)),
            row("ledger_http_hot", middle(hot["rate"] for _, _, hot in pairs), "transfers/s", random,
                middle(hot["rate"] / http["rate"] for http, _, hot in pairs))]
    half = int(random / 2)
    if wanted("ledger_http_read_p99"):
        transfers = ("transfers", CALLERS, options.seconds, half)
        reads = [[load.ask_side_by_side((what, READERS, options.seconds, READS), transfers)[0]
                  for what in ("balances", "health")] for _ in range(PAIRS)]
        rows.append(pair_row("ledger_http_read_p99", reads, "p99_us", "us"))
    if wanted("ledger_http_p99_half_load") or wanted("ledger_http_p99_disk"):
        halves = []
        for _ in range(PAIRS):
            before = load.commits()
            ours = load.ask("transfers", CALLERS, options.seconds, half)
            commits = (load.commits() - before) / options.seconds
            halves.append((ours, load.ask("health", CALLERS, options.seconds, half),
                           load.ask("sync", options.seconds, commits, lab.folder / "blocks")))
        for name, place in (("ledger_http_p99_half_load", 1), ("ledger_http_p99_disk", 2)):
            rows.append(row(name, middle(of[0]["p99_us"] for of in halves), "us",
                            middle(of[place]["p99_us"] for of in halves),
                            middle(of[0]["p99_us"] / of[place]["p99_us"] for of in halves)))
    return rows


def scale_report(lab, options, *arguments, seconds=GROW_SECONDS):
    done = subprocess.run(list(map(str, [options.bin / "ledger_scale", *arguments])), capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise BenchError(f"ledger_scale failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def ledger_settle(lab, wanted, options):
    """One cell with many locks, beside a caller who transfers all the while."""
    report = scale_report(lab, options, "settle", lab.folder, NODES, LOCKS)
    return [row("ledger_settle_100000", report["settled_s"], "s"), row("ledger_settle_wait", report["wait_ms_max"], "ms")]


def ledger_grown(lab, wanted, options):
    """A start and proofs with a million entries, and with ten."""
    less, more = scale_report(lab, options, "grow", lab.folder, *ENTRIES)
    return [row("ledger_start_10m", more["first_start_s"], "s"), row("ledger_start_10m_again", more["start_s"], "s"),
            row("ledger_head_10m", more["head_us"], "us", less["head_us"]),
            row("ledger_proof_10m", more["proof_us"], "us", less["proof_us"]),
            row("ledger_proof_10m_first", more["first_proof_us"], "us", less["first_proof_us"])]


def as_postgres(command):
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return [find_tool("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *command]


def run(command, folder):
    done = subprocess.run(list(map(str, as_postgres(command))), capture_output=True, text=True, cwd=folder,
                          timeout=SETUP_SECONDS)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def await_ready(command, folder):
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(list(map(str, command)), capture_output=True, cwd=folder, timeout=START_SECONDS).returncode != 0:
        if time.monotonic() > deadline:
            raise BenchError(f"{command[0]}: PostgreSQL does not answer within {START_SECONDS} s")
        time.sleep(0.05)


def pgbench(lab, options):
    """Transactions a second of its TPC-B-like workload; None without PostgreSQL 15."""
    bin_dir = pathlib.Path(POSTGRES)
    if not (bin_dir / "initdb").exists() or not (bin_dir / "pgbench").exists():
        say("  ledger_transfers_64_pgbench is skipped: apt-get install postgresql-15")
        return None
    folder = lab.folder / "postgres"
    folder.mkdir()
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        os.chmod(lab.folder, 0o711)
    run([bin_dir / "initdb", "-D", folder / "data", "--auth", "trust", "--encoding", "UTF8", "--no-locale"], folder)
    port = free_port()
    lab.start("postgres", as_postgres([
        bin_dir / "postgres", "-D", folder / "data", "-k", folder, "-p", port, "-c", "listen_addresses=",
        "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"]))
    where = ["-h", folder, "-p", port]
    await_ready([bin_dir / "pg_isready", *where], folder)
    run([bin_dir / "pgbench", *where, "-i", "-q", "-s", PGBENCH_SCALE, "postgres"], folder)
    text = run([bin_dir / "pgbench", *where, "-M", "prepared", "-c", CALLERS, "-j", 2, "-T", 3 * options.seconds,
                "postgres"], folder)
    return float(re.search(r"tps = ([0-9.]+)", text).group(1))


def ledger_store(lab, wanted, options):
    """Ratios are of one run, in which what is compared takes turns; the rows are medians of several."""
    runs = [store_report(lab, options, number, 0) for number in range(RUNS)]
    slow = [store_report(lab, options, RUNS + number, SYNC_US) for number in range(RUNS)]
    middle = lambda reports, key: statistics.median(report[key] for report in reports)

    def beside(name, ours, theirs, reports=None):
        reports = reports or runs
        return row(name, middle(reports, ours), "transfers/s", middle(reports, theirs),
                   statistics.median(report[ours] / report[theirs] for report in reports))

    rows = [beside("ledger_store_1", "store_1", "by_hand_1"), beside("ledger_store_64", "store_64", "by_hand_1"),
            beside("ledger_store_64_batched", "store_64", "by_hand_64"),
            beside("ledger_store_512", "store_512", "by_hand_64"),
            row("ledger_commit_64", middle(runs, "commit_us_64"), "us"),
            row("ledger_commit_64_p99", middle(runs, "commit_us_64_p99"), "us"),
            row("ledger_read_p99", middle(runs, "read_us_p99"), "us"),
            beside("ledger_store_1_slow_sync", "store_1", "by_hand_1", slow),
            beside("ledger_store_64_slow_sync", "store_64", "by_hand_1", slow),
            beside("ledger_transfers_64", "ledger_64", "by_hand_1"),
            beside("ledger_transfers_hot", "ledger_hot", "ledger_64"),
            beside("ledger_transfers_512_slow_sync", "ledger_512", "by_hand_1", slow)]
    postgres = pgbench(lab, options) if wanted("ledger_transfers_64_pgbench") else None
    if postgres is not None:
        rows.append(row("ledger_transfers_64_pgbench", middle(runs, "ledger_64"), "transfers/s", postgres))
    return rows

"""Visitors' requests through the tunnel, beside the same through yardsticks: nginx, and other tunnels."""

import socket
import time
from functools import cache

from lab import APP, BODY, DOMAIN, START_SECONDS, BenchError, app_tunnel, backend, both_ways, hop_each, two_hops
from rows import pair_row, say
from yardsticks import YARDSTICKS

CONNECTIONS = (1, 16, 64)
WARM_UP_SECONDS = 1
REQUEST_ROWS = (("requests", "rate", "requests/s"), ("request_cpu", "cpu_us", "us/request"),
                ("latency_p50", "p50_us", "us"), ("latency_p99", "p99_us", "us"))
LATENCY_CONNECTIONS = (16, 64)
HALF_CONNECTIONS = 16
SIZES = {"100k": 100 * 2**10, "1m": 2**20, "100m": 100 * 2**20}
TRANSFERS = {"transfer_1m_1": ("1m", 1), "transfer_1m_16": ("1m", 16), "transfer_100k_64": ("100k", 64)}
TRANSFER_NAMES = (*TRANSFERS, "transfer_100m_1", "upload_100m_1")
APPS, APPS_CONNECTIONS = 64, (16, 64)
CROWD, CROWD_AGENTS = 1000, 4


def measure_pairs(ways, count, measure):
    """[(report of the first way, of the second)], one after the other: what disturbs the machine disturbs both."""
    return [tuple(measure(way) for way in ways) for _ in range(count)]


def fewer(options):
    """Pairs of the figures that are many."""
    return max(1, options.pairs * 3 // 5)


def pairs_of_requests(ways, connections, count, options, **load):
    for way in ways:
        way.load(connections, WARM_UP_SECONDS, **load)
    pairs = measure_pairs(ways, count, lambda way: way.load(connections, options.seconds, **load))
    for i, (ours, theirs) in enumerate(pairs, 1):
        say(f"  {connections:2} connections, pair {i}: {ours['rate']:7.0f}/s {ours['cpu_us']:6.1f} us, "
            f"p50 {ours['p50_us']} us, p99 {ours['p99_us']} us; {ways[1].name} {theirs['rate']:7.0f}/s "
            f"{theirs['cpu_us']:6.1f} us, p50 {theirs['p50_us']} us, p99 {theirs['p99_us']} us; "
            f"{ours['rate'] / theirs['rate']:.2f} of its requests")
    return pairs


# ---- Requests ----

def in_tls(name, tls=True):
    """A row's name where the tunnel is under TLS 1.3, the yardstick in clear."""
    return f"tls_{name}" if tls else name


def request_names(connections):
    return [f"{name}_{connections}" for name, *_ in REQUEST_ROWS
            if connections in LATENCY_CONNECTIONS or not name.startswith("latency")]


def requests(lab, wanted, options, tls=False):
    ways = both_ways(lab, tls)
    rows = []
    for connections in CONNECTIONS:
        if any(wanted(in_tls(name, tls)) for name in request_names(connections)):
            pairs = pairs_of_requests(ways, connections, fewer(options) if tls else options.pairs, options)
            rows += [pair_row(in_tls(f"{name}_{connections}", tls), pairs, key, unit) for name, key, unit in REQUEST_ROWS]
    return rows


def tls_requests(lab, wanted, options):
    return requests(lab, wanted, options, tls=True)


def latency_half(lab, _wanted, options, tls=False):
    """At a constant rate, half of what nginx can do at most."""
    ways = both_ways(lab, tls)
    for way in ways:
        way.load(CONNECTIONS[-1], WARM_UP_SECONDS)
    rate = ways[1].load(CONNECTIONS[-1], options.seconds)["rate"] / 2
    pairs = measure_pairs(ways, fewer(options), lambda way: way.steady_load(rate, HALF_CONNECTIONS, options.seconds))
    for i, (ours, theirs) in enumerate(pairs, 1):
        say(f"  {rate:.0f}/s asked for, pair {i}: {ours['rate']:.0f}/s, p50 {ours['p50_us']} us, p99 {ours['p99_us']} us; "
            f"nginx {theirs['rate']:.0f}/s, p50 {theirs['p50_us']} us, p99 {theirs['p99_us']} us")
    return [pair_row(in_tls(f"latency_half_{name}", tls), pairs, f"{name}_us", "us") for name in ("p50", "p99")]


def tls_latency_half(lab, wanted, options):
    return latency_half(lab, wanted, options, tls=True)


def apps64(lab, wanted, options):
    """As many apps, each with an agent of its own; the requests go to one after the other."""
    port = backend(lab)
    names = [f"app-{i}" for i in range(1, APPS + 1)]
    hops = cache(lambda: two_hops(lab, port))
    agents = cache(lambda: app_tunnel(lab, port, apps=names))
    rows = []
    for row, ours, theirs in (
            ("apps64_tunnels", lambda: app_tunnel(lab, port, apps=names, in_one=True), hops),
            ("apps64_requests", agents, hops),
            ("apps64_hops", agents, lambda: hop_each(lab, port, names))):
        counts = [count for count in APPS_CONNECTIONS if wanted(f"{row}_{count}")]
        ways = (ours(), theirs()) if counts else ()
        for way in ways:
            for name in names:
                way.check(host=f"{name}.{DOMAIN}")
        rows += [pair_row(f"{row}_{count}", pairs_of_requests(ways, count, fewer(options), options, script="rotate.lua",
                                                             arguments=(APPS, DOMAIN)), "rate", "requests/s")
                 for count in counts]
    return rows


def requests_1000(lab, _wanted, options):
    """A crowd, over agents that take EE_MAX_STREAMS_PER_AGENT (256) requests each."""
    port = backend(lab)
    ways = app_tunnel(lab, port, apps=[APP] * CROWD_AGENTS), two_hops(lab, port, keepalive=CROWD)
    for way in ways:
        way.check()
    return [pair_row("requests_1000", pairs_of_requests(ways, CROWD, fewer(options), options), "rate", "requests/s")]


# ---- Bodies ----

def make_files(lab):
    (lab.folder / "files").mkdir(exist_ok=True)
    for name, size in SIZES.items():
        with open(lab.folder / "files" / name, "wb") as file:
            file.write(b"x" * size)


def transfer(lab, wanted, options, tls=False):
    make_files(lab)
    ways = both_ways(lab, tls)
    for way in ways:
        way.check("/files/1m", SIZES["1m"])
    rows = []
    for name, (size, connections) in TRANSFERS.items():
        if wanted(in_tls(name, tls)):
            path = f"/files/{size}"
            pairs = measure_pairs(ways, fewer(options), lambda way: way.load(connections, options.seconds, path))
            rows.append(transfer_row(in_tls(name, tls), pairs))
    for name, measure in (("transfer_100m_1", download), ("upload_100m_1", upload)):
        if wanted(in_tls(name, tls)):
            pairs = measure_pairs(ways, fewer(options), lambda way: measure(way, options.seconds))
            rows.append(transfer_row(in_tls(name, tls), pairs))
    return rows


def tls_transfer(lab, wanted, options):
    return transfer(lab, wanted, options, tls=True)


def transfer_row(name, pairs):
    for i, (ours, theirs) in enumerate(pairs, 1):
        say(f"  {name}, pair {i}: {ours['mib_s']:.0f} MiB/s, nginx {theirs['mib_s']:.0f} MiB/s")
    return pair_row(name, pairs, "mib_s", "MiB/s")


def head_of_answer(connection, way):
    """(head, what came of the body with it)."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(64 * 1024)
        if not more:
            raise BenchError(f"{way.name} ended the connection after {received[:300]}")
        received += more
    head, body = received.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"{way.name} answers {received[:300]}")
    return head, body


def bodies_a_second(way, seconds, one):
    """One body of 100 MiB after another over one connection, for so long at least."""
    with socket.create_connection(("127.0.0.1", way.port), timeout=START_SECONDS) as connection:
        began, bodies = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            one(connection)
            bodies += 1
        return {"mib_s": bodies * SIZES["100m"] / 2**20 / (time.monotonic() - began)}


def download(way, seconds):
    request = f"GET /files/100m HTTP/1.1\r\nHost: {way.host}\r\n\r\n".encode()
    buffer = bytearray(2**20)

    def one(connection):
        connection.sendall(request)
        _, body = head_of_answer(connection, way)
        rest = SIZES["100m"] - len(body)
        while rest > 0:
            # The kernel throws the bytes away: the load costs next to nothing.
            got = connection.recv_into(buffer, min(rest, len(buffer)), socket.MSG_TRUNC)
            if got == 0:
                raise BenchError(f"{way.name} ended the connection with {rest} bytes to come")
            rest -= got

    return bodies_a_second(way, seconds, one)


def upload(way, seconds):
    head = f"POST /upload HTTP/1.1\r\nHost: {way.host}\r\nContent-Length: {SIZES['100m']}\r\n\r\n".encode()
    piece = b"x" * 2**20

    def one(connection):
        connection.sendall(head)
        for _ in range(SIZES["100m"] // len(piece)):
            connection.sendall(piece)
        _, body = head_of_answer(connection, way)
        while len(body) < len(BODY):
            body += connection.recv(len(BODY))

    return bodies_a_second(way, seconds, one)


# ---- Other tunnels ----

def other_tunnels(lab, wanted, options):
    """Each beside our tunnel as it is itself: under TLS, or in clear."""
    port = backend(lab)
    ours, rows = {}, []
    for yardstick in YARDSTICKS:
        name = f"{yardstick.name}_requests_16"
        if not wanted(name):
            continue
        if yardstick.missing():
            say(f"  skipped: no {yardstick.missing()} ({yardstick.install})")
            continue
        theirs = yardstick.start(lab, port)
        if yardstick.encrypts not in ours:
            ours[yardstick.encrypts] = app_tunnel(lab, port, tls=yardstick.encrypts)
        ways = ours[yardstick.encrypts], theirs
        for way in ways:
            way.check()
        rows.append(pair_row(name, pairs_of_requests(ways, 16, fewer(options), options), "rate", "requests/s"))
        for process in reversed(theirs.processes):
            lab.stop(process)
    return rows

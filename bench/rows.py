"""The rows of the table: what is measured beside what, and what is good enough."""

import statistics

ATTESTATION_FLOORS = {"warm": 1.25, "cold": 1.15}  # The most of the floor in time that is good enough.
KIB = 1024

AT_LEAST, AT_MOST = "at least", "at most"

# Every goal there is, of the ratio of a row: value to yardstick. Where the goal is a number and no other
# implementation, that number is the yardstick.
GOALS = {
    "requests_1": (AT_LEAST, 0.95), "requests_16": (AT_LEAST, 1.2), "requests_64": (AT_LEAST, 1.4),
    "request_cpu_16": (AT_MOST, 0.7), "request_cpu_64": (AT_MOST, 0.7),
    "latency_p50_16": (AT_MOST, 1), "latency_p50_64": (AT_MOST, 1),
    "latency_p99_16": (AT_MOST, 1), "latency_p99_64": (AT_MOST, 1),
    "latency_half_p50": (AT_MOST, 1), "latency_half_p99": (AT_MOST, 1),
    "transfer_1m_1": (AT_LEAST, 1.5), "transfer_1m_16": (AT_LEAST, 1.2), "transfer_100m_1": (AT_LEAST, 1.2),
    "tls_requests_16": (AT_LEAST, 1), "tls_requests_64": (AT_LEAST, 1),
    "apps64_tunnels_16": (AT_LEAST, 1), "apps64_tunnels_64": (AT_LEAST, 1.25),
    "apps64_requests_16": (AT_LEAST, 1), "apps64_requests_64": (AT_LEAST, 1.25),
    "ssh_requests_16": (AT_LEAST, 1.1), "chisel_requests_16": (AT_LEAST, 2),
    "frp_requests_16": (AT_LEAST, 1), "rathole_requests_16": (AT_LEAST, 1),
    "idle_tunnel_memory": (AT_MOST, 1), "idle_tunnel_memory_tls": (AT_MOST, 1), "stream_memory": (AT_MOST, 1),
    "registration_cpu": (AT_MOST, 1), "reconnect_20000": (AT_MOST, 1),
    "resolve_1000": (AT_MOST, 1), "resolve_10000": (AT_MOST, 1),
    "choice_1000": (AT_MOST, 1), "choice_10000": (AT_MOST, 1),
    "resolve_1000_of_10000": (AT_MOST, 2), "choice_1000_of_10000": (AT_MOST, 2),
    "ledger_read_p99": (AT_MOST, 1),
    "ledger_transfers_64": (AT_LEAST, 4), "ledger_transfers_64_pgbench": (AT_LEAST, 6),
    "ledger_transfers_hot": (AT_LEAST, 0.8), "ledger_transfers_512_slow_sync": (AT_LEAST, 50),
    "ledger_http_64": (AT_LEAST, 0.6), "ledger_http_hot": (AT_LEAST, 0.8), "ledger_http_p99_half_load": (AT_MOST, 4),
    "ledger_settle_100000": (AT_MOST, 1), "ledger_settle_wait": (AT_MOST, 1), "ledger_start_10m": (AT_MOST, 1),
    # Logarithmic: ten times as many leaves are 3.3 more hashes on a path of 20, and one tile more that is not remembered.
    "ledger_head_10m": (AT_MOST, 1.5), "ledger_proof_10m": (AT_MOST, 2),
    "attestation_storm_p99": (AT_MOST, 2), "attestation_storm_p99_contended": (AT_MOST, 2),
    **{f"attestation_{way}": (AT_LEAST, 1 / most) for way, most in ATTESTATION_FLOORS.items()},
}
# Goals that are numbers, in the unit of their row.
LIMITS = {"idle_tunnel_memory": 12 * KIB, "idle_tunnel_memory_tls": 40 * KIB, "stream_memory": 24 * KIB,
          "registration_cpu": 500, "reconnect_20000": 30, "ledger_read_p99": 1000,
          "resolve_1000": 2000, "resolve_10000": 2000, "choice_1000": 2000, "choice_10000": 2000,
          "ledger_settle_100000": 5, "ledger_settle_wait": 50, "ledger_start_10m": 15}


def row(name, value, unit, yardstick=None, ratio=None):
    """`ratio` is value / yardstick where none is given."""
    yardstick = LIMITS.get(name, yardstick)
    if ratio is None and yardstick is not None:
        ratio = value / yardstick
    bound, goal = GOALS.get(name, (None, None))
    return {"name": name, "value": round(value, 3), "unit": unit,
            "yardstick": None if yardstick is None else round(yardstick, 3),
            "ratio": None if ratio is None else round(ratio, 4), "goal": None if goal is None else round(goal, 4),
            "holds": None if goal is None else ratio <= goal if bound == AT_MOST else ratio >= goal}


def pair_row(name, pairs, key, unit):
    """Of [(our report, theirs)]: medians, and the median of the pairs' ratios."""
    return row(name, statistics.median(ours[key] for ours, _ in pairs), unit,
               statistics.median(theirs[key] for _, theirs in pairs),
               statistics.median(ours[key] / theirs[key] for ours, theirs in pairs))


def say(text):
    print(text, flush=True)


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

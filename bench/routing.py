"""Deciding about a request: resolve, and choosing the agent, with 1,000 and with 10,000 apps."""

import statistics

from rows import row, say
from verifying import report_of

RUNS = 3
APPS = (1_000, 10_000)
ROWS = tuple(f"{what}_{apps}" for what in ("resolve", "choice") for apps in (*APPS, "1000_of_10000"))


def routing(_lab, _wanted, options):
    reports = [report_of([options.bin / "routing_bench"]) for _ in range(RUNS)]
    rows = []
    for name in ROWS:
        value = statistics.median(report[name] for report in reports)
        say(f"  {name}: {value:.0f} ns")
        if name.endswith("_1000_of_10000"):  # As many are asked for as in the row it is held beside.
            few = name.removesuffix("_of_10000")
            rows.append(row(name, value, "ns", statistics.median(report[few] for report in reports),
                            statistics.median(report[name] / report[few] for report in reports)))
        else:
            rows.append(row(name, value, "ns"))
    return rows

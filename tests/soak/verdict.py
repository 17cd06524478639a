"""What must hold when the load has stopped."""

import re
import time

from harness import until
from installation import DRAIN_SECONDS

SETTLE_SECONDS = 30
DESCRIPTORS_MORE_MAX = 8
GROWTH_BYTES_MAX = 16 * 1024 * 1024  # Between the first quarter and the end, times the sanitizers' factor.
JUDGED_SECONDS_MIN = 60  # A shorter load has not warmed up: its memory is shown, not judged.

# Lines of level error that a load such as this brings about: program, event, pattern of its reason or detail.
EXPECTED_ERRORS = (
    # Of a second agent with the same name (disturbances.py): the first one's tunnel answers, so it stays.
    ("easyenclave-agent", "agent.refused", "agent_id_taken"),
)


def settle(installation, record, idle):
    """Streams and descriptors, after the last visitor has gone."""
    control = installation.control
    installation.wait_serving()

    def open_streams():
        return {agent["agent_id"]: agent["open_streams"] for app in ("steady", "shaky", "old")
                for agent in control.app_agents(app) if agent["open_streams"]}

    def check(condition, what):
        try:
            until(condition, SETTLE_SECONDS, what)
        except AssertionError as error:
            record.violate(str(error))

    check(lambda: not open_streams(), "no stream is open at any agent")
    check(lambda: control.metric("ee_proxy_open_requests") == 0, "no request to an app is under way")
    check(lambda: control.metric("ee_tunnels") == len(installation.agents) + 1, "only the agents' tunnels are open")
    check(lambda: control.metric("ee_tunnels_unattested") == 0, "no tunnel is without attestation")
    # Agents keep connections to a backend; those of one that has ended, they do not.
    for app in installation.backends:
        installation.restart_backend(app)
    installation.wait_serving()
    limits = {name: count + DESCRIPTORS_MORE_MAX for name, count in idle.items()}
    try:
        until(lambda: all(count <= limits[name] for name, count in installation.descriptors().items()), SETTLE_SECONDS,
              "no more file descriptors than before")
    except AssertionError:
        record.violate(f"file descriptors: {idle} before, {installation.descriptors()} after")


def judge_memory(installation, record, seconds):
    print("memory at rest: " + ", ".join(f"{name} {rss / 2 ** 20:.1f} MiB" for name, rss in installation.rss().items()))
    for name in ("control plane", "steady-1"):
        quarter = record.median_rss(name, 0.25, 0.4, seconds)
        end = record.median_rss(name, 0.85, 1.0, seconds)
        if quarter is None or end is None:
            continue
        print(f"memory of {name}: {quarter / 2 ** 20:.1f} MiB after the first quarter, {end / 2 ** 20:.1f} MiB at the end")
        if seconds >= JUDGED_SECONDS_MIN and end - quarter > GROWTH_BYTES_MAX * installation.factor:
            record.violate(f"memory of {name} grew from {quarter / 2 ** 20:.1f} to {end / 2 ** 20:.1f} MiB")


def end_programs(installation, record):
    """SIGTERM ends each in time, with 0."""
    programs = [(f"{app}-{number}", agent) for (app, number), agent in installation.agents.items()]
    for name, program in [*programs, ("control plane", installation.control)]:
        if not program.running():
            record.violate(f"{name} has ended by itself with {program.process.poll()}\n{program.transcript(20)}")
            continue
        began_at, late_before = time.monotonic(), record.late_seconds
        try:
            code = program.terminate(60)
        except Exception as error:
            record.violate(f"{name} did not end: {error}\n{program.transcript(20)}")
            continue
        took = time.monotonic() - began_at - 2 * (record.late_seconds - late_before)
        if code != 0 or took > DRAIN_SECONDS:
            record.violate(f"SIGTERM ended {name} with {code} after {took:.1f} s\n{program.transcript(20)}")


def read_logs(installation, record):
    """Standard error holds log lines, and of level error only those that are expected."""
    for program in installation.world.programs:
        if program.other_lines:
            record.violate(f"{program.name} (pid {program.pid}) wrote what is no log line:\n"
                           + "\n".join(str(line) for line in program.other_lines[:200]))
        for line in program.log:
            if line.get("level") == "error" and not any(
                    program.name == name and line["event"] == event and re.search(pattern, str(line))
                    for name, event, pattern in EXPECTED_ERRORS):
                record.violate(f"{program.name} (pid {program.pid}) logged {line}")
        code = program.process.poll()
        if code not in (0, -9) or (code == -9 and program.pid not in installation.killed):
            record.violate(f"{program.name} (pid {program.pid}) ended with {code}\n{program.transcript(20)}")

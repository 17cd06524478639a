"""What happened: requests by kind, what failed and whether it might, disturbances, memory over time."""

import collections
import statistics
import threading
import time

VIOLATIONS_TOLD = 20  # Of one kind.
STANDSTILL_SECONDS = 2.0  # A thread that has nothing to do but wait is late by this: so is everything else.
STANDSTILL = "the machine stood still"
NEAR_SECONDS = 10.0  # What was disturbed so long before a failure that nothing excuses is told with it.
GRACE_SECONDS = 1.0  # After a disturbance is over: what it broke may still be on its way to the visitor.


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Disturbance:
    """Something broken on purpose, which may break requests of `app` ("" is any) that take `seconds_min` or longer."""

    def __init__(self, name, app, seconds_min, begins_at):
        self.name, self.app, self.seconds_min, self.begins_at, self.ends_at = name, app, seconds_min, begins_at, None

    def end(self, grace_s=GRACE_SECONDS):
        self.ends_at = time.monotonic() + grace_s

    def may_break(self, app, began_at, failed_at):
        overlaps = self.begins_at <= failed_at and (self.ends_at is None or self.ends_at > began_at)
        return self.app in (app, "") and overlaps and failed_at - began_at >= self.seconds_min


class Record:
    def __init__(self):
        self.started_at, self.ended_at = time.monotonic(), None  # Of the load.
        self.lock = threading.Lock()
        self.passed, self.excused, self.failed = (collections.Counter() for _ in range(3))  # By (kind, app).
        self.left = collections.Counter()  # Given up by the visitor on purpose.
        self.excuses = collections.Counter()  # By (disturbance, what failed).
        self.small_seconds = collections.defaultdict(list)  # By app.
        self.violations, self.violations_total, self._told = [], 0, collections.Counter()
        self.excuses_standstill = True
        self.disturbances, self._to_judge, self.late_seconds = [], [], 0.0
        self.rss = collections.defaultdict(list)  # By program: (seconds since the start, bytes).

    def elapsed(self):
        return time.monotonic() - self.started_at

    def violate(self, text):
        with self.lock:
            self.violations_total += 1
            of_kind = text.split(":")[0].split("(pid")[0]
            self._told[of_kind] += 1
            if self._told[of_kind] <= VIOLATIONS_TOLD:
                self.violations.append(f"{self.elapsed():.1f} s: {text}")
                print(f"VIOLATED at {self.elapsed():.1f} s: {text}", flush=True)

    # ---- Requests ----

    def count(self, kind, app, left=False):
        with self.lock:
            (self.left if left else self.passed)[kind, app] += 1

    def count_small(self, app, seconds):
        with self.lock:
            self.small_seconds[app].append(seconds)

    def fail(self, kind, app, began_at, why):
        """A request broke off, or was refused: excused where a disturbance of its app overlaps it (judge())."""
        with self.lock:
            self._to_judge.append((kind, app, began_at, time.monotonic(), why))

    def judge(self):
        """Of what has failed since the last time; by then it is known whether the machine stood still."""
        with self.lock:
            waiting, self._to_judge = self._to_judge, []
        for kind, app, began_at, failed_at, why in waiting:
            excuse = next((d.name for d in self.disturbances if d.may_break(app, began_at, failed_at)), None)
            if excuse:
                self.excused[kind, app] += 1
                self.excuses[excuse, why.split(":")[0][:40]] += 1
            else:
                near = [d.name for d in self.disturbances if d.may_break(d.app, began_at - NEAR_SECONDS, failed_at)]
                self.wrong(kind, app, f"{why} ({failed_at - began_at:.1f} s after it began; near it: {near})")

    def waited(self, planned_s, began_at):
        """Of whoever only waits: how long it should have taken, and when it began."""
        late = time.monotonic() - began_at - planned_s
        self.late_seconds += max(0.0, late)
        if late > STANDSTILL_SECONDS and self.excuses_standstill:
            self.begin(STANDSTILL, "", 0, began_at).end(5 * GRACE_SECONDS)

    def wrong(self, kind, app, why):
        """An answer that nothing excuses."""
        with self.lock:
            self.failed[kind, app] += 1
        self.violate(f"{kind} of {app}: {why}")

    def total(self):
        with self.lock:
            return sum(self.passed.values()) + sum(self.left.values()) + sum(self.excused.values())

    # ---- Disturbances ----

    def begin(self, name, app, seconds_min, begins_at=None):
        disturbance = Disturbance(name, app, seconds_min, begins_at or time.monotonic())
        with self.lock:
            self.disturbances.append(disturbance)
        return disturbance

    def under_way(self):
        return [disturbance.name for disturbance in self.disturbances if disturbance.ends_at is None]

    # ---- Memory ----

    def median_rss(self, program, first_share, last_share, seconds):
        values = [rss for at, rss in self.rss.get(program, ()) if first_share * seconds <= at <= last_share * seconds]
        return statistics.median(values) if values else None

    # ---- The table ----

    def table(self):
        kinds = sorted({*self.passed, *self.excused, *self.failed, *self.left})
        yield f"{'kind':<20} {'app':<8} {'right':>9} {'given up':>9} {'excused':>8} {'FAILED':>7}"
        for kind, app in kinds:
            counts = [counter[kind, app] for counter in (self.passed, self.left, self.excused, self.failed)]
            yield "{:<20} {:<8} {:>9} {:>9} {:>8} {:>7}".format(kind, app, *counts)
        for app, seconds in sorted(self.small_seconds.items()):
            yield (f"small requests of {app}: p50 {quantile(seconds, 0.5) * 1e3:.1f} ms, "
                   f"p99 {quantile(seconds, 0.99) * 1e3:.1f} ms, longest {max(seconds) * 1e3:.0f} ms")
        done = collections.Counter(disturbance.name for disturbance in self.disturbances)
        for name, count in sorted(done.items()):
            broke = ", ".join(f"{why} x{number}" for (excuse, why), number in sorted(self.excuses.items())
                              if excuse == name)
            yield f"disturbed {count:>3} times: {name}" + (f" ({broke})" if broke else "")
        for program, samples in sorted(self.rss.items()):
            yield f"peak memory of {program}: {max(rss for _, rss in samples) / 2 ** 20:.0f} MiB"

"""The product's programs as child processes whose log lines are events one can wait for."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

from simulated_platform import binary

START_SECONDS = 15


def memory_factor():
    """Sanitizers keep freed memory and shadows of all of it: there "flat" is coarser."""
    with open(binary("easyenclave-control"), "rb") as file:
        program = file.read()
    return 6 if b"__asan_init" in program or b"__tsan_init" in program else 1


def lasting_port():
    """A free port that nothing gets by chance: a program, or a server of a test, can be started on it again after it has
    ended."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest_given_out = int(file.read().split()[0])
    while True:
        # Where hardly any are left for this, one that is given out by chance has to do.
        port = random.randrange(10_000, lowest_given_out if lowest_given_out > 12_000 else 60_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Program:
    """A running program. Its JSON log (stderr) and, for the control plane, access log (stdout) are read as they
    come: wait_event() returns as soon as the line is there. Start programs from the main thread (they die with it).
    `prefix`: what runs the command, such as `ip netns exec NAME`."""

    def __init__(self, name, environment, arguments=(), prefix=()):
        self.name = name
        self.log, self.access, self.other_lines = [], [], []
        self._changed = threading.Condition()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EE_")}
        # Whatever ends the tests ends the program: nothing is left behind by a killed run.
        self.process = subprocess.Popen([*prefix, "setpriv", "--pdeathsig", "KILL", binary(name), *arguments],
                                        env={**inherited, **{k: str(v) for k, v in environment.items()}},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._open_readers = 2
        for stream, lines in ((self.process.stderr, self.log), (self.process.stdout, self.access)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @property
    def pid(self):
        return self.process.pid

    def _read(self, stream, lines):
        for raw in stream:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            try:
                entry, target = json.loads(text), lines
            except ValueError:
                entry, target = text, self.other_lines
            with self._changed:
                target.append(entry)
                self._changed.notify_all()
        with self._changed:
            self._open_readers -= 1
            self._changed.notify_all()

    def events(self, event=None, since=0, **fields):
        """The log lines so far with this event and these fields."""
        return [line for line in self.log[since:] if _matches(line, event, fields)]

    def mark(self):
        """A position in the log: `since=` of events() and wait_event()."""
        return len(self.log)

    def wait_event(self, event, timeout=10, since=0, count=1, **fields):
        """The count-th log line with this event and these fields, as soon as it is there."""
        return self._wait(self.log, timeout, since, count, event, fields)

    def wait_access(self, timeout=5, since=0, count=1, **fields):
        """The same for the access log (written every 200 ms)."""
        return self._wait(self.access, timeout, since, count, "access", fields)

    def _wait(self, lines, timeout, since, count, event, fields):
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [line for line in lines[since:] if _matches(line, event, fields)]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or self._open_readers == 0:
                    why = "ended" if self._open_readers == 0 else f"did not within {timeout} s"
                    raise AssertionError(f"{self.name}: {event} {fields} x{count} was awaited; the program {why}")
                self._changed.wait(left)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=10):
        """Waits for the end; the exit code."""
        code = self.process.wait(timeout)
        deadline = time.monotonic() + 5
        with self._changed:
            while self._open_readers and time.monotonic() < deadline:
                self._changed.wait(0.5)
        return code

    def terminate(self, timeout=10):
        """SIGTERM, then the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """kill -9."""
        if self.process.poll() is None:
            self.process.kill()
        return self.wait()

    def running(self):
        return self.process.poll() is None

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def transcript(self, lines_max=60):
        """The end of its log, for the report of a failed test."""
        lines = [json.dumps(line) for line in self.log[-lines_max:]] + [str(line) for line in self.other_lines[-lines_max:]]
        return "\n".join(lines)


def _matches(line, event, fields):
    if event is not None and line.get("event") != event:
        return False
    return all(line.get(name) == value for name, value in fields.items())

#!/usr/bin/python3
"""Runs scripts/demo.sh the way people do, also when things are broken around it.

    demo_test.py --bin DIR [unittest arguments]
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 60
BIN = None  # Set by main().


class Demo:
    """One run of the script, with a folder for temporary files of its own."""

    def __init__(self, case, *arguments, root=ROOT, programs=None, name="demo"):
        self.temporary = pathlib.Path(tempfile.mkdtemp(prefix=f"{name} test "))
        case.addCleanup(shutil.rmtree, self.temporary, ignore_errors=True)
        self.process = subprocess.Popen(
            [str(root / "scripts/demo.sh"), "--bin", str(programs or BIN), *arguments],
            env={**os.environ, "TMPDIR": str(self.temporary)}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        case.addCleanup(self.kill)
        self.output = ""

    def finish(self):
        """The exit status; its output is in `output`."""
        rest, _ = self.process.communicate(timeout=DEADLINE_S)
        self.output += rest
        return self.process.returncode

    def read_until(self, text):
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.output:
            line = self.process.stdout.readline()
            if not line or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} did not come:\n{self.output}")
            self.output += line

    def processes(self):
        """Everything that was started with a path in this run's folder: [(pid, command line)]."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                environment = (entry / "environ").read_bytes()
                arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except (OSError, ValueError):
                continue
            if arguments and f"TMPDIR={self.temporary}".encode() in environment.split(b"\0"):
                found.append((int(entry.name), arguments))
        return found

    def pid_of(self, name):
        return next(pid for pid, arguments in self.processes() if arguments.endswith(name))

    def leftovers(self):
        return [*self.processes(), *self.temporary.iterdir()]

    def kill(self):
        for pid, _ in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.stdout.close()
        self.process.wait()


class DemoTest(unittest.TestCase):
    def assert_worked(self, demo):
        self.assertEqual(demo.finish(), 0, demo.output)
        self.assertIn("request     GET /through-the-api", demo.output)
        self.assertIn("request     GET /through-the-proxy", demo.output)
        self.assertNotIn("FAILED", demo.output)
        self.assertNotIn("No such file", demo.output)
        self.assertEqual(demo.leftovers(), [])

    def assert_failed(self, demo, *words):
        self.assertEqual(demo.finish(), 1, demo.output)
        for word in ("FAILED", *words):
            self.assertIn(word, demo.output)
        self.assertNotIn("Everything worked", demo.output)
        self.assertEqual(demo.leftovers(), [])

    def programs_with(self, name, script):
        """A folder with the real programs but one, which is this shell script instead."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="demo programs "))
        self.addCleanup(shutil.rmtree, folder)
        for program in ("easyenclave-control", "easyenclave-agent", "eectl"):
            if program != name:
                (folder / program).symlink_to(pathlib.Path(BIN) / program)
        if script is not None:
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    def occupy(self, port):
        """Listens there, unless somebody does already."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            pass

    def test_once_carries_both_requests_and_leaves_nothing(self):
        self.assert_worked(Demo(self, "--once"))

    def test_two_run_side_by_side(self):
        first, second = Demo(self, "--once"), Demo(self, "--once")
        self.assert_worked(first)
        self.assert_worked(second)

    def test_a_path_with_spaces_is_fine(self):
        root = pathlib.Path(tempfile.mkdtemp(prefix="demo of 'one' tree "))
        self.addCleanup(shutil.rmtree, root)
        shutil.copytree(ROOT / "scripts", root / "scripts")
        shutil.copytree(ROOT / "demo", root / "demo")
        self.assert_worked(Demo(self, "--once", root=root, programs=self.programs_with("none", None)))

    def test_takes_other_ports_when_the_usual_ones_are_taken(self):
        self.occupy(8088)
        self.occupy(9090)
        demo = Demo(self, "--once")
        self.assert_worked(demo)
        self.assertIn("port 8088 is taken", demo.output)
        self.assertIn("port 9090 is taken", demo.output)

    def test_settings_of_the_shell_do_not_reach_it(self):
        os.environ.update(EE_NETWORK="forge-1", EE_CONTROL_PORT="1", EECTL_URL="http://192.0.2.1")
        self.addCleanup(lambda: [os.environ.pop(n) for n in ("EE_NETWORK", "EE_CONTROL_PORT", "EECTL_URL")])
        self.assert_worked(Demo(self, "--once"))

    def test_names_a_missing_program(self):
        demo = Demo(self, "--once", programs=self.programs_with("easyenclave-agent", None))
        self.assert_failed(demo, "easyenclave-agent is missing", "make build")

    def test_shows_the_log_of_a_control_plane_that_does_not_start(self):
        programs = self.programs_with("easyenclave-control", "echo the disk is upside down >&2; exit 3")
        self.assert_failed(Demo(self, "--once", programs=programs),
                           "easyenclave-control ended with status 3", "the disk is upside down")

    def test_shows_the_log_of_an_agent_that_ends(self):
        programs = self.programs_with("easyenclave-agent", "echo no quotes today >&2; exit 1")
        self.assert_failed(Demo(self, "--once", programs=programs),
                           "easyenclave-agent ended with status 1", "no quotes today")

    def test_says_why_an_agent_is_refused(self):
        agent = pathlib.Path(BIN) / "easyenclave-agent"
        programs = self.programs_with("easyenclave-agent", f"EE_NETWORK=moon-1 exec '{agent}'")
        self.assert_failed(Demo(self, "--once", programs=programs), "refused: invalid_network")

    def test_notices_an_agent_that_is_killed(self):
        demo = Demo(self)
        demo.read_until("Ctrl-C")
        os.kill(demo.pid_of("easyenclave-agent"), signal.SIGKILL)
        self.assert_failed(demo, "agent ended by itself, with status 137")

    def test_every_command_it_suggests_works(self):
        demo = Demo(self)
        demo.read_until("Ctrl-C")
        folder = re.search(r"terminal, from (.*)", demo.output).group(1)
        commands = re.findall(r"^    ((?:curl|EE_ADMIN_TOKEN=|\S*/eectl|/).*)$", demo.output, re.MULTILINE)
        self.assertGreaterEqual(len(commands), 12, demo.output)
        for command in commands:
            if not re.match(r"curl|EE_|\S*eectl", command):
                # A log. Lines of the access log gather for 200 ms.
                command = f"timeout {DEADLINE_S} sh -c 'until test -s \"$1\"; do sleep 0.05; done' - {command}"
            command = command.replace("curl ", "curl --fail ", 1)
            done = subprocess.run(["bash", "-c", f"cd {folder} && {command}"], capture_output=True, text=True,
                                  timeout=DEADLINE_S, check=False)
            self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        os.killpg(demo.process.pid, signal.SIGINT)  # What Ctrl-C does.
        self.assertEqual(demo.finish(), 0, demo.output)
        self.assertEqual(demo.leftovers(), [])

    def test_ends_tidily_when_it_is_terminated_half_way(self):
        programs = self.programs_with("easyenclave-agent", "exec sleep 600")
        demo = Demo(self, programs=programs)
        demo.read_until("control plane")
        demo.process.send_signal(signal.SIGTERM)
        self.assertEqual(demo.finish(), 143, demo.output)
        self.assertEqual(demo.leftovers(), [])

    def test_ends_tidily_when_nobody_reads_what_it_says(self):
        demo = Demo(self, "--once")
        demo.read_until("programs")
        demo.process.stdout.close()
        self.assertNotEqual(demo.process.wait(DEADLINE_S), 0)
        self.assertEqual(demo.leftovers(), [])

    def test_no_process_outlives_it_even_when_it_is_killed(self):
        demo = Demo(self)
        demo.read_until("Ctrl-C")
        self.assertGreaterEqual(len(demo.processes()), 4)
        demo.process.kill()
        deadline = time.monotonic() + DEADLINE_S
        while demo.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(demo.processes(), [])

    def test_says_what_arguments_it_takes(self):
        demo = Demo(self, "--twice")
        self.assertEqual(demo.finish(), 2)
        self.assertIn("--once", demo.output)


def main():
    global BIN
    at = sys.argv.index("--bin")
    BIN = os.path.abspath(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    unittest.main()


if __name__ == "__main__":
    main()

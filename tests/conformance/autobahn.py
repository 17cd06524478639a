#!/usr/bin/python3
"""The WebSocket cases of the Autobahn testsuite, put to a backend directly and through the tunnel.

    tests/conformance/autobahn.py [CASE...]     such as 1.* 7.9.*; without any, those of USUAL
    tests/conformance/autobahn.py --all         all 517 of them: an hour

The backend (python3-websockets) echoes. What it passes directly it must pass through control plane and agent, and close
with the same code. Exits 0 when it does, 1 when it does not, 77 when the suite is not there: it needs Python 2.7,

    PYTHONUSERBASE=FOLDER python2.7 -m pip install --user autobahntestsuite==0.8.2

and then EE_AUTOBAHN_DIR=FOLDER here (or its wstest on the PATH)."""

import asyncio
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
SKIPPED = 77
# Of the compressed ones, a thousand messages each, those that show what each group is about; nothing of one megabyte
# in pieces of 64 bytes, which is about the suite's own speed.
USUAL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.*", "9.2.*", "9.3.*", "9.4.*", "9.5.*", "9.6.*", "10.*",
         "12.1.2", "12.1.5", "12.2.4", "12.3.5", "12.4.3", "12.5.2", "13.1.3", "13.2.2", "13.3.3", "13.4.2", "13.5.3",
         "13.6.2", "13.7.3"]
PASSES = {"OK", "NON-STRICT", "INFORMATIONAL"}


def wstest():
    """(command, environment) of the suite; None where it is not installed."""
    folder = os.environ.get("EE_AUTOBAHN_DIR")
    found = shutil.which("wstest", path=os.path.join(folder, "bin") if folder else None)
    return found and ([found], {**os.environ, **({"PYTHONUSERBASE": folder} if folder else {}),
                                "PYTHONWARNINGS": "ignore"})


class EchoBackend:
    """Echoes messages as they are, compressed where the client can."""

    def __init__(self):
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(10)

    def _run(self):
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        from websockets.server import serve

        async def echo(connection, *_):
            async for message in connection:
                await connection.send(message)

        logging.getLogger("websockets.server").disabled = True  # It tells of each case that breaks the protocol.
        async with serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            self._ready.set()
            await asyncio.Future()

    def stop(self):
        """Nothing: it ends with the process."""


def run_suite(suite, folder, ports, cases):
    """Puts the cases to each of {name: port}; {name: {case: result}}."""
    command, environment = suite
    specification = folder / "cases.json"
    specification.write_text(json.dumps({
        "outdir": str(folder / "reports"), "options": {"failByDrop": False},
        "servers": [{"agent": name, "url": f"ws://localhost:{port}"} for name, port in ports.items()],
        "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}))
    with open(folder / "wstest.log", "w") as log:
        subprocess.run([*command, "-m", "fuzzingclient", "-s", str(specification)], env=environment, cwd=folder,
                       stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=3600, check=True)
    return json.loads((folder / "reports" / "index.json").read_text())


def differences(direct, tunnel):
    """A line for each case that passes directly and not, or with another close code, through the tunnel."""
    lines = []
    for case in sorted(direct, key=lambda name: [int(part) for part in name.split(".")]):
        wanted, got = direct[case], tunnel.get(case, {})
        if wanted["behavior"] not in PASSES:
            continue
        for member in ("behavior", "behaviorClose", "remoteCloseCode"):
            # OK is NON-STRICT where a message and the frame that breaks the protocol come in one segment.
            both_pass = wanted[member] in PASSES and got.get(member) in PASSES
            if got.get(member) != wanted[member] and not both_pass:
                lines.append(f"{case}: {member} is {wanted[member]} directly, {got.get(member)} through the tunnel")
    return lines


def main(arguments):
    suite = wstest()
    if suite is None:
        print("SKIPPED: no wstest: PYTHONUSERBASE=FOLDER python2.7 -m pip install --user autobahntestsuite==0.8.2,"
              " then EE_AUTOBAHN_DIR=FOLDER")
        return SKIPPED
    from harness import World
    from simulated_platform import SimulatedPlatform

    cases = ["*"] if "--all" in arguments else arguments or USUAL
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ee-autobahn-"))
    world = World(tempfile.mkdtemp(prefix="ee-e2e-"), SimulatedPlatform(str(folder / "platform")))
    try:
        backend = EchoBackend()
        # The suite asks by the name localhost, so an app of that name answers.
        control = world.control(EE_APP_DOMAIN=None, EE_TRUSTED_PROXIES="127.0.0.0/8,::1", EE_LOG_LEVEL="info")
        world.agent(control, backend, app="localhost", EE_HEALTH_INTERVAL_SEC=60)
        results = run_suite(suite, folder, {"direct": backend.port, "tunnel": control.proxy_port}, cases)
    finally:
        world.close()
    found = differences(results["direct"], results["tunnel"])
    passed = [sum(result["behavior"] in PASSES for result in results[name].values()) for name in ("direct", "tunnel")]
    print(f"{len(results['direct'])} cases: {passed[0]} pass directly, {passed[1]} through the tunnel")
    if found or not results["direct"] or len(results["direct"]) != len(results["tunnel"]):
        print(*found, f"reports are in {folder}/reports", sep="\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

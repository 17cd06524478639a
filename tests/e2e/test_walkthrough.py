"""The commands of docs/ledger.md, run as they are there: only the address, and the cell in the last ones, are others."""

import json
import os
import pathlib
import re
import subprocess
import time

from harness import until
from shifted_clock import ahead_by
from simulated_platform import binary

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ledger.md"
ROLES = {"EE_ADMIN_TOKEN": "secret", "EE_UPTIME_TOKEN": "uptime-secret"}
HOUR = 3600
BEFORE_THE_END = 20  # Of the cell: what comes before its settlement takes a second or two.


def blocks():
    """What the page gives to copy, in its order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def shell(world, clock, commands, **variables):
    """By a reader who has set these variables, with the control plane's clock."""
    programs = pathlib.Path(binary("eectl")).parent
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": world.path, **clock, **variables}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=world.path, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, env={name: str(value) for name, value in environment.items()})


def test_from_a_purchase_to_a_settlement(world):
    buying, settling, judging, _, proving = blocks()  # The fourth is for a control plane in a TEE.
    before = time.time()
    end = (int(before) // HOUR + 1) * HOUR
    clock = ahead_by(end - BEFORE_THE_END - before)
    control = world.control(**clock, **ROLES, EE_SETTLE_AUTO="false")
    for role, token in ROLES.items():
        assert token in buying, f"the page has another {role} than it says one is to start with"
    address = f"http://127.0.0.1:{control.port}"
    assert "http://127.0.0.1:8088" in buying

    bought = shell(world, clock, buying.replace("http://127.0.0.1:8088", address) + 'echo "CELL=$CELL"\n')
    assert bought.returncode == 0, bought.stdout + bought.stderr
    cell = re.search(r"^CELL=(.*)$", bought.stdout, re.MULTILINE)[1]
    assert cell == time.strftime("%Y-%m-%dT%H", time.gmtime(end - HOUR)), "the machine is too busy: the cell is over"
    said = re.search(r"# locked_usd ([\d.]+):", buying)[1]
    assert re.search(rf"locked_usd\s+{re.escape(said)}$", bought.stdout, re.MULTILINE), bought.stdout

    reader = {"EECTL_URL": address, **ROLES, "CELL": cell}
    early = shell(world, clock, settling, **reader)
    assert early.returncode != 0 and "period_open" in early.stderr, early.stdout + early.stderr
    settled = until(lambda: (done := shell(world, clock, settling, **reader)).returncode == 0 and done, 60, "the cell is over")
    outcome, reasons = re.search(r"it comes to `(\w+)` \(`(\w+)`, `\w+`\)", PAGE.read_text()).groups()
    assert outcome in settled.stdout and reasons in settled.stdout, settled.stdout
    assert re.search(r"available_usd\s+100$", settled.stdout, re.MULTILINE), settled.stdout

    judged = shell(world, clock, judging.replace("2026-01-09T13", cell), **reader)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert judged.stdout.startswith(f"{cell} n1 "), judged.stdout
    assert [item["outcome"] for item in json.loads((world.path / "settlements.json").read_text())["items"]] == [outcome]

    # A receipt, by the key that the reader has noted.
    bought = "eectl credits purchase alice --amount-usd 1 --payment-ref invoice-8 --json > FILE\n"
    proven = shell(world, clock, bought + proving, **reader)
    assert proven.returncode == 0 and "account alice: +1 USD" in proven.stdout, proven.stdout + proven.stderr

"""Verifying one quote, on one core in CPU time: ours beside its signatures alone, and beside dcap-qvl, taking turns on one core."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess

from lab import BenchError, find_tool
from rows import ATTESTATION_FLOORS, row, say

ROOT = pathlib.Path(__file__).resolve().parents[1]
VECTOR = "genuine/dcap-qvl-tdx_quote"  # A genuine quote: the libraries beside ours take no simulated one.
VECTOR_TIME = "1751624191"
RUNS = 3
RUN_SECONDS = 3  # Of CPU time, for everything one program measures.
BUILD_SECONDS = 600  # Building the crate, installing the package: once.


def vector_arguments():
    """Files of the genuine quote, and its time; None where the vectors are not there."""
    folder = pathlib.Path(os.environ.get("EE_TEST_VECTORS", ROOT.parent / "shared" / "vectors")) / VECTOR
    files = [folder / "quote.bin", folder / "collateral.json"]
    return [*files, VECTOR_TIME] if all(file.exists() for file in files) else None


def quietly(command):
    try:
        return subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=BUILD_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def prepare_rust():
    """The command of the crate's program; None where there is no cargo or no registry."""
    source, target = ROOT / "bench/dcap_qvl_rust", ROOT / "build/bench/dcap_qvl_rust"
    cargo = find_tool("cargo") or shutil.which(pathlib.Path.home() / ".cargo/bin/cargo")
    if not cargo or not quietly([cargo, "build", "--release", "--locked", "--manifest-path", source / "Cargo.toml",
                                 "--target-dir", target]):
        return None
    return [target / "release/dcap_qvl_bench"]


def prepare_npm():
    """The command of the package's program; None where there is no npm or no registry."""
    source, target = ROOT / "bench/dcap_qvl_npm", ROOT / "build/bench/dcap_qvl_npm"
    shutil.copytree(source, target, dirs_exist_ok=True)
    if not find_tool("npm") or not quietly(["npm", "ci", "--no-audit", "--no-fund", "--prefix", target]):
        return None
    return ["node", target / "bench.js"]


def report_of(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def median_report(reports):
    return {key: statistics.median(report[key] for report in reports) for key in reports[0]}


def measure(bin_dir):
    """(our report, {name: dcap-qvl's report}), the median of several runs of each."""
    vector = vector_arguments()
    commands = {"ours": [bin_dir / "attestation_bench", RUN_SECONDS, *(vector or [])]}
    for name, prepare in (("rust", prepare_rust), ("npm", prepare_npm)):
        command = prepare() if vector else None
        if command:
            commands[name] = [*command, RUN_SECONDS, *vector]
        else:
            say(f"  dcap_qvl_{name} is skipped: " + ("it cannot be built here" if vector else "no vectors"))
    reports = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            reports[name].append(report_of(command))
    medians = {name: median_report(runs) for name, runs in reports.items()}
    return medians.pop("ours"), medians


def attestation(_lab, _wanted, options):
    """The ratio is of rates, so its goal is the inverse of a goal in time."""
    ours, others = measure(options.bin)
    rows = []
    for way, most in ATTESTATION_FLOORS.items():
        say(f"  {way}: {ours[f'{way}_us']:.1f} us, its {ours[f'signatures_{way}']:.0f} signatures alone "
            f"{ours[f'floor_{way}_us']:.1f} us: {ours[f'ratio_{way}']:.3f} of that, at most {most} is the goal")
        rows.append(row(f"attestation_{way}", 1e6 / ours[f"{way}_us"], "quotes/s", 1e6 / ours[f"floor_{way}_us"],
                        1 / ours[f"ratio_{way}"]))
        rows += [row(f"attestation_dcap_qvl_{name}_{way}", 1e6 / ours[f"{way}_us"], "quotes/s",
                     1e6 / theirs[f"{way}_us"]) for name, theirs in others.items()]
    return rows

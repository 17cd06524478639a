#!/usr/bin/python3
"""Installs the attestation library, builds examples/verify_quote against it as another project would, and runs it.

    install_test.py --build DIR     DIR: where the tree was built
"""

import argparse
import base64
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, code=0):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=240)
    if done.returncode != code:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}, not {code}:\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    build = parser.parse_args().build
    eectl = build / "bin" / "eectl"
    with tempfile.TemporaryDirectory(prefix="easyenclave-install-") as name:
        folder = pathlib.Path(name)
        prefix, example, platform = folder / "prefix", folder / "build", folder / "platform"
        run("cmake", "--install", build, "--prefix", prefix, "--component", "attestation")
        headers = sorted(str(p.relative_to(prefix)) for p in prefix.rglob("*.h"))
        assert headers == ["include/easyenclave/attestation.h"], headers
        run("cmake", "-S", ROOT / "examples" / "verify_quote", "-B", example, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", example)

        run(eectl, "simulate", "init", platform)
        quote = folder / "quote.bin"
        run(eectl, "simulate", "quote", platform, "--report-data", "00" * 64, "--out", quote)
        raw = folder / "quote.raw"
        raw.write_bytes(base64.b64decode(quote.read_bytes()))
        verify = example / "verify_quote"
        said = run(verify, raw, platform / "collateral.json", platform / "root.pem")
        assert said.startswith("ok: UpToDate\nmrtd "), said
        # The same quote means nothing without the simulated root, and nothing with one bit changed.
        said = run(verify, raw, platform / "collateral.json", code=1)
        assert said.startswith("refused: certificate_chain_invalid\n"), said
        changed = bytearray(raw.read_bytes())
        changed[200] ^= 1
        raw.write_bytes(changed)
        said = run(verify, raw, platform / "collateral.json", platform / "root.pem", code=1)
        assert said.startswith("refused: quote_signature_invalid\n"), said
    print("installed, linked and used: good")


if __name__ == "__main__":
    sys.exit(main())

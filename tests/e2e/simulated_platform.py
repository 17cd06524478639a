"""The simulated TDX platform: quotes made by `eectl simulate quote`, report data by the specified layouts."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import threading

BIN_DIR = pathlib.Path(os.environ.get("EE_BIN_DIR") or pathlib.Path(__file__).resolve().parents[2] / "build/release/bin")


def binary(name):
    path = BIN_DIR / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; EE_BIN_DIR names the folder of the programs")
    return str(path)


def eectl(*arguments, check=True, timeout=30, env=None):
    """Runs eectl; the CompletedProcess with text output. `check`: exit code 0 is expected."""
    result = subprocess.run([binary("eectl"), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                            env={**os.environ, **(env or {})})
    if check and result.returncode != 0:
        raise AssertionError(f"eectl {arguments} exited with {result.returncode}: {result.stderr}{result.stdout}")
    return result


def counted(data):
    return len(data).to_bytes(2, "big") + data


def canonical(measurements):
    """RFC 8785 of an object of strings, booleans and null with ASCII keys."""
    return json.dumps(measurements, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def report_data_layout2(nonce, identity, measurements, key_spki=b"", channel=b"", wire="1", role="agent"):
    """The 64 bytes that an answer of layout 2 quotes. `identity`: agent_id, app_name, repo, ... of `register`."""
    message = b"easyenclave/attest/2\0" + counted(role.encode()) + nonce
    message += counted(hashlib.sha256(key_spki).digest() if key_spki else b"") + counted(channel) + counted(wire.encode())
    for field in ("agent_id", "node_id", "app_name", "repo", "release_tag", "network"):
        message += counted(str(identity.get(field) or "").encode())
    return hashlib.sha512(message + counted(hashlib.sha256(canonical(measurements)).digest())).digest()


LEGACY_CLAIMS = {"agent_dir_sha256": "a" * 64, "agent_py_sha256": "b" * 64, "vm_image_id": "tag=v0.1.3", "sealed": False}


def report_data_legacy(claims):
    """What deployed agents quote: their own claims, no nonce."""
    text = "agent_dir={agent_dir_sha256}\nagent_py={agent_py_sha256}\nvm_image_id={vm_image_id}\nsealed={s}".format(
        s=str(claims["sealed"]).lower(), **claims)
    return hashlib.sha256(text.encode()).digest() + bytes(32)


class SimulatedPlatform:
    """One `eectl simulate init` folder. quote() is cached by report data and options."""

    def __init__(self, directory, *options):
        self.directory = pathlib.Path(directory)
        eectl("simulate", "init", *options, self.directory)
        self._quotes = {}
        self._lock = threading.Lock()

    @property
    def root(self):
        return self.directory / "root.pem"

    def collateral(self):
        return json.loads((self.directory / "collateral.json").read_text())

    def allowlist(self):
        return json.loads((self.directory / "allowlist.json").read_text())

    def quote(self, report_data, *options):
        """A quote over these 64 bytes, in base64; options as of `eectl simulate quote`, e.g. "--debug"."""
        key = (bytes(report_data), options)
        with self._lock:
            if key in self._quotes:
                return self._quotes[key]
        made = eectl("simulate", "quote", self.directory, "--report-data", key[0].hex(), *options).stdout.strip()
        with self._lock:
            self._quotes[key] = made
        return made

    def certificate(self, file, *options, legacy=False, **named):
        """An RA-TLS certificate and its key, in `file` (PEM); options as of `eectl simulate certificate`. `named`: app,
        repo, release_tag, network, where they are not those of a WireAgent."""
        names = {"app": "myapp", "repo": "org/repo", "release_tag": "v0.1.3", "network": "sandbox-1", **named}
        named_options = ("--legacy",) if legacy else tuple(
            text for name, value in names.items() for text in ("--" + name.replace("_", "-"), value))
        made = eectl("simulate", "certificate", self.directory, *named_options, *options).stdout
        pathlib.Path(file).write_text(made)
        return file

    def quotes(self, report_datas, *options):
        """Several at once, two at a time."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda data: self.quote(data, *options), report_datas))

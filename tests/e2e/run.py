"""pytest with the arguments given, or a word about what is missing for it."""

import importlib.util
import os
import sys

PACKAGES = {"pytest": "python3-pytest", "aiohttp": "python3-aiohttp", "hpack": "python3-hpack", "h2": "python3-h2",
            "grpc": "python3-grpcio", "websockets": "python3-websockets", "yaml": "python3-yaml"}
missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
if missing:
    sys.exit(f"the end-to-end tests need {' and '.join(missing)}: apt-get install {' '.join(missing)}")
os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])

#!/usr/bin/env bash
# Configures a preset of CMakePresets.json when needed and builds it.
#
#   scripts/build.sh PRESET [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift

quietly() {  # Runs a command; shows what it said only when it fails.
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

quietly cmake --preset "$preset"
if [ $# -gt 0 ]; then cmake --build --preset "$preset" --target "$@"
else cmake --build --preset "$preset"
fi

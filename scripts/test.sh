#!/usr/bin/env bash
# Runs the tests of a built preset: only what did not pass is shown in full, and ctest's closing lines.
#
#   scripts/test.sh PRESET [ctest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
# Four slots a processor. A test that computes takes three, one that drives the programs two, one that mostly waits one.
slots=$((4 * $(nproc)))
command=(ctest --preset "$preset" --parallel "$slots" --output-on-failure --no-tests=error "$@")

# Tests wait for the disk, which may have what was built before it for many seconds.
sync -f "build/$preset"

# A terminal shows progress on one line; a log leaves out the tests that start and pass.
if [ -t 1 ]; then exec "${command[@]}" --progress </dev/null; fi
set +e
"${command[@]}" </dev/null 2>&1 | grep --line-buffered -vE '^ +Start +[0-9]+: | Test +#[0-9]+: .* Passed '
exit "${PIPESTATUS[0]}"

#!/usr/bin/env bash
# Runs the libFuzzer targets of the fuzz build, one after the other, from their corpora.
#
#   scripts/fuzz.sh SECONDS_EACH [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
only=${2:-}

ran=0
for target in build/fuzz/bin/fuzz_*; do
    [ -x "$target" ] || continue
    name=$(basename "$target")
    name=${name#fuzz_}
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    found=build/fuzz/found/$name
    mkdir -p "$found"
    corpora=("$found")
    [ ! -d "tests/fuzz/corpus/$name" ] || corpora+=("tests/fuzz/corpus/$name")
    echo "== $name, $seconds s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found/" "${corpora[@]}" 2>&1 </dev/null | tail -n 15
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "no fuzz target${only:+ named $only}" >&2; exit 1; }

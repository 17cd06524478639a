#!/usr/bin/env bash
# Everything that can be said about the code without running it: format, clang-tidy, layers, style, and the
# generated documentation. `make check` runs the tests after it.
#
#   scripts/check.sh          checks
#   scripts/check.sh --fix    formats the code and renews what is generated
set -euo pipefail
cd "$(dirname "$0")/.."

sources() {
    git ls-files -co --exclude-standard 'src/*.h' 'src/*.cpp' 'tests/*.h' 'tests/*.cpp' 'bench/*.h' 'bench/*.cpp' |
        while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

if [ "${1:-}" = --fix ]; then
    sources | xargs -r clang-format-19 -i
    scripts/build.sh release ee_config_docs >/dev/null
    build/release/bin/ee_config_docs >docs/configuration.md
    echo "formatted; docs/configuration.md is renewed"
    exit 0
fi

failed=()
step() {  # step NAME COMMAND...
    local name=$1
    shift
    printf '%-8s ' "$name"
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        echo "good"
    else
        echo "FAILED"
        tail -n 200 "$log"
        failed+=("$name")
    fi
    rm -f "$log"
}

check_format() { sources | xargs -r clang-format-19 --dry-run --Werror; }

# GCC's own warnings in the compile commands mean nothing to clang, nor do its precompiled headers. Tests are left
# to the compiler.
check_tidy() {
    mkdir -p build/tidy
    sed -E 's/ -fpch-preprocess//; s/ -Winvalid-pch -include [^ ]+//' build/release/compile_commands.json \
        >build/tidy/compile_commands.json
    run-clang-tidy-19 -quiet -p build/tidy -j "$(nproc)" \
        -extra-arg=-Wno-unknown-warning-option "$PWD/src/.*(?<!_test)\.cpp$" 2>&1 |
        { grep -vE '^\[[ 0-9/]+\]|warnings generated|Suppressed|Use -header-filter|clang-tidy-19 |^$' || true; }
}

check_docs() {
    build/release/bin/ee_config_docs | diff -u docs/configuration.md - ||
        { echo "docs/configuration.md is stale: run \`make docs\`"; return 1; }
}

step format check_format
step layers tests/layers/check_layers.py
step style tests/style/check_style.py
step docs check_docs
step tidy check_tidy

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}; \`make fix\` mends format and docs"
    exit 1
fi

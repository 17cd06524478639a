#!/usr/bin/env bash
# Installs the Debian packages that a task needs and this machine lacks, and says so first.
#
#   scripts/deps.sh build [check] [bench] [fuzz] [clients]    install what is missing (as root)
#   scripts/deps.sh --list build                    print the packages of the groups, one a line
#
# Without root it prints the one command to run and exits 1.
set -euo pipefail

packages_of() {
    case "$1" in
        build)  # To build, to test and to run the demo.
            echo g++ make cmake ninja-build ccache mold libssl-dev libsimdjson-dev libfmt-dev libexpected-dev \
                libcli11-dev libtomlplusplus-dev libsqlite3-dev libnghttp2-dev libsodium-dev libmimalloc-dev libgtest-dev libgmock-dev \
                python3 python3-aiohttp python3-pytest python3-grpcio python3-h2 python3-hpack python3-websockets \
                python3-yaml \
                nghttp2-client curl openssl ca-certificates git ;;
        check) echo clang-format-19 clang-tidy-19 ;;
        bench) echo nginx-light wrk libbenchmark-dev python3-aiohttp ;;
        fuzz) echo clang-19 libclang-rt-19-dev ;;
        # What the end-to-end tests ask with besides; without it some of them are skipped.
        clients) echo chromium nodejs nghttp2-client curl wrk ;;
        *) echo "scripts/deps.sh: unknown group '$1': build, check, bench, fuzz or clients" >&2; return 2 ;;
    esac
}

list_only=false
if [ "${1:-}" = --list ]; then
    list_only=true
    shift
fi
[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

packages=()
for group in "$@"; do
    names=$(packages_of "$group")
    # shellcheck disable=SC2206
    packages+=($names)
done
if $list_only; then
    printf '%s\n' "${packages[@]}" | sort -u
    exit 0
fi

missing=()
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing. Install them with:" >&2
    echo "  sudo apt-get update && sudo ${install[*]}" >&2
    exit 1
fi
echo "Installing ${#missing[@]} missing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -q && "${install[@]}" -q; } >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "Installing failed; what apt-get said is above." >&2
    exit 1
fi

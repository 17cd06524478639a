#!/usr/bin/env bash
# Shows where the time goes under the load of requests: system calls a request, with those of both nginx hops
# beside them, and allocations a request of the control plane and the agent, then the top symbols of these two.
# Needs root, linux-perf and g++.
#
#   bench/profile.sh [--bin DIR] [CONNECTIONS=64] [SECONDS=4]
set -euo pipefail
here=$(realpath "$(dirname "$0")")

if [ -z "${BENCH_CONTROL_PID:-}" ]; then
    options=()
    if [ "${1:-}" = --bin ]; then
        options=(--bin "$2")
        shift 2
    fi
    command -v perf >/dev/null ||
        { echo "missing: linux-perf. Install with:"; echo "  sudo apt-get install -y linux-perf"; exit 1; } >&2
    counter=$(mktemp -d)
    trap 'rm -rf "$counter"' EXIT
    c++ -std=c++20 -O2 -shared -fPIC -o "$counter/count_allocations.so" "$here/count_allocations.cpp"
    /usr/bin/python3 "$here/run.py" "${options[@]}" --preload "$counter/count_allocations.so" \
        --with-ways "$here/profile.sh" "$@"
    exit
fi

connections=${1:-64} seconds=${2:-4}

load() {  # load PORT SECONDS: requests answered.
    wrk -t 1 -c "$connections" -d "${2}s" -s "$here/report.lua" -H "Host: $BENCH_HOST" "http://127.0.0.1:$1/" |
        sed -n 's/^{"requests":\([0-9]*\),.*/\1/p'
}

# count_calls NAME PID PORT: system calls while one load runs, counted by the kernel's trace points.
count_calls() {
    local name=$1 pid=$2 port=$3 requests
    perf stat -x ' ' -e 'syscalls:sys_enter_*' -p "$pid" -o "$BENCH_FOLDER/calls" -- sleep $((seconds + 1)) &
    local counter=$!
    sleep 0.5
    requests=$(load "$port" $((seconds - 1)))
    wait "$counter"
    awk -v name="$name" -v requests="$requests" '
        $1 ~ /^[0-9]+$/ && $1 > 0 {
            for (i = 2; i <= NF; ++i) if (sub(/^syscalls:sys_enter_/, "", $i)) calls[$i] = $1
            total += $1
        }
        END {
            printf "%-14s %6.2f a request:", name, total / requests
            while (1) {
                best = ""
                for (call in calls) if (best == "" || calls[call] > calls[best]) best = call
                if (best == "" || calls[best] < requests / 100) break
                printf " %s %.2f", best, calls[best] / requests
                delete calls[best]
            }
            print ""
        }' "$BENCH_FOLDER/calls"
}

allocations() {  # allocations PID: since it began.
    od -An -t u8 -N 8 "$BENCH_FOLDER/$1.allocations" | tr -d ' '
}

# count_allocations: malloc, calloc and realloc of both of our processes while one load runs.
count_allocations() {
    local control agent requests
    control=$(allocations "$BENCH_CONTROL_PID") agent=$(allocations "$BENCH_AGENT_PID")
    requests=$(load "$BENCH_TUNNEL_PORT" "$seconds")
    control=$(($(allocations "$BENCH_CONTROL_PID") - control)) agent=$(($(allocations "$BENCH_AGENT_PID") - agent))
    awk -v requests="$requests" -v control="$control" -v agent="$agent" 'BEGIN {
        printf "%-14s %6.2f a request\n%-14s %6.2f a request\n", "control plane", control / requests, "agent", agent / requests
    }'
}

# top_symbols NAME PID: the processor's time, kernel included, and what part of it each library has.
top_symbols() {
    local data=$BENCH_FOLDER/$1.perf
    local order lines
    for order in dso,6 symbol,40; do
        lines=${order#*,}
        perf report -i "$data" --stdio --no-children -g none --sort "${order%,*}" 2>/dev/null |
            awk -v lines="$lines" '/^ +[0-9]/ && ++n <= lines { sub(/[ -]+$/, ""); print substr($0, 1, 110) }'
        echo
    done
}

load "$BENCH_TUNNEL_PORT" 1 >/dev/null
load "$BENCH_NGINX_PORT" 1 >/dev/null
echo "System calls, $connections connections"
count_calls "control plane" "$BENCH_CONTROL_PID" "$BENCH_TUNNEL_PORT"
count_calls "agent" "$BENCH_AGENT_PID" "$BENCH_TUNNEL_PORT"
count_calls "nginx, first" "$BENCH_FRONT_PID" "$BENCH_NGINX_PORT"
count_calls "nginx, second" "$BENCH_SECOND_PID" "$BENCH_NGINX_PORT"

printf '\nAllocations, %s connections\n' "$connections"
count_allocations

# Both at once: they share the load.
perf record -q -e cpu-clock -F 1999 -g -p "$BENCH_CONTROL_PID" -o "$BENCH_FOLDER/control.perf" \
    -- sleep $((seconds + 1)) 2>/dev/null &
perf record -q -e cpu-clock -F 1999 -g -p "$BENCH_AGENT_PID" -o "$BENCH_FOLDER/agent.perf" \
    -- sleep $((seconds + 1)) 2>/dev/null &
load "$BENCH_TUNNEL_PORT" "$seconds" >/dev/null
wait
for name in control agent; do
    printf '\n%s: processor time by program and library, then by function\n' "$name"
    top_symbols "$name"
done

#!/usr/bin/env bash
# Shows where the time goes under the load of requests: system calls a request, with those of both nginx hops
# beside them, and allocations a request of the control plane and the agent, then these two's processor time a
# request by system call and library, and their top symbols.
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

cpu_ticks() {  # cpu_ticks PID: of user and system time, since it began.
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

shares() {  # shares NAME OPTION...: percent and name, a line each.
    perf report -i "$BENCH_FOLDER/$1.perf" --stdio -g none "${@:2}" 2>/dev/null |
        awk '/^ +[0-9]/ { sub(/[ -]+$/, ""); print }'
}

# microseconds NAME TICKS REQUESTS: what a request costs, by system call and by library. The lines' sum is all of it.
microseconds() {
    { shares "$1" --children --sort symbol | sed -nE 's/^ *([0-9.]+)% .*__x64_sys_(sendto|recvfrom|epoll_wait)$/call \1 \2/p'
      shares "$1" --no-children --sort dso | sed -E 's/^ *([0-9.]+)% +/library \1 /'; } |
        awk -v name="$1" -v us="$(awk -v ticks="$2" -v hz="$(getconf CLK_TCK)" -v n="$3" 'BEGIN { print ticks / hz * 1e6 / n }')" '
            $1 == "call" { calls += $2; printf "    %6.2f us  %s\n", us * $2 / 100, $3 }
            $1 == "library" && /kernel/ { printf "    %6.2f us  else in the kernel\n", us * ($2 - calls) / 100; next }
            $1 == "library" && $2 >= 0.5 { printf "    %6.2f us  %s\n", us * $2 / 100, $3; next }
            $1 == "library" { rest += $2 }
            END { printf "    %6.2f us  other libraries\n    %6.2f us  in all\n", us * rest / 100, us }'
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
declare -A pids=([control]=$BENCH_CONTROL_PID [agent]=$BENCH_AGENT_PID) ticks
for name in "${!pids[@]}"; do
    perf record -q -e cpu-clock -F 1999 -g -p "${pids[$name]}" -o "$BENCH_FOLDER/$name.perf" \
        -- sleep $((seconds + 1)) 2>/dev/null &
    ticks[$name]=$(cpu_ticks "${pids[$name]}")
done
requests=$(load "$BENCH_TUNNEL_PORT" "$seconds")
for name in "${!pids[@]}"; do ticks[$name]=$(($(cpu_ticks "${pids[$name]}") - ticks[$name])); done
wait
for name in control agent; do
    printf '\n%s: processor time a request, then by function\n' "$name"
    microseconds "$name" "${ticks[$name]}" "$requests"
    shares "$name" --no-children --sort symbol | awk 'NR <= 40 { print substr($0, 1, 110) }'
done

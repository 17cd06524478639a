#!/usr/bin/env bash
# Shows the whole product at work on this machine: a simulated TDX platform, the control plane, an agent and a
# small backend. It listens on loopback only, keeps everything in one temporary folder and removes that again.
#
#   scripts/demo.sh [--once] [--bin DIR]
#
#   --once     end by itself after the requests: 0, or 1 and what failed
#   --bin DIR  where the three programs are (default: build/release/bin)
set -Eeuo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."

app=hello repo=example/hello release=v1.0.0 network=sandbox-1
start_deadline_s=10 active_deadline_s=20 request_deadline_s=20 stop_deadline_s=5

once=false
bin=build/release/bin
while [ $# -gt 0 ]; do
    case "$1" in
        --once) once=true ;;
        --bin)
            [ -n "${2:-}" ] || { echo "scripts/demo.sh: --bin takes a folder" >&2; exit 2; }
            bin=$(cd "$called_from" && realpath -m -- "$2")
            shift
            ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "scripts/demo.sh: unknown argument '$1'; it takes --once and --bin DIR" >&2; exit 2 ;;
    esac
    shift
done

bold='' green='' red='' plain=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

# ---- Steps: a name, then how it went ----------------------------------------------------------------------

step=''  # The one under way.
begin() { step=$1; printf '  %-24s ' "$1"; }
good() { step=''; printf '%sok%s      %s\n' "$green" "$plain" "$1"; }

# fail WHY [LOG...]: ends the demo; shows the last lines of these logs.
fail() {
    [ -n "$step" ] || begin "$app"
    step=''
    printf '%sFAILED%s  %s\n' "$red" "$plain" "$1"
    shift
    local log
    for log in "$@"; do
        [ -s "$folder/$log" ] || continue
        printf '\n  the last lines of %s:\n' "$log"
        tail -n 10 "$folder/$log" | cut -c 1-600 | sed 's/^/    /'
    done
    exit 1
}

# ---- Processes: each in a session of its own, so that Ctrl-C reaches only this script; none outlives it ---

declare -A pids=()
folder=''
starting=''  # Its process may already run while `pids` does not have it yet.

# start NAME COMMAND...: standard output to NAME.out, standard error to NAME.log.
start() {
    local name=$1
    shift
    starting=$name
    : >"$folder/$name.out" 2>"$folder/$name.log"  # They are read before the process has opened them.
    setsid setpriv --pdeathsig TERM "$@" >"$folder/$name.out" 2>"$folder/$name.log" </dev/null &
    pids[$name]=$!
    starting=''
}

gone() { ! kill -0 "$1" 2>/dev/null; }

stop() {
    local pid=${pids[$1]:-}
    unset "pids[$1]"
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    wait_until "$stop_deadline_s" gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP PIPE
    trap - EXIT ERR
    set +e  # Nobody may read any more; cleaning up goes on.
    [ -z "$step" ] || echo "interrupted" 2>/dev/null
    [ -z "$starting" ] || pids[$starting]=${!:-}
    stop agent
    stop control
    stop backend
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
trap 'fail "scripts/demo.sh, line $LINENO: this command failed: $BASH_COMMAND"' ERR
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap 'exit 141' PIPE

# wait_until SECONDS COMMAND...: asks until the command succeeds; 1 at the deadline.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

logged_or_gone() { grep -qF "$2" "$folder/$1.out" "$folder/$1.log" || gone "${pids[$1]}"; }

# wait_for NAME TEXT: until the process has logged it. 1: it ended instead, or said nothing for too long.
wait_for() {
    wait_until "$start_deadline_s" logged_or_gone "$1" "$2" || return 1
    grep -qF "$2" "$folder/$1.out" "$folder/$1.log"
}

# fail_process NAME PROGRAM LOG...: of a process that has not done what it should.
fail_process() {
    local name=$1 program=$2 status=0
    shift 2
    gone "${pids[$name]}" || fail "$program runs, but was not ready within $start_deadline_s s" "$@"
    wait "${pids[$name]}" || status=$?
    fail "$program ended with status $status" "$@"
}

# The last value of a field in a JSON log.
field() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$folder/$1.log" | tail -n 1; }

ask() { curl -q --noproxy '*' --silent --show-error --max-time "$request_deadline_s" "$@"; }

# ---- The demo ---------------------------------------------------------------------------------------------

# Settings of the caller's shell are none of the demo's.
for name in $(compgen -e); do
    case "$name" in EE_* | EECTL_*) unset "$name" ;; esac
done

prepare() {
    begin "programs"
    local program
    for program in easyenclave-control easyenclave-agent eectl; do
        [ -x "$bin/$program" ] || fail "$bin/$program is missing: build it with \`make build\`"
    done
    for program in python3 curl; do
        command -v "$program" >/dev/null || fail "$program is missing: \`make deps\` installs it"
    done
    folder=$(mktemp -d "${TMPDIR:-/tmp}/easyenclave-demo.XXXXXX")
    admin_token=$(od -An -N 16 -t x1 /dev/urandom | tr -d ' \n')
    run=${admin_token:0:8}
    admin_token=${admin_token:8}
    good "$("$bin/eectl" --version | sed 's/^eectl /version /'), in $bin"
}

make_platform() {
    begin "simulated TDX platform"
    "$bin/eectl" simulate init "$folder/platform" >"$folder/platform.out" 2>"$folder/platform.log" ||
        fail "eectl simulate init ended with status $?" platform.log
    mkdir -p "$folder/collateral" "$folder/allowlists/$repo"
    cp "$folder/platform/collateral.json" "$folder/collateral/"
    cp "$folder/platform/allowlist.json" "$folder/allowlists/$repo/$release.json"
    "$bin/eectl" simulate quote "$folder/platform" --out "$folder/quote" \
        --report-data "$(printf '%0128d' 0)" 2>"$folder/platform.log" ||
        fail "eectl simulate quote ended with status $?" platform.log
    good "a root of its own, a quoting enclave, an allowlist for $repo $release"
}

start_backend() {
    begin "backend"
    start backend /usr/bin/env python3 demo/backend.py
    wait_for backend "listening on " || fail_process backend demo/backend.py backend.out backend.log
    backend=$(sed -n 's/^listening on //p' "$folder/backend.out")
    good "http://$backend (demo/backend.py)"
}

try_control() {  # With these two ports.
    start control env EE_CONTROL_BIND=127.0.0.1 EE_CONTROL_PORT="$1" \
        EE_PROXY_BIND=127.0.0.1 EE_PROXY_PORT="$2" EE_APP_DOMAIN=localhost \
        EE_DB_PATH="$folder/data/control-plane.db" EE_ADMIN_TOKEN="$admin_token" \
        EE_COLLATERAL_DIR="$folder/collateral" EE_ALLOWLIST_DIR="$folder/allowlists" \
        EE_TDX_ROOT_CA="$folder/platform/root.pem" "$bin/easyenclave-control"
    wait_for control '"event":"control.started"'
}

# taken PORT: whether the control plane has just said that somebody else listens there.
taken() { [ "$1" != 0 ] && grep -q "bind_failed.* port $1:.*in use" "$folder/control.log"; }

start_control() {
    begin "control plane"
    local control_port=8088 proxy_port=9090 note=''
    until try_control "$control_port" "$proxy_port"; do
        # A port that somebody else has is no failure: another demo may run.
        if taken "$control_port"; then
            note+="; port $control_port is taken"
            control_port=0
        elif taken "$proxy_port"; then
            note+="; port $proxy_port is taken"
            proxy_port=0
        else
            fail_process control easyenclave-control control.log
        fi
        wait "${pids[control]}" || true
    done
    control=$(field control control)
    proxy=$(field control proxy)
    good "API and tunnels on http://$control, visitors on http://$proxy$note"
}

start_agent() {
    begin "agent"
    start agent env EE_CONTROL_WS="ws://$control/v1/tunnel" EE_REPO="$repo" EE_RELEASE_TAG="$release" \
        EE_APP_NAME="$app" EE_NETWORK="$network" EE_BACKEND_URL="http://$backend" \
        EE_QUOTE_PROVIDER=simulated EE_SIMULATED_TDX_DIR="$folder/platform" \
        EE_STATE_DIR="$folder/agent-state" "$bin/easyenclave-agent"
    wait_for agent '"event":"tunnel.connected"' || fail_process agent easyenclave-agent agent.log control.log
    good "its tunnel is up, from the agent to the control plane"
}

is_active() { grep -q '"status":"active"' "$folder/resolve.json"; }

active_or_ended() {
    ask "http://$control/v1/resolve/$app" >"$folder/resolve.json" 2>"$folder/resolve.log" || true
    is_active || grep -q '"event":"agent.refused"' "$folder/agent.log" ||
        gone "${pids[agent]}" || gone "${pids[control]}"
}

wait_until_active() {
    begin "attestation"
    wait_until "$active_deadline_s" active_or_ended ||
        fail "not active after $active_deadline_s s: $(cat "$folder/resolve.json")" agent.log control.log
    ! gone "${pids[control]}" || fail_process control easyenclave-control control.log
    ! gone "${pids[agent]}" || fail_process agent easyenclave-agent agent.log
    is_active || fail "refused: $(field agent reason): $(field agent detail)" agent.log control.log
    local made left_out
    made=$(field control checks | tr -d ,)
    left_out=$(field control not_checked | tr -d ,)
    good "quote accepted: checks $made held${left_out:+, $left_out were not made}"
    begin "app \"$app\""
    good "active on $network"
}

# request WHAT CURL-ARGUMENTS...: one request that must reach this very backend.
request() {
    begin "$1"
    local status
    status=$(ask --output "$folder/answer" --write-out '%{http_code}' "${@:2}" 2>"$folder/curl.log") ||
        fail "curl ended with status $?" curl.log control.log agent.log
    [ "$status" = 200 ] || fail "$status: $(head -c 400 "$folder/answer")" control.log agent.log
    grep -q "run=$run" "$folder/answer" ||
        fail "the answer is not this backend's: $(head -c 400 "$folder/answer")" control.log agent.log
    good "200, the backend's answer:"
    sed 's/^/      | /' "$folder/answer"
}

serve_requests() {
    request "POST /v1/proxy/$app" "http://$control/v1/proxy/$app" \
        --data "{\"method\":\"GET\",\"path\":\"/through-the-api?run=$run\",\"headers\":{},\"body_b64\":\"\"}"
    request "proxy listener" "http://$proxy/through-the-proxy?run=$run" \
        --header "Host: $app.localhost:${proxy##*:}"
}

try() { printf '\n  %s\n' "$1"; shift; printf '    %s\n' "$@"; }

show_what_next() {
    local at curl=curl programs
    at=$(printf '%q' "$folder")
    programs=$(printf '%q' "$bin")
    [ -z "${http_proxy:-}" ] || curl="curl --noproxy '*'"
    printf '\n%sWhat to try next%s, in another terminal, from %q\n' "$bold" "$plain" "$PWD"
    try "The app, as a visitor reaches it (a browser can, too), and through the API:" \
        "$curl http://$app.localhost:${proxy##*:}/" \
        "$curl http://$control/v1/proxy/$app -d '{\"method\":\"GET\",\"path\":\"/\"}'"
    try "May traffic go to it? What a front end asks:" \
        "$curl http://$control/v1/resolve/$app"
    try "What its operator sees, with this run's admin token:" \
        "$curl -H 'Authorization: Bearer $admin_token' http://$control/v1/apps/$app" \
        "EE_ADMIN_TOKEN=$admin_token $programs/eectl apps show $app --url http://$control"
    try "A quote of the simulated platform: every field, then the verdict:" \
        "$programs/eectl quote show $at/quote" \
        "$programs/eectl quote verify $at/quote --collateral $at/collateral --root $at/platform/root.pem"
    try "Every endpoint, and the counters:" \
        "$curl http://$control/openapi.yaml" \
        "$curl -H 'Authorization: Bearer $admin_token' http://$control/metrics"
    try "Logs: what happened, one line a request, and the agent's side:" \
        "$at/control.log" "$at/control.out" "$at/agent.log"
    printf '\n%sCtrl-C%s stops everything and removes %s\n' "$bold" "$plain" "$at"
}

# Until Ctrl-C. A process that ends before is a failure.
keep_running() {
    local ended='' name status=0
    trap 'echo; echo "Stopping."; exit 0' INT TERM
    wait -n -p ended "${pids[@]}" || status=$?
    for name in "${!pids[@]}"; do
        [ "${pids[$name]}" != "$ended" ] || fail "$name ended by itself, with status $status" "$name.log"
    done
}

printf '%sEasyEnclave demo%s: an attested agent serves requests through its tunnel\n\n' "$bold" "$plain"
prepare
make_platform
start_backend
start_control
start_agent
wait_until_active
serve_requests
if $once; then
    printf '\nEverything worked. `make demo` keeps it running and prints commands to try.\n'
else
    show_what_next
    keep_running
fi

// The rows: name, program, rule, default, meaning. docs/configuration.md is made from them by `make docs`.

#include "config/setting.h"

namespace ee::config {
namespace {

constexpr Program control = Program::control_plane;
constexpr Program agent = Program::agent;
constexpr Program both = Program::both;

constexpr Rule of(Kind kind) {
    return {.kind = kind};
}
constexpr Rule port() {
    return {.kind = Kind::integer, .min = 0, .max = 65535};
}
constexpr Rule count(std::int64_t min, std::int64_t max) {
    return {.kind = Kind::integer, .min = min, .max = max};
}
constexpr Rule seconds(std::int64_t min, std::int64_t max) {
    return {.kind = Kind::integer, .min = min, .max = max, .unit = "seconds"};
}
constexpr Rule days(std::int64_t min, std::int64_t max) {
    return {.kind = Kind::integer, .min = min, .max = max, .unit = "days"};
}
constexpr Rule bytes(std::int64_t min, std::int64_t max) {
    return {.kind = Kind::bytes, .min = min, .max = max, .unit = "bytes"};
}
constexpr Rule choice(std::string_view words) {
    return {.kind = Kind::choice, .words = words};
}
constexpr Rule url(std::string_view schemes) {
    return {.kind = Kind::url, .words = schemes};
}
// Whoever has it can send something there.
constexpr Rule secret_url(std::string_view schemes) {
    return {.kind = Kind::url, .words = schemes, .secret = true};
}
constexpr Rule origin(std::string_view schemes) {
    return {.kind = Kind::origin, .words = schemes};
}
constexpr Rule tokens() {
    return {.kind = Kind::tokens, .secret = true};
}
constexpr Rule token() {
    return {.kind = Kind::tokens, .max = 1, .secret = true};
}
constexpr Rule reserved() {
    return {.kind = Kind::reserved};
}
constexpr Rule reserved_secret() {
    return {.kind = Kind::reserved, .secret = true};
}
constexpr Rule required(Rule rule) {
    rule.required = true;
    return rule;
}

constexpr Rule reread(Rule rule) {
    rule.reread = true;
    return rule;
}

constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t mib = 1024 * 1024;

constexpr Setting table[] = {
    // Listeners.
    {"EE_CONTROL_BIND", control, of(Kind::bind_address), "0.0.0.0",
     "address of the control listener: API and tunnel"},
    {"EE_CONTROL_PORT", control, port(), "8088", "its port; 0 takes any free one, which the log names"},
    {"EE_PROXY_BIND", control, of(Kind::bind_address), "0.0.0.0",
     "address of the proxy listener: visitors of the apps"},
    {"EE_PROXY_PORT", control, port(), "9090", "its port; 0 takes any free one, which the log names"},
    {"EE_PASSTHROUGH_BIND", control, of(Kind::bind_address), "0.0.0.0",
     "address of the passthrough listener, which carries visitors' TLS to the agents unopened"},
    {"EE_PASSTHROUGH_PORT", control, port(), "",
     "its port; 0 takes any free one, which the log names; unset: there is none. Needs `EE_APP_DOMAIN`"},
    {"EE_TLS_CERT", control, reread(of(Kind::file)), "",
     "PEM certificate chain, leaf first: TLS on the control listener; needs `EE_TLS_KEY`"},
    {"EE_TLS_KEY", control, reread(of(Kind::file)), "", "PEM private key of `EE_TLS_CERT`"},
    {"EE_RATLS", control, choice("off on require"), "off",
     "`on`: clients of the direct name, and of `EE_RATLS_PORT`, are asked for an RA-TLS certificate, which "
     "earns "
     "binding level `ratls`; `require`: agents without one are refused. Needs `EE_TLS_CERT`: a self-made "
     "certificate of the control plane is not served in this version"},
    {"EE_RATLS_PORT", control, port(), "",
     "a further port of the control listener, where every client is asked for a certificate; 0 takes any "
     "free "
     "one, which the log names"},
    {"EE_DNS_CONTROL_DIRECT_HOST", control, of(Kind::dns_label), "control-direct",
     "first label of the direct name, where agents' TLS ends in the control plane itself"},
    {"EE_PROXY_TLS_CERT", control, reread(of(Kind::file)), "",
     "the same for the proxy listener; needs `EE_PROXY_TLS_KEY`"},
    {"EE_PROXY_TLS_KEY", control, reread(of(Kind::file)), "", "PEM private key of `EE_PROXY_TLS_CERT`"},
    {"EE_PUBLIC_URL", control, origin("http https"), "",
     "what clients are told, e.g. `https://control.example.com`; unset: from the bind address"},
    {"EE_APP_DOMAIN", control, of(Kind::domain), "",
     "apps are reached at `<app>.<domain>` on the proxy listener; unset: only by `X-EE-App` from a trusted "
     "proxy"},
    {"EE_TRUSTED_PROXIES", control, of(Kind::networks), "loopback",
     "whose `X-Forwarded-*` and `X-EE-App` are believed, and of Cloudflare's edge `CF-Connecting-IP`"},

    // Attestation.
    {"EE_ALLOWLIST_DIR", control, of(Kind::directory), "",
     "allowlists are looked for in `<dir>/<owner>/<repo>/<tag>.json` first"},
    {"EE_ALLOWLIST_ASSET", control, of(Kind::identifier), "agent-attestation-allowlist.json",
     "asset of a GitHub release that holds its allowlist"},
    {"EE_ALLOWLIST_TTL_SEC", control, seconds(1, day_s), "300",
     "how long a look-up at GitHub holds; a copy serves up to 24 h while GitHub cannot be asked"},
    {"EE_GITHUB_API_URL", control, url("http https none"), "https://api.github.com",
     "where releases are; `none`: allowlists come from `EE_ALLOWLIST_DIR` only"},
    {"EE_GITHUB_TOKEN", control, reread(token()), "",
     "bearer token for releases of private repositories; sent to the host of `EE_GITHUB_API_URL` only"},
    {"EE_COLLATERAL_DIR", control, of(Kind::directory), "",
     "every `*.json` in it that is a collateral file is used to verify quotes, before what is fetched; what "
     "is "
     "fetched is kept in its subfolder `fetched`"},
    {"EE_PCCS_URL", control, url("http https"), "",
     "collateral service (PCS API version 4), e.g. `https://pccs.example.com:8081`; unset: Intel's, for "
     "Intel's "
     "platforms only"},
    {"EE_TDX_ROOT_CA", control, of(Kind::file), "",
     "PEM root in place of Intel's SGX Root CA: only for the simulated platform; no sealed network accepts "
     "it"},
    {"EE_NETWORKS_FILE", control, reread(of(Kind::file)), "",
     "TOML file of network policies, see networks.md; unset: `forge-1` and `sandbox-1` as built in"},
    {"EE_ATTEST_INTERVAL_SEC", control, seconds(1, 30 * day_s), "3600",
     "evidence is no older than this; the next challenge is due between 80 % and 95 % of it"},
    {"EE_ATTEST_DEADLINE_SEC", control, seconds(1, 3600), "30", "time an agent has to answer a challenge"},
    {"EE_REGISTRATION_TTL_DAYS", control, days(1, 3650), "30",
     "how long a registration lasts without a successful attestation"},
    {"EE_REGISTRATION_WARN_DAYS", control, days(0, 3650), "3",
     "agents are warned this long before a registration ends; at most `EE_REGISTRATION_TTL_DAYS`"},
    {"EE_NAME_RESERVE_DAYS", control, days(0, 36500), "90",
     "how long an expired app name stays reserved for its repository and network"},
    {"EE_HEALTH_TIMEOUT_SEC", control, seconds(1, day_s), "120",
     "silence that fails an agent; at most half of what EE_SETTLE_PERIOD settles at once"},

    // Roles and store.
    {"EE_ADMIN_TOKEN", control, reread(tokens()), "", "bearer tokens of the admin role; empty closes it"},
    {"EE_METRICS_TOKEN", control, reread(tokens()), "",
     "bearer tokens that may read `/metrics`; empty closes it to all but admins"},
    {"EE_LAUNCHER_TOKEN", control, reread(tokens()), "",
     "bearer tokens that file abuse reports; nobody else files"},
    {"EE_UPTIME_TOKEN", control, reread(tokens()), "",
     "bearer tokens that report usage and what was seen from outside"},
    {"EE_AUDITOR_TOKEN", control, reread(tokens()), "", "bearer tokens that read all of the ledger"},
    {"EE_DB_PATH", control, of(Kind::path), "data/control-plane.db", "SQLite file, created with its folder"},

    // Events.
    {"EE_WEBHOOK_URL", control, secret_url("https http"), "",
     "where every event is sent to, see events.md; `http` to this machine only. Needs `EE_WEBHOOK_SECRET`"},
    {"EE_WEBHOOK_SECRET", control, tokens(), "",
     "signs them: `whsec_` and the base64 of 24 to 64 bytes; while one is replaced, the new one, a comma, "
     "the "
     "old one"},

    // The proxy path and its limits.

    // The control plane's own quote.
    {"EE_QUOTE_PROVIDER", control, choice("auto tsm simulated"), "auto",
     "what binds its keys to its machine: `tsm` is configfs-tsm; `auto` is `tsm` when present, else nothing "
     "does; "
     "`simulated` is never chosen silently"},
    {"EE_SIMULATED_TDX_DIR", control, of(Kind::directory), "",
     "keys of the simulated platform (`eectl simulate init`)"},
    {"EE_REPO", control, of(Kind::repository), "easyenclave/control-plane",
     "GitHub repository that its quote names"},
    {"EE_RELEASE_TAG", control, of(Kind::release_tag), "v0.1.0", "release that its quote names"},

    // The ledger.
    {"EE_SETTLE_PERIOD", control, choice("hour day"), "hour",
     "the ledger's grid, UTC; it stays once there is a lock or a usage report"},
    {"EE_SETTLE_AUTO", control, of(Kind::boolean), "true", "settle each cell by itself"},
    {"EE_SETTLE_DELAY_SEC", control, seconds(0, 30 * day_s), "3600", "so long after a cell's end"},
    {"EE_LOCK_AHEAD_SEC", control, seconds(0, 366 * day_s), "86400", "how far ahead a lock's cell may start"},
    {"EE_USAGE_REQUIRES_LOCK", control, of(Kind::boolean), "false",
     "refuse usage that no lock covers, instead of locking for it"},
    {"EE_SLASH_AUTO", control, of(Kind::boolean), "false",
     "carry penalties for downtime out without the admin"},
    {"EE_LEDGER_KEY_FILE", control, of(Kind::path), "",
     "outside a TEE: the Ed25519 key that signs the ledger's log, made at the first start; unset: "
     "`EE_DB_PATH` "
     "with `.key` behind it"},
    {"EE_PROXY_TIMEOUT_SEC", both, seconds(1, 3600), "15",
     "a v1 request's whole answer, waiting for a place on the tunnel included; else 504"},
    {"EE_STREAM_IDLE_SEC", both, seconds(1, 86'400), "300",
     "a v2 request without a byte either way, the wait for the head of its answer included; else 504"},
    {"EE_MAX_BODY_BYTES", both, bytes(1024, 1024 * mib), "64 MiB",
     "largest v1 answer, and largest decoded body of `POST /v1/proxy/{app}`"},
    {"EE_MAX_BUFFERED_BYTES", control, bytes(16 * mib, 1024 * 1024 * mib), "",
     "bodies held in memory for peers that have not taken them; from half of it on windows are small, beyond "
     "it "
     "the streams that hold most are ended; unset: a quarter of the memory there is"},
    {"EE_RATE_LIMIT_CLIENT_RPS", control, reread(count(0, 1'000'000)), "0",
     "requests a second to apps of one client address (of IPv6: one /64), a second's worth and at least 10 "
     "at "
     "once; and ten times as many, at least 100, open; beyond it 429; 0: no limit"},
    {"EE_RATE_LIMIT_APP_RPS", control, reread(count(0, 1'000'000)), "0", "the same of one app"},
    {"EE_MAX_STREAMS_PER_AGENT", control, count(1, 65'535), "256",
     "requests at once on one tunnel, whatever the agent offers"},
    {"EE_MAX_TUNNELS", control, count(1, 10'000'000), "200000", "tunnels in all"},
    {"EE_MAX_UNREGISTERED", control, count(1, 1'000'000), "4096",
     "tunnels that have not attested yet, in all"},
    {"EE_MAX_UNREGISTERED_PER_ADDRESS", control, count(1, 1'000'000), "32",
     "the same from one address (of IPv6: one /64)"},
    {"EE_MAX_APPS", control, count(1, 10'000'000), "100000",
     "names in all beyond which agents bind no new ones (`too_many_apps`); `POST /v1/apps` still does"},
    {"EE_MAX_NEW_APPS_PER_ADDRESS", control, count(1, 1'000'000), "1000",
     "new names that agents of one address (of IPv6: one /64) may bind within an hour; beyond it "
     "`too_many_new_apps`"},
    {"EE_ADMIT_RPS", control, count(1, 1'000'000), "2000",
     "attestations admitted a second; others wait or get `rate_limited`"},

    // The agent's identity and control plane.
    {"EE_CONTROL_WS", agent, required(url("ws wss")), "",
     "the control plane's tunnel, e.g. `wss://control-direct.example.com:8088/v1/tunnel`"},
    {"EE_REPO", agent, required(of(Kind::repository)), "", "GitHub repository whose release the agent runs"},
    {"EE_RELEASE_TAG", agent, required(of(Kind::release_tag)), "", "the release"},
    {"EE_APP_NAME", agent, required(of(Kind::dns_label)), "", "the app it serves"},
    {"EE_NETWORK", agent, of(Kind::network_name), "forge-1", "the network whose policy judges it"},
    {"EE_AGENT_ID", agent, of(Kind::identifier), "",
     "stable across restarts; unset: a UUID kept in `EE_STATE_DIR`"},
    {"EE_STATE_DIR", agent, of(Kind::path), "data/agent",
     "folder for what must survive a restart; created, readable by its owner only"},
    {"EE_NODE_ID", agent, of(Kind::identifier), "", "the registered node this agent belongs to"},
    {"EE_NODE_TOKEN", agent, token(), "",
     "proves that the agent belongs to its node; sent over TLS only, to a control plane whose certificate "
     "holds"},

    // The agent's backend.
    {"EE_BACKEND_URL", agent, origin("http https h2c unix"), "http://127.0.0.1:8080",
     "where requests go; `h2c` is HTTP/2 with prior knowledge, which gRPC servers speak; a sealed agent "
     "sends "
     "plaintext to loopback or a Unix socket only"},
    {"EE_HEALTH_URL", agent, url("http https h2c"), "",
     "a 2xx answer from it counts as `pass`; unset: a TCP connection to the backend does"},
    {"EE_HEALTH_INTERVAL_SEC", agent, seconds(1, 3600), "30", "time between heartbeats"},
    {"EE_RECONNECT_MIN_SEC", agent, seconds(1, 3600), "1",
     "first wait before connecting again; full-jitter exponential backoff"},
    {"EE_RECONNECT_MAX_SEC", agent, seconds(1, day_s), "60", "longest wait; at least `EE_RECONNECT_MIN_SEC`"},

    // The agent's evidence.
    {"EE_QUOTE_PROVIDER", agent, choice("auto tsm simulated"), "auto",
     "`tsm` is configfs-tsm; `auto` is `tsm` when present, else the agent says what to do; `simulated` is "
     "never chosen silently"},
    {"EE_SIMULATED_TDX_DIR", agent, of(Kind::directory), "",
     "keys of the simulated platform (`eectl simulate init`)"},
    {"EE_TLS_CA", agent, of(Kind::file), "",
     "PEM roots that vouch for the control plane; unset: the system's"},
    {"EE_SEALED", agent, of(Kind::boolean), "",
     "`false` lowers the claim `sealed`; nothing raises it above what the measured root says"},
    {"EE_MEASUREMENTS_FILE", agent, of(Kind::file), "",
     "JSON object of claims bound into the quote; a sealed agent refuses it"},

    // Both programs.
    {"EE_DRAIN_SEC", both, seconds(0, 3600), "20", "on SIGTERM: how long open requests may take to finish"},
    {"EE_LOG_LEVEL", both, reread(choice("debug info warn error")), "info", "least level that is logged"},
    {"EE_LOG_FORMAT", both, choice("auto json text"), "auto", "`auto` is `text` on a terminal, else `json`"},

    // Known, not available in this version.
    {"EE_THREADS", control, reserved(), "", "data-plane threads"},
    {"EE_OIDC_ISSUER", control, reserved(), "", "admins by OIDC"},
    {"EE_OIDC_AUDIENCE", control, reserved(), "", "admins by OIDC"},
    {"EE_OIDC_SUBJECTS", control, reserved(), "", "admins by OIDC"},
    {"EE_OTLP_ENDPOINT", control, reserved(), "", "traces out"},
    {"EE_DATABASE_URL", control, reserved_secret(), "", "PostgreSQL-wire store in place of SQLite"},
    {"EE_CLUSTER_ADVERTISE", control, reserved(), "", "this instance's internal URL"},
    {"EE_CLUSTER_KEY", control, reserved_secret(), "", "the cluster's shared key"},
    {"EE_DNS_UPDATE_ON_START", control, reserved(), "", "DNS"},
    {"EE_DNS_AUTO_IP", control, reserved(), "", "DNS"},
    {"EE_DNS_IP", control, reserved(), "", "DNS"},
    {"EE_DNS_IPV6", control, reserved(), "", "DNS"},
    {"EE_DNS_PROXIED", control, reserved(), "", "DNS"},
    {"EE_DNS_APP_PROXIED", control, reserved(), "", "DNS"},
    {"EE_DNS_TTL", control, reserved(), "", "DNS"},
    {"EE_DNS_HOSTS", control, reserved(), "", "DNS"},
    {"EE_DNS_CONTROL_HOST", control, reserved(), "", "DNS"},
    {"EE_DNS_APP_WILDCARD", control, reserved(), "", "DNS"},
    {"EE_DNS_FAIL_ON_ERROR", control, reserved(), "", "DNS"},
    {"CLOUDFLARE_API_TOKEN", control, reserved_secret(), "", "DNS"},
    {"CLOUDFLARE_ZONE", control, reserved(), "", "DNS"},
    {"CLOUDFLARE_ZONE_ID", control, reserved(), "", "DNS"},
    {"EE_CLOUDFLARE_API_URL", control, reserved(), "", "DNS"},
    {"EE_CONTROL_ALLOWLIST", agent, reserved(), "",
     "allowlist that the control plane's own quote must match"},
};

}  // namespace

std::span<const Setting> settings() {
    return table;
}

}  // namespace ee::config

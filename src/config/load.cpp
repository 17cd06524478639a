// From resolved text to the two typed configurations, with the checks that look at several settings at once.

#include <algorithm>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/ip_address.h"
#include "config/agent_config.h"
#include "config/control_plane_config.h"
#include "config/describe.h"

namespace ee::config {
namespace {

void check_pair(Resolved& resolved, std::string_view certificate, std::string_view key) {
    if (resolved.is_set(certificate) == resolved.is_set(key)) return;
    const bool lacks_key = resolved.is_set(certificate);
    resolved.add_problem(fmt::format("{} is set without {}: TLS needs both", lacks_key ? certificate : key,
                                     lacks_key ? key : certificate));
}

bool set_and_valid(const Resolved& resolved, std::string_view name) {
    return resolved.is_valid(name) && resolved.is_set(name);
}

// An unreadable number reads as 0 and has its own problem, so it is never compared.
bool both_valid(const Resolved& resolved, std::string_view a, std::string_view b) {
    return set_and_valid(resolved, a) && set_and_valid(resolved, b);
}

void check_not_above(Resolved& resolved, std::string_view low, std::string_view high) {
    if (!both_valid(resolved, low, high) || resolved.integer(low) <= resolved.integer(high)) return;
    resolved.add_problem(fmt::format("{} = {} is more than {} = {}", low, resolved.integer(low), high,
                                     resolved.integer(high)));
}

void check_ratls(Resolved& resolved) {
    if (resolved.text("EE_RATLS") == "off") {
        if (resolved.is_set("EE_RATLS_PORT"))
            resolved.add_warning("EE_RATLS_PORT has no effect: EE_RATLS is off");
        return;
    }
    if (!resolved.is_set("EE_TLS_CERT")) {
        resolved.add_problem(fmt::format(
            "EE_RATLS is {} and EE_TLS_CERT is not set: the control plane serves no certificate of its "
            "own making in this version",
            resolved.text("EE_RATLS")));
    }
    for (const char* other : {"EE_CONTROL_PORT", "EE_PROXY_PORT"}) {
        const bool same_host = other == std::string_view("EE_CONTROL_PORT") ||
                               resolved.text("EE_CONTROL_BIND") == resolved.text("EE_PROXY_BIND");
        if (same_host && both_valid(resolved, "EE_RATLS_PORT", other) && resolved.integer(other) != 0 &&
            resolved.integer("EE_RATLS_PORT") == resolved.integer(other)) {
            resolved.add_problem(fmt::format("EE_RATLS_PORT and {} are both {} on {}", other,
                                             resolved.integer(other), resolved.text("EE_CONTROL_BIND")));
        }
    }
}

// Two listeners at one address.
void check_ports_differ(Resolved& resolved, const char* port, const char* bind, const char* other_port,
                        const char* other_bind) {
    if (!both_valid(resolved, port, other_port) || resolved.integer(port) == 0) return;
    if (resolved.integer(port) != resolved.integer(other_port)) return;
    if (resolved.text(bind) != resolved.text(other_bind)) return;
    resolved.add_problem(fmt::format("{} and {} are both {} on {}", port, other_port, resolved.integer(port),
                                     resolved.text(bind)));
}

void check_passthrough(Resolved& resolved) {
    if (!resolved.is_set("EE_PASSTHROUGH_PORT")) return;
    if (!resolved.is_set("EE_APP_DOMAIN")) {
        resolved.add_problem(
            "EE_PASSTHROUGH_PORT is set and EE_APP_DOMAIN is not: visitors name their app by "
            "<app>.<domain>");
    }
    for (const auto& [port, bind] :
         {std::pair("EE_CONTROL_PORT", "EE_CONTROL_BIND"), std::pair("EE_PROXY_PORT", "EE_PROXY_BIND"),
          std::pair("EE_RATLS_PORT", "EE_CONTROL_BIND")})
        check_ports_differ(resolved, "EE_PASSTHROUGH_PORT", "EE_PASSTHROUGH_BIND", port, bind);
}

bool is_loopback_url(std::string_view url) {
    std::string_view host = url.substr(std::min(url.find("://") + 3, url.size()));
    host = host.substr(0, host.find('/'));
    if (host.starts_with('['))
        host = host.substr(1, host.find(']') - 1);
    else
        host = host.substr(0, host.find(':'));
    const auto ip = IpAddress::parse(host);
    return host == "localhost" || (ip && ip->is_loopback());
}

void check_github(Resolved& resolved) {
    const std::string url = resolved.text("EE_GITHUB_API_URL");
    if (url.find('?') != std::string::npos)
        resolved.add_problem("EE_GITHUB_API_URL has a query: must be the address of the API alone");
    const std::size_t tokens = resolved.tokens("EE_GITHUB_TOKEN").size();
    if (tokens > 0 && url.starts_with("http://") && !is_loopback_url(url)) {
        resolved.add_problem(fmt::format(
            "EE_GITHUB_TOKEN is set and EE_GITHUB_API_URL = \"{}\" is not https: anybody on the way could "
            "read the token",
            url));
    }
}

bool is_webhook_secret(std::string_view text) {
    if (!text.starts_with("whsec_")) return false;
    const auto key = from_base64(text.substr(6));
    return key && key->size() >= 24 && key->size() <= 64;
}

void check_webhook(Resolved& resolved) {
    const std::string url = resolved.text("EE_WEBHOOK_URL");
    const std::vector<Secret> secrets = resolved.tokens("EE_WEBHOOK_SECRET");
    if (set_and_valid(resolved, "EE_WEBHOOK_URL")) {
        if (url.starts_with("http://") && !is_loopback_url(url))
            resolved.add_problem(
                "EE_WEBHOOK_URL begins with http:// and is not of this machine: must be https, anybody on "
                "the way could read the events");
        if (secrets.empty())
            resolved.add_problem(
                "EE_WEBHOOK_URL is set and EE_WEBHOOK_SECRET is not: the receiver could not tell events from "
                "forged ones");
    }
    if (std::any_of(secrets.begin(), secrets.end(),
                    [](const Secret& secret) { return !is_webhook_secret(secret.reveal()); }))
        resolved.add_problem("EE_WEBHOOK_SECRET must be whsec_ and the base64 of 24 to 64 bytes");
    if (!secrets.empty() && url.empty())
        resolved.add_warning("EE_WEBHOOK_SECRET has no effect: EE_WEBHOOK_URL is not set");
}

// Who files an abuse report is not who decides it; and who has one role's token has no other's.
void check_roles(Resolved& resolved) {
    constexpr std::string_view roles[] = {"EE_ADMIN_TOKEN", "EE_LAUNCHER_TOKEN", "EE_UPTIME_TOKEN",
                                          "EE_METRICS_TOKEN", "EE_AUDITOR_TOKEN"};
    for (std::size_t i = 0; i < std::size(roles); ++i)
        for (std::size_t j = i + 1; j < std::size(roles); ++j) {
            const auto one = resolved.tokens(roles[i]), other = resolved.tokens(roles[j]);
            const bool share = std::ranges::any_of(one, [&](const Secret& token) {
                return std::ranges::any_of(
                    other, [&](const Secret& also) { return token.reveal() == also.reveal(); });
            });
            if (share)
                resolved.add_problem(fmt::format(
                    "{} and {} have a token in common: each role must have its own", roles[i], roles[j]));
        }
}

// What is judged of a cell are its whole windows.
void check_windows(Resolved& resolved) {
    const std::int64_t cell_s = resolved.text("EE_SETTLE_PERIOD") == "day" ? 86400 : 3600;
    const std::int64_t window_s = resolved.integer("EE_HEALTH_TIMEOUT_SEC");
    if (window_s > cell_s / 2)
        resolved.add_problem(fmt::format(
            "EE_HEALTH_TIMEOUT_SEC = {} is more than half of what EE_SETTLE_PERIOD settles at once: "
            "must be at most {}",
            window_s, cell_s / 2));
}

void check_simulated_folder(Resolved& resolved) {
    const bool simulated = resolved.text("EE_QUOTE_PROVIDER") == "simulated";
    if (simulated && resolved.text("EE_SIMULATED_TDX_DIR").empty()) {
        resolved.add_problem(
            "EE_QUOTE_PROVIDER is simulated and EE_SIMULATED_TDX_DIR is not set: must be the folder that "
            "`eectl simulate init` made");
    }
}

void check_control_plane(Resolved& resolved) {
    check_roles(resolved);
    check_windows(resolved);
    check_github(resolved);
    check_webhook(resolved);
    check_pair(resolved, "EE_TLS_CERT", "EE_TLS_KEY");
    check_pair(resolved, "EE_PROXY_TLS_CERT", "EE_PROXY_TLS_KEY");
    check_not_above(resolved, "EE_REGISTRATION_WARN_DAYS", "EE_REGISTRATION_TTL_DAYS");
    check_ratls(resolved);
    check_passthrough(resolved);
    check_simulated_folder(resolved);
    if (resolved.text("EE_PCCS_URL").find('?') != std::string::npos)
        resolved.add_problem("EE_PCCS_URL has a query: must be the address of the service alone");
    const bool ports_equal = both_valid(resolved, "EE_CONTROL_PORT", "EE_PROXY_PORT") &&
                             resolved.integer("EE_CONTROL_PORT") == resolved.integer("EE_PROXY_PORT") &&
                             resolved.integer("EE_CONTROL_PORT") != 0;
    if (ports_equal && resolved.text("EE_CONTROL_BIND") == resolved.text("EE_PROXY_BIND")) {
        resolved.add_problem(fmt::format("EE_CONTROL_PORT and EE_PROXY_PORT are both {} on {}",
                                         resolved.integer("EE_PROXY_PORT"), resolved.text("EE_PROXY_BIND")));
    }
}

// The node's earnings are behind its token.
void check_node(Resolved& resolved) {
    const std::size_t tokens = resolved.tokens("EE_NODE_TOKEN").size();
    if (tokens > 0 && !resolved.is_set("EE_NODE_ID"))
        resolved.add_problem("EE_NODE_TOKEN is set and EE_NODE_ID is not: must say which node it is of");
    if (tokens > 0 && resolved.text("EE_CONTROL_WS").starts_with("ws://"))
        resolved.add_problem(
            "EE_NODE_TOKEN is set and EE_CONTROL_WS begins with ws://: must be wss://, anybody on the way "
            "could "
            "read the token");
    if (tokens == 0 && resolved.is_valid("EE_NODE_TOKEN") && resolved.is_set("EE_NODE_ID"))
        resolved.add_problem(
            "EE_NODE_ID is set and EE_NODE_TOKEN is not: must be what its registration answered");
}

void check_agent(Resolved& resolved) {
    check_not_above(resolved, "EE_RECONNECT_MIN_SEC", "EE_RECONNECT_MAX_SEC");
    check_simulated_folder(resolved);
    if (resolved.is_set("EE_TLS_CA") && resolved.text("EE_CONTROL_WS").starts_with("ws://")) {
        resolved.add_warning("EE_TLS_CA has no effect: EE_CONTROL_WS begins with ws://, not wss://");
    }
    check_node(resolved);
}

std::string without_trailing_slash(std::string url) {
    if (url.ends_with('/')) url.pop_back();
    return url;
}

std::string lower_case(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

ListenAddress listen_address(const Resolved& resolved, std::string_view bind, std::string_view port) {
    return {.host = resolved.text(bind), .port = static_cast<std::uint16_t>(resolved.integer(port))};
}

std::optional<TlsFiles> tls_files(const Resolved& resolved, std::string_view certificate,
                                  std::string_view key) {
    if (!resolved.is_set(certificate) || !resolved.is_set(key)) return std::nullopt;
    return TlsFiles{.certificate = resolved.text(certificate), .key = resolved.text(key)};
}

RatlsMode ratls_mode(std::string_view text) {
    if (text == "on") return RatlsMode::on;
    return text == "require" ? RatlsMode::require : RatlsMode::off;
}

// Who may do what, and who is told.
void read_tokens(const Resolved& resolved, ControlPlaneConfig& config) {
    config.admin_tokens = resolved.tokens("EE_ADMIN_TOKEN");
    config.metrics_tokens = resolved.tokens("EE_METRICS_TOKEN");
    config.launcher_tokens = resolved.tokens("EE_LAUNCHER_TOKEN");
    config.uptime_tokens = resolved.tokens("EE_UPTIME_TOKEN");
    config.auditor_tokens = resolved.tokens("EE_AUDITOR_TOKEN");
    config.webhook_url = resolved.optional_text("EE_WEBHOOK_URL");
    config.webhook_secrets = resolved.tokens("EE_WEBHOOK_SECRET");
}

void read_start_only(const Resolved& resolved, ControlPlaneConfig& config) {
    for (const ResolvedSetting& entry : resolved.all())
        if (!entry.setting->rule.reread && entry.setting->rule.kind != Kind::reserved)
            config.start_only.emplace_back(entry.setting->name, Secret(entry.text));
}

void read_ledger(const Resolved& resolved, ControlPlaneConfig& config) {
    config.settles_by_day = resolved.text("EE_SETTLE_PERIOD") == "day";
    config.settles_by_itself = resolved.boolean("EE_SETTLE_AUTO").value_or(true);
    config.settle_delay = resolved.seconds("EE_SETTLE_DELAY_SEC");
    config.lock_ahead = resolved.seconds("EE_LOCK_AHEAD_SEC");
    config.usage_requires_lock = resolved.boolean("EE_USAGE_REQUIRES_LOCK").value_or(false);
    config.slashes_by_itself = resolved.boolean("EE_SLASH_AUTO").value_or(false);
    config.ledger_key_file =
        resolved.optional_text("EE_LEDGER_KEY_FILE").value_or(config.db_path.string() + ".key");
}

ControlPlaneConfig control_plane_config(const Resolved& resolved) {
    ControlPlaneConfig config;
    read_start_only(resolved, config);
    config.control = listen_address(resolved, "EE_CONTROL_BIND", "EE_CONTROL_PORT");
    config.proxy = listen_address(resolved, "EE_PROXY_BIND", "EE_PROXY_PORT");
    if (resolved.is_set("EE_PASSTHROUGH_PORT"))
        config.passthrough = listen_address(resolved, "EE_PASSTHROUGH_BIND", "EE_PASSTHROUGH_PORT");
    config.control_tls = tls_files(resolved, "EE_TLS_CERT", "EE_TLS_KEY");
    config.proxy_tls = tls_files(resolved, "EE_PROXY_TLS_CERT", "EE_PROXY_TLS_KEY");
    config.ratls = ratls_mode(resolved.text("EE_RATLS"));
    if (config.ratls != RatlsMode::off && resolved.is_set("EE_RATLS_PORT"))
        config.ratls_listen = listen_address(resolved, "EE_CONTROL_BIND", "EE_RATLS_PORT");
    config.direct_host_label = resolved.text("EE_DNS_CONTROL_DIRECT_HOST");
    if (auto url = resolved.optional_text("EE_PUBLIC_URL"))
        config.public_url = without_trailing_slash(std::move(*url));
    if (auto domain = resolved.optional_text("EE_APP_DOMAIN"))
        config.app_domain = lower_case(std::move(*domain));
    config.trusted_proxies = resolved.networks("EE_TRUSTED_PROXIES");
    config.allowlist_dir = resolved.optional_path("EE_ALLOWLIST_DIR");
    config.allowlist_asset = resolved.text("EE_ALLOWLIST_ASSET");
    if (auto url = resolved.text("EE_GITHUB_API_URL"); url != "none")
        config.github_api_url = without_trailing_slash(std::move(url));
    if (auto tokens = resolved.tokens("EE_GITHUB_TOKEN"); !tokens.empty())
        config.github_token = std::move(tokens.front());
    config.allowlist_ttl = resolved.seconds("EE_ALLOWLIST_TTL_SEC");
    config.collateral_dir = resolved.optional_path("EE_COLLATERAL_DIR");
    config.networks_file = resolved.optional_path("EE_NETWORKS_FILE");
    config.pccs_url = resolved.optional_text("EE_PCCS_URL");
    config.tdx_root_ca = resolved.optional_path("EE_TDX_ROOT_CA");
    config.attest_interval = resolved.seconds("EE_ATTEST_INTERVAL_SEC");
    config.attest_deadline = resolved.seconds("EE_ATTEST_DEADLINE_SEC");
    config.registration_ttl = resolved.days("EE_REGISTRATION_TTL_DAYS");
    config.registration_warn = resolved.days("EE_REGISTRATION_WARN_DAYS");
    config.name_reserve = resolved.days("EE_NAME_RESERVE_DAYS");
    config.health_timeout = resolved.seconds("EE_HEALTH_TIMEOUT_SEC");
    read_tokens(resolved, config);
    config.quote_provider = resolved.text("EE_QUOTE_PROVIDER");
    config.simulated_tdx_dir = resolved.optional_path("EE_SIMULATED_TDX_DIR");
    config.repo = resolved.text("EE_REPO");
    config.release_tag = resolved.text("EE_RELEASE_TAG");
    config.db_path = resolved.text("EE_DB_PATH");
    read_ledger(resolved, config);
    config.proxy_timeout = resolved.seconds("EE_PROXY_TIMEOUT_SEC");
    config.stream_idle_time = resolved.seconds("EE_STREAM_IDLE_SEC");
    config.body_bytes_max = resolved.size("EE_MAX_BODY_BYTES");
    if (resolved.is_set("EE_MAX_BUFFERED_BYTES"))
        config.buffered_bytes_max = resolved.size("EE_MAX_BUFFERED_BYTES");
    config.rate_limit_client_rps = static_cast<std::uint32_t>(resolved.integer("EE_RATE_LIMIT_CLIENT_RPS"));
    config.rate_limit_app_rps = static_cast<std::uint32_t>(resolved.integer("EE_RATE_LIMIT_APP_RPS"));
    config.streams_per_agent_max = resolved.size("EE_MAX_STREAMS_PER_AGENT");
    config.tunnels_max = resolved.size("EE_MAX_TUNNELS");
    config.unregistered_max = resolved.size("EE_MAX_UNREGISTERED");
    config.apps_max = resolved.size("EE_MAX_APPS");
    config.new_apps_per_address_max = resolved.size("EE_MAX_NEW_APPS_PER_ADDRESS");
    config.unregistered_per_address_max = resolved.size("EE_MAX_UNREGISTERED_PER_ADDRESS");
    config.admissions_per_second_max = static_cast<std::uint32_t>(resolved.integer("EE_ADMIT_RPS"));
    config.drain_timeout = resolved.seconds("EE_DRAIN_SEC");
    config.log_level = resolved.text("EE_LOG_LEVEL");
    config.log_format = resolved.text("EE_LOG_FORMAT");
    return config;
}

QuoteProviderKind quote_provider_kind(std::string_view text) {
    if (text == "tsm") return QuoteProviderKind::tsm;
    return text == "simulated" ? QuoteProviderKind::simulated : QuoteProviderKind::automatic;
}

AgentConfig agent_config(const Resolved& resolved) {
    AgentConfig config;
    config.control_ws = resolved.text("EE_CONTROL_WS");
    config.repo = resolved.text("EE_REPO");
    config.release_tag = resolved.text("EE_RELEASE_TAG");
    config.app_name = resolved.text("EE_APP_NAME");
    config.network = resolved.text("EE_NETWORK");
    config.agent_id = resolved.optional_text("EE_AGENT_ID");
    config.state_dir = resolved.text("EE_STATE_DIR");
    config.backend_url = resolved.text("EE_BACKEND_URL");
    config.health_url = resolved.optional_text("EE_HEALTH_URL");
    config.health_interval = resolved.seconds("EE_HEALTH_INTERVAL_SEC");
    config.reconnect_min = resolved.seconds("EE_RECONNECT_MIN_SEC");
    config.reconnect_max = resolved.seconds("EE_RECONNECT_MAX_SEC");
    config.quote_provider = quote_provider_kind(resolved.text("EE_QUOTE_PROVIDER"));
    config.simulated_dir = resolved.optional_path("EE_SIMULATED_TDX_DIR");
    config.tls_ca = resolved.optional_path("EE_TLS_CA");
    config.sealed = resolved.boolean("EE_SEALED");
    config.measurements_file = resolved.optional_path("EE_MEASUREMENTS_FILE");
    config.node_id = resolved.optional_text("EE_NODE_ID");
    if (auto tokens = resolved.tokens("EE_NODE_TOKEN"); !tokens.empty())
        config.node_token = std::move(tokens[0]);
    config.proxy_timeout = resolved.seconds("EE_PROXY_TIMEOUT_SEC");
    config.stream_idle_time = resolved.seconds("EE_STREAM_IDLE_SEC");
    config.body_bytes_max = resolved.size("EE_MAX_BODY_BYTES");
    config.drain_timeout = resolved.seconds("EE_DRAIN_SEC");
    config.log_level = resolved.text("EE_LOG_LEVEL");
    config.log_format = resolved.text("EE_LOG_FORMAT");
    return config;
}

template <class Config>
void inspect(Resolved& resolved, const Config& config, const Inspections<Config>& inspections) {
    for (const Inspection<Config>& inspection : inspections) {
        if (!std::ranges::all_of(inspection.settings,
                                 [&](std::string_view name) { return resolved.is_valid(name); }))
            continue;
        const Findings findings = inspection.find(config);
        for (const std::string& problem : findings.problems) resolved.add_problem(problem);
        for (const std::string& warning : findings.warnings) resolved.add_warning(warning);
    }
}

template <class Config>
std::variant<Config, ExitRequest> load(Program program, int argc, const char* const* argv,
                                       const Environment& environment, void (*check)(Resolved&),
                                       Config (*build)(const Resolved&),
                                       const Inspections<Config>& inspections) {
    const CommandLine line = read_command_line(argc, argv);
    if (line.action == Action::help) return ExitRequest{0, help_text(program)};
    if (line.action == Action::version) {
        return ExitRequest{0, fmt::format("{} {}\n", binary_name(program), version())};
    }
    Resolved resolved(program, line, environment);
    check(resolved);
    Config config = build(resolved);
    if (line.action != Action::print_config) inspect(resolved, config, inspections);
    if (!resolved.problems().empty()) {
        return ExitRequest{exit_config_invalid, problems_text(program, resolved)};
    }
    if (line.action == Action::check_config) return ExitRequest{0, check_text(program, resolved)};
    if (line.action == Action::print_config) return ExitRequest{0, print_text(resolved)};
    config.warnings = resolved.warnings();
    return config;
}

}  // namespace

Environment read_environment(const char* const* entries) {
    Environment environment;
    for (; entries != nullptr && *entries != nullptr; ++entries) {
        const std::string_view entry = *entries;
        const std::size_t equals = entry.find('=');
        if (equals == std::string_view::npos || equals == 0) continue;
        environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
    return environment;
}

std::vector<std::string_view> waiting_for_restart(const ControlPlaneConfig& at_start,
                                                  const ControlPlaneConfig& now) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : now.start_only) {
        const auto before =
            std::ranges::find(at_start.start_only, name, [](const auto& entry) { return entry.first; });
        if (before == at_start.start_only.end() || before->second.reveal() != value.reveal())
            names.push_back(name);
    }
    return names;
}

std::variant<ControlPlaneConfig, ExitRequest> load_control_plane_config(
    int argc, const char* const* argv, const Environment& environment,
    const Inspections<ControlPlaneConfig>& inspections) {
    return load<ControlPlaneConfig>(Program::control_plane, argc, argv, environment, check_control_plane,
                                    control_plane_config, inspections);
}

std::variant<AgentConfig, ExitRequest> load_agent_config(int argc, const char* const* argv,
                                                         const Environment& environment,
                                                         const Inspections<AgentConfig>& inspections) {
    return load<AgentConfig>(Program::agent, argc, argv, environment, check_agent, agent_config, inspections);
}

}  // namespace ee::config

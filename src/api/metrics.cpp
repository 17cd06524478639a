// GET /metrics.

#include "telemetry/metrics.h"

#include "api/routes.h"
#include "proxy/forwarder.h"
#include "telemetry/process_metrics.h"
#include "tunnel/tunnels.h"

namespace ee::api {
namespace {

// What a ledger that writes nothing any more refuses with.
constexpr std::string_view standstills[] = {"ledger_halted", "ledger_forked", "store_unavailable"};

void count_up_to(telemetry::Counter& counter, std::uint64_t count) {
    counter.add(count - counter.value());
}

void show_ledger(const LedgerDoor& ledger, telemetry::Metrics& metrics) {
    const LedgerDoor::Counts counts = ledger.counts();
    count_up_to(metrics.counter("ee_ledger_commits_total", "Commits of the ledger"), counts.commits);
    count_up_to(metrics.counter("ee_ledger_commands_total", "Commands the ledger has run"), counts.commands);
    const LedgerDoor::State state = ledger.state();
    for (const std::string_view code : standstills)
        metrics
            .gauge("ee_ledger_standstill", "Whether the ledger is read-only, by the code it refuses with",
                   {{"code", code}})
            .set(state.code == code ? 1 : 0);
}

// An agent that is connected is never `offline`, and registrations are those of apps.
void show_statuses(const registry::StatusCounts& counts, telemetry::Metrics& metrics) {
    for (std::size_t i = 0; i < registry::app_statuses; ++i) {
        const auto status = static_cast<registry::AppStatus>(i);
        const std::string_view word = to_word(status);
        metrics.gauge("ee_apps", "Apps by status", {{"status", word}})
            .set(static_cast<std::int64_t>(counts.apps[i]));
        using enum registry::AppStatus;
        if (status == warning || status == offline || status == expired) continue;
        metrics.gauge("ee_agents", "Connected agents by status", {{"status", word}})
            .set(static_cast<std::int64_t>(counts.agents[i]));
    }
}

}  // namespace

void get_metrics(Request& request) {
    Services& services = request.services;
    services.metrics.gauge("ee_tunnels", "Open tunnels")
        .set(static_cast<std::int64_t>(services.tunnels.size()));
    services.metrics.gauge("ee_tunnels_unattested", "Open tunnels that have not attested yet")
        .set(static_cast<std::int64_t>(services.tunnels.unattested()));
    services.metrics.gauge("ee_proxy_open_requests", "Requests to apps under way")
        .set(static_cast<std::int64_t>(services.forwarder.open_calls()));
    services.metrics
        .gauge("ee_body_bytes", "Bytes of bodies held in memory for peers that have not taken them")
        .set(static_cast<std::int64_t>(services.body_memory.held()));
    services.metrics.gauge("ee_body_bytes_max", "How many may be")
        .set(static_cast<std::int64_t>(services.body_memory.bytes_max()));
    show_ledger(services.ledger, services.metrics);
    show_statuses(services.registry.status_counts(), services.metrics);
    telemetry::show_process(services.metrics);
    request.reply(200, telemetry::Metrics::content_type, services.metrics.render());
}

}  // namespace ee::api

// GET /metrics.

#include "api/routes.h"

namespace ee::api {

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
    request.reply(200, telemetry::Metrics::content_type, services.metrics.render());
}

}  // namespace ee::api

#include "control_plane/preparation.h"

#include "control_plane/networks.h"
#include "registry/sqlite/network_identity.h"

namespace ee::control_plane {

Result<Prepared> prepare(const config::ControlPlaneConfig& config, const telemetry::Log& log) {
    auto anchors = read_trust_anchors(config);
    if (!anchors) return fail(std::move(anchors.error()));
    auto networks = read_networks(config, anchors->has_simulated());
    if (!networks) return fail(std::move(networks.error()));
    auto tls = listener_tls(config);
    if (!tls) return fail(std::move(tls.error()));
    Prepared out{.anchors = std::move(*anchors),
                 .networks = std::move(*networks),
                 .tls = std::move(*tls),
                 .client_tls = {},
                 .metrics = std::make_unique<telemetry::Metrics>(),
                 .collateral = {},
                 .writers = std::make_unique<sqlite::Writers>(config.db_path),
                 .store = {},
                 .records = {},
                 .events = {},
                 .log_id = {},
                 .evidence = {},
                 .releases = {},
                 .ledger = {},
                 .known = {}};
    auto client_tls = net::TlsContext::client({});
    if (!client_tls) return fail(std::move(client_tls.error()));
    out.client_tls = std::move(*client_tls);
    std::optional<net::Url> pccs_url;
    if (config.pccs_url) {
        auto url = attestation::parse_pcs_url(*config.pccs_url);
        if (!url) return fail(std::move(url.error()));
        pccs_url = std::move(*url);
    }
    out.collateral =
        make_collateral_sources(config, pccs_url, out.anchors, out.client_tls, log, *out.metrics);
    auto store = registry::RegistrationStore::open(config.db_path, out.writers.get());
    if (!store) return fail(std::move(store.error()));
    out.store = std::move(*store);
    auto records = out.store->load_all();
    if (!records) return fail(std::move(records.error()));
    out.records = std::move(*records);
    auto events = events::EventStore::open(config.db_path, out.writers.get());
    if (!events) return fail(std::move(events.error()));
    out.events = std::move(*events);
    auto log_id = registry::load_log_id(config.db_path);
    if (!log_id) return fail(std::move(log_id.error()));
    out.log_id = std::move(*log_id);
    auto evidence = registry::EvidenceStore::open(
        config.db_path,
        [&log](const Error& why) {
            log.error("evidence.not_kept", {{"code", why.code}, {"detail", why.detail}});
        },
        {}, out.writers.get());
    if (!evidence) return fail(std::move(evidence.error()));
    out.evidence = std::move(*evidence);
    auto releases = prepare_releases(config, *out.writers);
    if (!releases) return fail(std::move(releases.error()));
    out.releases = std::move(*releases);
    auto ledger = prepare_ledger(config, out.log_id, *out.writers, out.anchors, out.collateral.source(), log);
    if (!ledger) return fail(std::move(ledger.error()));
    out.ledger = std::move(*ledger);
    auto known = read_at_start(config, out.ledger, log);
    if (!known) return fail(std::move(known.error()));
    out.known = std::move(*known);
    return out;
}

}  // namespace ee::control_plane

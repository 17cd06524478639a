#pragma once
// What the control plane needs before anything runs: read, opened and checked, so that a start that cannot
// succeed ends here.

#include <memory>
#include <string>
#include <vector>

#include "attestation/policy.h"
#include "attestation/trust_anchor.h"
#include "control_plane/ledger_service.h"
#include "control_plane/listener_tls.h"
#include "control_plane/releases.h"
#include "control_plane/sources.h"
#include "events/sqlite/event_store.h"
#include "registry/sqlite/evidence_store.h"
#include "registry/sqlite/registration_store.h"
#include "telemetry/metrics.h"

namespace ee::control_plane {

struct Prepared {
    attestation::TrustAnchors anchors;
    attestation::NetworkPolicies networks;
    ListenerTls tls;
    std::shared_ptr<const net::TlsContext> client_tls;  // the system's roots, for what others publish
    std::unique_ptr<telemetry::Metrics> metrics;
    CollateralSources collateral;
    std::unique_ptr<sqlite::Writers> writers;  // of the file at EE_DB_PATH; outlives the stores
    std::unique_ptr<registry::RegistrationStore> store;
    std::vector<registry::AppRecord> records;
    std::unique_ptr<events::EventStore> events;
    std::string log_id;
    std::unique_ptr<registry::EvidenceStore> evidence;
    PreparedReleases releases;
    PreparedLedger ledger;
    KnownAtStart known;
};

// Refusals: those of each part.
Result<Prepared> prepare(const config::ControlPlaneConfig& config, const telemetry::Log& log);

}  // namespace ee::control_plane

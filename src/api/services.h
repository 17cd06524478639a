#pragma once
// What the endpoints work with. Everything outlives the listener.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/access.h"
#include "api/event_streams.h"
#include "api/evidence_source.h"
#include "api/ledger_door.h"
#include "api/refusal_counts.h"
#include "base/body_memory.h"
#include "crypto/digest.h"
#include "net/loop.h"
#include "registry/registry.h"

namespace ee::attestation {
struct ReleaseId;
}
namespace ee::proxy {
class Forwarder;
}
namespace ee::telemetry {
class Metrics;
class StatusCounters;
}  // namespace ee::telemetry
namespace ee::tunnel {
class Tunnels;
}

namespace ee::api {

struct Readiness {
    bool draining = false;
    bool store_ok = true;
    bool ready() const { return !draining && store_ok; }
};

// What only the operator is shown of it.
struct ReadinessDetail {
    // Collateral that was fetched, or is to be, for one platform.
    struct Collateral {
        bool is_intels = true;  // or of the root at EE_TDX_ROOT_CA
        std::string fmspc{};    // hex
        std::string_view ca{};  // platform, processor
        std::optional<WallTime> next_update{};
        std::optional<Error> failure{};  // of the last fetch
    };
    std::vector<Collateral> collateral{};
    std::vector<std::string> dangerous_settings{};  // sentences
};

// The admin's, of the agents of one app.
struct ChallengeOrder {
    std::span<const registry::TunnelId> agents;
    std::string_view app;
    std::string_view request_id;
    const net::IpAddress& client;  // Whose call it was.
};

struct Services {
    net::Loop& loop;
    registry::Registry& registry;
    tunnel::Tunnels& tunnels;
    proxy::Forwarder& forwarder;
    telemetry::Metrics& metrics;
    telemetry::StatusCounters& answers;  // But for those of apps, event streams and tunnels.
    const BodyMemory& body_memory;
    AccessControl& access;
    RefusalCounts& refusals;
    EvidenceSource& evidence;
    LedgerDoor& ledger;
    EventStreams& event_streams;
    // Sealed networks go by the allowlist of this digest from now on; refusals: `allowlist_differs`,
    // `allowlist_not_seen`, `allowlist_invalid:<pointer>`.
    std::function<Result<void>(const attestation::ReleaseId&, const crypto::Sha256&)> accept_allowlist;
    // An app's record is on disk, or gone from there, once `done` is called: on the loop, later, once
    // (`store_unavailable`).
    using Stored = std::function<void(const Result<void>&)>;
    // With what the call is answered, where it may be made again under its key.
    std::function<void(registry::AppRecord, std::optional<registry::KeptAnswer>, Stored done)> store_app;
    // What such a call was answered, or nullopt; on the loop, later, once.
    using OnAnswer = std::function<void(const Result<std::optional<registry::KeptAnswer>>&)>;
    std::function<void(std::string key, OnAnswer found)> find_app_answer;
    std::function<void(std::string app_name, Stored done)> unstore_app;
    // Challenges them, now or as fast as answers can be judged.
    std::function<void(const ChallengeOrder&)> challenge;
    std::function<Readiness()> readiness;
    std::function<ReadinessDetail()> readiness_detail;
    std::vector<std::string> networks;
    MonoTime started_at;
    std::size_t body_bytes_max;  // Of a forwarded request.

    Moment now() const { return {loop.now(), wall_now()}; }
};

}  // namespace ee::api

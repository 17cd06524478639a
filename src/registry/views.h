#pragma once
// What the registry tells: values, valid after the registry has moved on.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "registry/agent.h"
#include "registry/app_record.h"
#include "registry/eligibility.h"

namespace ee::registry {

// The body of GET /v1/resolve/{app}, but for the endpoint.
struct Resolution {
    std::string app_name{};
    AppStatus status = AppStatus::offline;
    bool allowed = false;  // `reason` in the body is null when active, else the status.
    bool sealed = false;
    std::optional<WallTime> last_attest{};
    std::string repo{};
    std::string release_tag{};
    std::vector<std::string> releases{};  // Of connected agents, sorted.
    std::string network{};
    std::size_t agents = 0;  // Connected ones.
    RegistrationState registration_state = RegistrationState::active;
    WallTime registration_expires_at{};
    AttestationStatus attestation_status = AttestationStatus::none;
    HealthStatus health_status = HealthStatus::unknown;
    bool ws_connected = false;
};

struct Event {
    WallTime at{};
    std::string kind{};      // As events::kinds() lists them.
    std::string agent_id{};  // Empty: it is the app's.
    std::string code{};      // May be empty.
    std::string detail{};
    std::uint64_t seq = 0;  // Its number in the stream of all events.
};

// A refusal of a tunnel. Until it is attested what it says of itself is unproven: refusals are listed apart
// from the events of the app they name.
struct Refusal {
    WallTime at{};
    std::string app_name{};
    std::string agent_id{};
    std::string peer_address{};
    std::string code{};
    std::string detail{};
};

struct AgentDetail {
    Agent agent{};
    AppStatus status = AppStatus::offline;
    NodeLack lack = NodeLack::nothing;  // Where that is the status's reason.
    Offer offer{};
    AttestationStatus attestation_status = AttestationStatus::none;
    HealthStatus health_status = HealthStatus::unknown;
};

// A release of an app: what it gets of the requests, and by whom it could be served.
struct ReleaseShare {
    std::string release_tag{};
    std::optional<std::uint32_t> weight{};  // nullopt: the app has no rollout.
    std::size_t eligible_agents = 0;        // But for the rollout.
};

struct AppDetail {
    Resolution resolution{};
    AppRecord record{};
    std::vector<ReleaseShare> releases{};  // By tag: of the rollout, and of connected agents.
    std::vector<AgentDetail> agents{};
    std::vector<Event> events{};      // Newest first, at most 50.
    std::vector<Refusal> refusals{};  // Newest first, of tunnels that named this app.
};

struct ListQuery {
    std::optional<std::string> network{};
    std::optional<AppStatus> status{};
    std::optional<std::string> repo{};
    std::string after{};  // `next` of the page before; empty: from the start.
    std::size_t limit = 50;
};

struct AppPage {
    std::vector<Resolution> items{};  // By name.
    std::optional<std::string> next{};
};

struct Counts {
    std::size_t apps = 0;
    std::size_t agents = 0;  // Connected ones.
};

// How many are of each AppStatus.
struct StatusCounts {
    std::array<std::size_t, app_statuses> apps{};
    std::array<std::size_t, app_statuses> agents{};  // Connected ones.
};

}  // namespace ee::registry

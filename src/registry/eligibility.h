#pragma once
// Who may get traffic, and if not, why not.

#include <chrono>
#include <string_view>

#include "registry/agent.h"

namespace ee::registry {

// Of an app, and of each of its agents.
enum class AppStatus {
    active,
    warning,
    unattested,
    unhealthy,
    offline,
    draining,
    expired,
    banned,
    no_stake,
    unfunded
};
inline constexpr std::size_t app_statuses = 10;
std::string_view to_word(AppStatus status);
constexpr bool is_routable(AppStatus status) {
    return status == AppStatus::active || status == AppStatus::warning;
}

enum class AttestationStatus { valid, inconclusive, invalid, none };
std::string_view to_word(AttestationStatus status);

enum class HealthStatus { pass, fail, unknown };
std::string_view to_word(HealthStatus status);

enum class RegistrationState { active, warning, expired };
std::string_view to_word(RegistrationState state);

struct EligibilityRules {
    std::chrono::seconds attest_interval{3600};
    std::chrono::seconds attest_deadline{30};
    std::chrono::seconds health_timeout{120};
};

// Is the last verdict still good for traffic? A valid one lasts for the interval and the deadline,
// an inconclusive one until `evidence_grace` after the last good answer.
bool attestation_counts(const Agent& agent, const EligibilityRules& rules,
                        std::chrono::seconds evidence_grace, MonoTime now);
AttestationStatus attestation_status(const Agent& agent, const EligibilityRules& rules,
                                     std::chrono::seconds evidence_grace, MonoTime now);

// `unknown` when the agent has been silent for health_timeout, or is disconnected.
HealthStatus health_status(const Agent& agent, const EligibilityRules& rules, MonoTime now);

// `active` means eligible as far as the agent itself goes; otherwise the failing condition that is farthest
// from service. An agent whose release the app's rollout leaves out is `draining`: it gets no new requests.
AppStatus agent_status(const Agent& agent, const EligibilityRules& rules, std::chrono::seconds evidence_grace,
                       MonoTime now);

// What an agent's node lacks, as a status; `active` for nothing. There is no word for a price that is
// missing: like credits that are, it is for somebody to pay, or to ask.
AppStatus status_of(NodeLack lack);

// How far a status is from service: the nearest agent's tells the app's.
int distance_from_service(AppStatus status);

}  // namespace ee::registry

#include "registry/eligibility.h"

#include "base/check.h"

namespace ee::registry {

std::string_view to_word(AppStatus status) {
    switch (status) {
        case AppStatus::active: return "active";
        case AppStatus::warning: return "warning";
        case AppStatus::unattested: return "unattested";
        case AppStatus::unhealthy: return "unhealthy";
        case AppStatus::offline: return "offline";
        case AppStatus::draining: return "draining";
        case AppStatus::expired: return "expired";
        case AppStatus::banned: return "banned";
        case AppStatus::no_stake: return "no_stake";
        case AppStatus::unfunded: return "unfunded";
    }
    EE_CHECK(false);
}

std::string_view to_word(AttestationStatus status) {
    switch (status) {
        case AttestationStatus::valid: return "valid";
        case AttestationStatus::inconclusive: return "inconclusive";
        case AttestationStatus::invalid: return "invalid";
        case AttestationStatus::none: return "none";
    }
    EE_CHECK(false);
}

std::string_view to_word(HealthStatus status) {
    switch (status) {
        case HealthStatus::pass: return "pass";
        case HealthStatus::fail: return "fail";
        case HealthStatus::unknown: return "unknown";
    }
    EE_CHECK(false);
}

std::string_view to_word(RegistrationState state) {
    switch (state) {
        case RegistrationState::active: return "active";
        case RegistrationState::warning: return "warning";
        case RegistrationState::expired: return "expired";
    }
    EE_CHECK(false);
}

bool attestation_counts(const Agent& agent, const EligibilityRules& rules,
                        std::chrono::seconds evidence_grace, MonoTime now) {
    const auto age = now - agent.verdict.judged_at.mono;
    switch (agent.standing) {
        case Standing::valid: return age <= rules.attest_interval + rules.attest_deadline;
        case Standing::inconclusive: return age <= evidence_grace;
        case Standing::invalid: return false;
    }
    EE_CHECK(false);
}

AttestationStatus attestation_status(const Agent& agent, const EligibilityRules& rules,
                                     std::chrono::seconds evidence_grace, MonoTime now) {
    if (agent.standing == Standing::inconclusive) return AttestationStatus::inconclusive;
    return attestation_counts(agent, rules, evidence_grace, now) ? AttestationStatus::valid
                                                                 : AttestationStatus::invalid;
}

HealthStatus health_status(const Agent& agent, const EligibilityRules& rules, MonoTime now) {
    if (agent.tunnel == no_tunnel || now - agent.health_at.mono > rules.health_timeout)
        return HealthStatus::unknown;
    return agent.backend_passes ? HealthStatus::pass : HealthStatus::fail;
}

AppStatus agent_status(const Agent& agent, const EligibilityRules& rules, std::chrono::seconds evidence_grace,
                       MonoTime now) {
    if (agent.tunnel == no_tunnel) return AppStatus::offline;
    if (!attestation_counts(agent, rules, evidence_grace, now)) return AppStatus::unattested;
    if (health_status(agent, rules, now) != HealthStatus::pass) return AppStatus::unhealthy;
    if (agent.draining || agent.left_out) return AppStatus::draining;
    return AppStatus::active;
}

AppStatus status_of(NodeLack lack) {
    switch (lack) {
        case NodeLack::nothing: return AppStatus::active;
        case NodeLack::funding:
        case NodeLack::price: return AppStatus::unfunded;
        case NodeLack::stake: return AppStatus::no_stake;
        case NodeLack::standing: return AppStatus::banned;
    }
    EE_CHECK(false);
}

int distance_from_service(AppStatus status) {
    switch (status) {
        case AppStatus::active:
        case AppStatus::warning: return 0;
        case AppStatus::unfunded: return 1;
        case AppStatus::no_stake: return 2;
        case AppStatus::draining: return 3;
        case AppStatus::unhealthy: return 4;
        case AppStatus::unattested: return 5;
        case AppStatus::banned: return 6;
        case AppStatus::offline: return 7;
        case AppStatus::expired: return 8;
    }
    EE_CHECK(false);
}

}  // namespace ee::registry

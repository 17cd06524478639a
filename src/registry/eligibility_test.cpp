#include "registry/eligibility.h"

#include <functional>

#include <gtest/gtest.h>

namespace ee::registry {
namespace {

using namespace std::chrono_literals;

const MonoTime start{1000h};
constexpr EligibilityRules rules{.attest_interval = 3600s, .attest_deadline = 30s, .health_timeout = 120s};
constexpr std::chrono::seconds grace{21600};

Agent eligible() {
    Agent agent;
    agent.tunnel = 1;
    agent.verdict.answered_at.mono = start;
    agent.verdict.judged_at.mono = start;
    agent.health_at.mono = start;
    return agent;
}

// With what a node must have in RegistryNodesTest, and by chance in the simulation of routing.
TEST(Eligibility, R1LosingAnyOneConditionTakesAnAgentOut) {
    const struct {
        const char* what;
        std::function<void(Agent&)> lose;
        AppStatus status;
    } rows[] = {
        {"nothing", [](Agent&) {}, AppStatus::active},
        {"tunnel", [](Agent& a) { a.tunnel = no_tunnel; }, AppStatus::offline},
        {"verdict", [](Agent& a) { a.standing = Standing::invalid; }, AppStatus::unattested},
        {"fresh verdict", [](Agent& a) { a.verdict.judged_at.mono = start - 3631s; }, AppStatus::unattested},
        {"health", [](Agent& a) { a.backend_passes = false; }, AppStatus::unhealthy},
        {"fresh health", [](Agent& a) { a.health_at.mono = start - 121s; }, AppStatus::unhealthy},
        {"not draining", [](Agent& a) { a.draining = true; }, AppStatus::draining},
    };
    for (const auto& row : rows) {
        Agent agent = eligible();
        row.lose(agent);
        EXPECT_EQ(agent_status(agent, rules, grace, start), row.status) << row.what;
    }
}

TEST(Eligibility, TheConditionFarthestFromServiceNamesTheAgent) {
    Agent agent = eligible();
    agent.draining = true;
    agent.backend_passes = false;
    EXPECT_EQ(agent_status(agent, rules, grace, start), AppStatus::unhealthy);
    agent.standing = Standing::invalid;
    EXPECT_EQ(agent_status(agent, rules, grace, start), AppStatus::unattested);
    agent.tunnel = no_tunnel;
    EXPECT_EQ(agent_status(agent, rules, grace, start), AppStatus::offline);
}

TEST(Eligibility, AVerdictLastsForTheIntervalAndTheDeadline) {
    const Agent agent = eligible();
    EXPECT_TRUE(attestation_counts(agent, rules, grace, start + 3630s));
    EXPECT_FALSE(attestation_counts(agent, rules, grace, start + 3631s));
    EXPECT_EQ(attestation_status(agent, rules, grace, start + 3630s), AttestationStatus::valid);
    EXPECT_EQ(attestation_status(agent, rules, grace, start + 3631s), AttestationStatus::invalid);
}

TEST(Eligibility, AnInconclusiveOneLastsForTheGraceAfterTheLastGoodOne) {
    Agent agent = eligible();
    agent.standing = Standing::inconclusive;
    EXPECT_TRUE(attestation_counts(agent, rules, grace, start + grace));
    EXPECT_FALSE(attestation_counts(agent, rules, grace, start + grace + 1s));
    EXPECT_FALSE(attestation_counts(agent, rules, 0s, start + 1s));
    EXPECT_EQ(attestation_status(agent, rules, grace, start), AttestationStatus::inconclusive);
}

TEST(Eligibility, SilenceMakesHealthUnknown) {
    Agent agent = eligible();
    EXPECT_EQ(health_status(agent, rules, start + 120s), HealthStatus::pass);
    EXPECT_EQ(health_status(agent, rules, start + 121s), HealthStatus::unknown);
    agent.backend_passes = false;
    EXPECT_EQ(health_status(agent, rules, start), HealthStatus::fail);
    agent.tunnel = no_tunnel;
    EXPECT_EQ(health_status(agent, rules, start), HealthStatus::unknown);
}

TEST(Eligibility, TheOrderOfNearnessIsThatOfTheContract) {
    const AppStatus order[] = {AppStatus::active,   AppStatus::unfunded,  AppStatus::no_stake,
                               AppStatus::draining, AppStatus::unhealthy, AppStatus::unattested,
                               AppStatus::banned,   AppStatus::offline};
    for (std::size_t i = 1; i < std::size(order); ++i)
        EXPECT_LT(distance_from_service(order[i - 1]), distance_from_service(order[i])) << to_word(order[i]);
}

TEST(Eligibility, WordsAreThoseOfTheContract) {
    EXPECT_EQ(to_word(AppStatus::no_stake), "no_stake");
    EXPECT_EQ(to_word(AppStatus::unattested), "unattested");
    EXPECT_EQ(to_word(AttestationStatus::none), "none");
    EXPECT_EQ(to_word(HealthStatus::unknown), "unknown");
    EXPECT_EQ(to_word(RegistrationState::expired), "expired");
}

}  // namespace
}  // namespace ee::registry

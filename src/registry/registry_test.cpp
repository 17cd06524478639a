#include "registry/registry.h"

#include <gtest/gtest.h>

#include "registry/registry_fixture.h"

namespace ee::registry {
namespace {

class RegistryTest : public testing::Test, protected RegistryFixture {};

using namespace std::chrono_literals;
using Tunnels = std::vector<TunnelId>;

// ---- Names ----

TEST_F(RegistryTest, AnUnknownNetworkIsRefused) {
    EXPECT_EQ(registry.check_claim({"myapp", "org/repo", "forge-2"}, now().wall).error().code,
              "invalid_network");
    EXPECT_EQ(registry.check_claim({"myapp", "org/repo", "forge-1"}, now().wall)->binding, "channel");
}

TEST_F(RegistryTest, AClaimAloneChangesNothing) {
    EXPECT_TRUE(registry.check_claim({"myapp", "org/repo", "forge-1"}, now().wall));
    EXPECT_FALSE(registry.resolve("myapp", now()));
    EXPECT_TRUE(registry.check_claim({"myapp", "evil/repo", "forge-1"}, now().wall));
    EXPECT_EQ(registry.counts().apps, 0u);
}

TEST_F(RegistryTest, AnAppIsBoundByItsFirstAttestedAgent) {
    const Admitted admitted = admit(request(1));
    EXPECT_TRUE(admitted.newly_bound);
    EXPECT_EQ(admitted.record.repo, "org/repo");
    EXPECT_EQ(admitted.record.expires_at, now().wall + std::chrono::days{30});
    EXPECT_EQ(registry.check_claim({"myapp", "evil/repo", "forge-1"}, now().wall).error().code,
              "app_bound_to_other_repo");
    EXPECT_EQ(registry.check_claim({"myapp", "org/repo", "sandbox-1"}, now().wall).error().code,
              "app_bound_to_other_network");
    AdmitRequest other = request(2, "a2");
    other.claim.repo = "evil/repo";
    EXPECT_EQ(refused(other), "app_bound_to_other_repo");
    EXPECT_EQ(candidates(), Tunnels{1});
    EXPECT_FALSE(admit(request(3, "a3")).newly_bound);
}

TEST_F(RegistryTest, EveryEventIsToldWithItsAppItsAgentAndItsNode) {
    Told sink;
    registry.tell(sink);
    AdmitRequest on_node = request(1);
    on_node.node_id = "n1";
    admit(on_node);
    registry.health(1, false, "refused", now());
    registry.disconnected(1, "idle_timeout", now().wall);
    ASSERT_EQ(sink.told.size(), 4u);
    const char* kinds[] = {"registered", "attested", "backend_fail", "disconnected"};
    for (std::size_t i = 0; i < 4; ++i) {
        const events::Event& event = sink.told[i];
        EXPECT_EQ(event.kind, kinds[i]);
        EXPECT_TRUE(events::is_kind(event.kind));
        EXPECT_EQ(event.app_name, "myapp");
        EXPECT_EQ(event.agent_id, "a1");
        EXPECT_EQ(event.node_id, "n1");
        EXPECT_EQ(event.at, now().wall);
    }
    EXPECT_EQ(sink.told[2].detail, "refused");
    EXPECT_EQ(sink.told[3].code, "idle_timeout");
    // Shown under the number it got.
    EXPECT_EQ(registry.detail("myapp", now())->events.front().seq, 4u);
}

TEST_F(RegistryTest, EventsOfRunsBeforeAreShownAgain) {
    const AppRecord record{.app_name = "myapp", .expires_at = now().wall + std::chrono::hours(1)};
    registry.load({&record, 1});
    std::vector<events::Event> before;
    for (std::uint64_t seq = 1; seq <= 60; ++seq)
        before.push_back({.seq = seq, .kind = "attested", .app_name = seq == 30 ? "gone" : "myapp"});
    registry.load_events(before);
    const std::vector<Event> shown = registry.detail("myapp", now())->events;
    ASSERT_EQ(shown.size(), 50u);
    EXPECT_EQ(shown.front().seq, 60u);
    EXPECT_EQ(shown.back().seq, 10u);
}

TEST_F(RegistryTest, AChangedAllowlistIsAnEventOfTheAppsThatServeTheRelease) {
    admit(request(1));
    AdmitRequest other = request(2);
    other.claim = {"other", "org/other", "forge-1"};
    admit(other);
    registry.allowlist_changed("org/repo", "v1", "was aa, is bb", now().wall);
    registry.allowlist_changed("org/repo", "v2", "was aa, is bb", now().wall);
    const AppDetail detail = registry.detail("myapp", now()).value();
    registry.allowlist_accepted("org/repo", "v1", "bb", now().wall);
    EXPECT_EQ(registry.detail("myapp", now())->events.front().kind, "allowlist_accepted");
    EXPECT_NE(registry.detail("other", now())->events.front().kind, "allowlist_accepted");
    ASSERT_EQ(detail.events.front().kind, "allowlist_changed");
    EXPECT_EQ(detail.events.front().code, "v1");
    EXPECT_EQ(detail.events.front().detail, "was aa, is bb");
    EXPECT_NE(detail.events[1].kind, "allowlist_changed");
    EXPECT_NE(registry.detail("other", now())->events.front().kind, "allowlist_changed");
}

TEST_F(RegistryTest, ARestartKeepsNamesBound) {
    const AppRecord record = admit(request(1)).record;
    Registry restarted({}, {{"forge-1", {}}});
    restarted.load({&record, 1});
    EXPECT_EQ(restarted.check_claim({"myapp", "evil/repo", "forge-1"}, now().wall).error().code,
              "app_bound_to_other_repo");
    const Resolution resolution = restarted.resolve("myapp", now()).value();
    EXPECT_EQ(resolution.status, AppStatus::offline);
    EXPECT_EQ(resolution.release_tag, "v1");
    EXPECT_EQ(resolution.last_attest, now().wall);
    EXPECT_EQ(resolution.attestation_status, AttestationStatus::none);
}

TEST_F(RegistryTest, AnExpiredNameStaysReservedForItsRepo) {
    admit(request(1));
    registry.disconnected(1, "tunnel_closed", now().wall);
    clock += std::chrono::days{30} + std::chrono::days{90} - 1ms;
    EXPECT_EQ(status(), AppStatus::expired);
    EXPECT_EQ(registry.check_claim({"myapp", "evil/repo", "forge-1"}, now().wall).error().code,
              "app_bound_to_other_repo");
    EXPECT_TRUE(registry.check_claim({"myapp", "org/repo", "forge-1"}, now().wall));
    clock += 1ms;
    AdmitRequest other = request(2);
    other.claim.repo = "new/repo";
    EXPECT_TRUE(admit(other).newly_bound);
    EXPECT_EQ(resolve().repo, "new/repo");
    EXPECT_EQ(registry.check_claim({"myapp", "org/repo", "forge-1"}, now().wall).error().code,
              "app_bound_to_other_repo");
}

TEST_F(RegistryTest, WhoeverTakesAFreeNameTakesItsTunnelsOut) {
    admit(request(1));
    clock += std::chrono::days{120};
    AdmitRequest other = request(2, "b1");
    other.claim.repo = "new/repo";
    Told sink;
    registry.tell(sink);
    EXPECT_EQ(admit(other).superseded, Tunnels{1});
    EXPECT_EQ(sink.told.at(0).kind, "forgotten");
    EXPECT_EQ(sink.told.at(0).detail, "org/repo on forge-1: its reservation has ended");
    EXPECT_EQ(sink.told.at(1).kind, "registered");
    registry.health(1, true, "", now());
    EXPECT_EQ(registry.tunnels_of("myapp"), Tunnels{2});
}

TEST_F(RegistryTest, AForgottenNameIsFree) {
    admit(request(1));
    admit(request(2, "a2"));
    EXPECT_EQ(registry.forget("myapp", now().wall), (Tunnels{1, 2}));
    EXPECT_FALSE(registry.forget("myapp", now().wall));
    EXPECT_TRUE(registry.check_claim({"myapp", "evil/repo", "forge-1"}, now().wall));
    registry.disconnected(1, "tunnel_closed", now().wall);
    EXPECT_EQ(registry.counts().agents, 0u);
}

// ---- Registration's life ----

TEST_F(RegistryTest, ARegistrationWarnsThenExpiresAndIsRenewedByAttestation) {
    admit(request(1));
    const auto step = [&](std::chrono::milliseconds time) {
        clock += time;
        registry.health(1, true, "", now());
    };
    const auto attest = [&](bool renews) {
        AttestedVerdict fresh = verdict(now());
        fresh.renews_registration = renews;
        return registry.attested(1, fresh, now());
    };
    step(std::chrono::days{27} - 1ms);
    EXPECT_FALSE(attest(false).registration_expiring);
    EXPECT_EQ(status(), AppStatus::active);
    step(1ms);
    EXPECT_TRUE(attest(false).registration_expiring);
    EXPECT_EQ(status(), AppStatus::warning);
    EXPECT_TRUE(resolve().allowed);
    EXPECT_EQ(resolve().registration_state, RegistrationState::warning);
    EXPECT_EQ(candidates(), Tunnels{1});
    step(std::chrono::days{3});
    attest(false);
    EXPECT_EQ(status(), AppStatus::expired);
    EXPECT_FALSE(resolve().allowed);
    EXPECT_EQ(candidates(), Tunnels{});
    const Renewed renewed = attest(true);
    EXPECT_FALSE(renewed.registration_expiring);
    EXPECT_EQ(renewed.record->expires_at, now().wall + std::chrono::days{30});
    EXPECT_EQ(status(), AppStatus::active);
}

TEST_F(RegistryTest, ARegistrationIsRenewedWhenWhatTheVerdictWentByIsConfirmed) {
    AdmitRequest first = request(1);
    first.verdict.renews_registration = false;
    admit(first);
    clock += std::chrono::days{1};
    const Renewed renewed = registry.confirmed(1, now().wall);
    ASSERT_TRUE(renewed.record);
    EXPECT_EQ(renewed.record->expires_at, now().wall + std::chrono::days{30});
    EXPECT_FALSE(registry.confirmed(2, now().wall).record);  // It carries no agent.
    registry.attest_missed(1, {"attestation_timeout", ""}, now());
    EXPECT_FALSE(registry.confirmed(1, now().wall).record);
}

TEST_F(RegistryTest, AnExpiredAppIsRevivedByAnAdmissionOfTheSameRepo) {
    admit(request(1));
    registry.disconnected(1, "", now().wall);
    clock += std::chrono::days{40};
    AdmitRequest stale = request(2);
    stale.verdict.renews_registration = false;
    EXPECT_FALSE(admit(stale).newly_bound);
    EXPECT_EQ(status(), AppStatus::expired);
    admit(request(3, "a2"));
    EXPECT_EQ(status(), AppStatus::active);
}

// ---- Identity ----

TEST_F(RegistryTest, ManyAgentsServeOneAppAndOneLeavingHarmsNobody) {
    admit(request(1, "a1"));
    admit(request(2, "a2"));
    EXPECT_EQ(candidates(), (Tunnels{1, 2}));
    registry.disconnected(2, "tunnel_closed", now().wall);
    EXPECT_EQ(candidates(), Tunnels{1});
    EXPECT_EQ(status(), AppStatus::active);
    registry.disconnected(1, "tunnel_closed", now().wall);
    EXPECT_EQ(status(), AppStatus::offline);
}

TEST_F(RegistryTest, TheSameAgentKeyReplacesAtOnce) {
    admit(request(1, "a1", {7}));
    const Admitted second = admit(request(2, "a1", {7}));
    EXPECT_EQ(second.superseded, Tunnels{1});
    EXPECT_GT(second.generation, 1u);
    EXPECT_EQ(candidates(), Tunnels{2});
    EXPECT_EQ(resolve().agents, 1u);
}

TEST_F(RegistryTest, TheSameNodeReplacesAtOnceAnotherOneDoesNot) {
    struct Case {
        std::optional<std::string> holder, newcomer;
        bool replaces;
    };
    const Case cases[] = {
        {"n1", "n1", true}, {"n1", "n2", false}, {"n1", {}, false}, {{}, "n1", false}, {{}, {}, false}};
    for (const Case& c : cases) {
        Registry fresh{RegistrySettings{}, {{"forge-1", {"channel", std::chrono::seconds{21600}}}}};
        AdmitRequest first = request(1), second = request(2);
        first.node_id = c.holder;
        second.node_id = c.newcomer;
        fresh.admit(first, now());
        const AdmitOutcome outcome = fresh.admit(second, now());
        EXPECT_EQ(std::holds_alternative<Admitted>(outcome), c.replaces)
            << c.holder.value_or("none") << " then " << c.newcomer.value_or("none");
    }
}

TEST_F(RegistryTest, WithoutTheSameKeyTheOldTunnelIsAskedFirst) {
    const Bytes keys[][2] = {{{}, {}}, {{7}, {}}, {{}, {7}}, {{7}, {8}}};
    for (const auto& [old_key, new_key] : keys) {
        Registry fresh({}, {{"forge-1", {}}});
        fresh.admit(request(1, "a1", old_key), now());
        AdmitRequest second = request(2, "a1", new_key);
        EXPECT_EQ(std::get<NeedsProbe>(fresh.admit(second, now())).holder, 1u);
        second.probe = Probe{.tunnel = 1, .answered = true};
        EXPECT_EQ(std::get<Error>(fresh.admit(second, now())).code, "agent_id_taken");
        EXPECT_EQ(fresh.tunnel_of("myapp", "a1"), 1u) << "nothing has changed";
        second.probe = Probe{.tunnel = 1, .answered = false};
        EXPECT_EQ(std::get<Admitted>(fresh.admit(second, now())).superseded, Tunnels{1});
        EXPECT_EQ(fresh.tunnel_of("myapp", "a1"), 2u);
    }
}

TEST_F(RegistryTest, AProbeOfAnotherTunnelProvesNothing) {
    admit(request(1));
    AdmitRequest second = request(2);
    second.probe = Probe{.tunnel = 9, .answered = false};
    EXPECT_EQ(std::get<NeedsProbe>(registry.admit(second, now())).holder, 1u);
}

TEST_F(RegistryTest, AnIdentityWhoseTunnelIsGoneIsFree) {
    admit(request(1, "a1", {7}));
    registry.disconnected(1, "tunnel_closed", now().wall);
    EXPECT_TRUE(admit(request(2, "a1", {8})).superseded.empty());
    EXPECT_EQ(registry.detail("myapp", now())->agents.size(), 1u);
}

TEST_F(RegistryTest, ASupersededTunnelCannotTouchItsSuccessor) {
    admit(request(1, "a1", {7}));
    admit(request(2, "a1", {7}));
    registry.health(1, false, "", now());
    registry.attest_missed(1, {"attestation_timeout", ""}, now());
    registry.inconclusive(1, {"collateral_unavailable", ""}, now());
    registry.drain(1, "superseded", now().wall);
    registry.attested(1, verdict(now(), {9}), now());
    registry.disconnected(1, "superseded", now().wall);
    EXPECT_EQ(registry.traffic_of(1), nullptr);
    EXPECT_EQ(registry.agent_of(1), nullptr);
    EXPECT_EQ(candidates(), Tunnels{2});
    EXPECT_EQ(registry.agent_of(2)->verdict.agent_key, Bytes{7});
}

TEST_F(RegistryTest, ATunnelThatWasNeverAdmittedTouchesNobody) {
    admit(request(1));
    registry.attest_missed(5, {"attestation_timeout", ""}, now());
    registry.health(5, false, "", now());
    registry.disconnected(5, "attestation_timeout", now().wall);
    registry.record_refusal({now().wall, "myapp", "a1", "203.0.113.9:1", "attestation_timeout", ""});
    EXPECT_EQ(status(), AppStatus::active);
    const AppDetail detail = registry.detail("myapp", now()).value();
    for (const Event& event : detail.events) EXPECT_NE(event.kind, "attest_miss");
    EXPECT_EQ(detail.refusals.size(), 1u);
}

// ---- Standing ----

TEST_F(RegistryTest, AnAgentServesFromItsFirstAttestationOn) {
    admit(request(1));
    EXPECT_EQ(status(), AppStatus::active);
    EXPECT_EQ(resolve().health_status, HealthStatus::pass);
}

TEST_F(RegistryTest, AFailingBackendTakesItOutUntilTheNextPass) {
    admit(request(1));
    registry.health(1, false, "connection refused", now());
    EXPECT_EQ(status(), AppStatus::unhealthy);
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(status(), AppStatus::unhealthy) << "an attestation says nothing of the backend";
    registry.health(1, true, "", now());
    EXPECT_EQ(status(), AppStatus::active);
}

TEST_F(RegistryTest, SilenceTakesItOutAndAHeartbeatHeals) {
    admit(request(1));
    clock += 120s;
    EXPECT_EQ(status(), AppStatus::active);
    clock += 1s;
    EXPECT_EQ(status(), AppStatus::unhealthy);
    EXPECT_EQ(resolve().health_status, HealthStatus::unknown);
    registry.health(1, true, "", now());
    EXPECT_EQ(status(), AppStatus::active);
}

TEST_F(RegistryTest, AMissTakesItOutAtOnce) {
    admit(request(1));
    registry.attest_missed(1, {"debug_td", ""}, now());
    EXPECT_EQ(status(), AppStatus::unattested);
    EXPECT_EQ(resolve().attestation_status, AttestationStatus::invalid);
    EXPECT_EQ(candidates(), Tunnels{});
}

TEST_F(RegistryTest, AnInconclusiveVerdictKeepsItForTheNetworksGrace) {
    admit(request(1));
    registry.inconclusive(1, {"collateral_unavailable", ""}, now());
    EXPECT_EQ(status(), AppStatus::active);
    EXPECT_EQ(resolve().attestation_status, AttestationStatus::inconclusive);
    clock += 21600s;
    registry.health(1, true, "", now());
    EXPECT_EQ(status(), AppStatus::active);
    clock += 1s;
    EXPECT_EQ(status(), AppStatus::unattested);
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(status(), AppStatus::active);
}

TEST_F(RegistryTest, AChangedPolicyChangesTheGrace) {
    admit(request(1));
    registry.inconclusive(1, {"collateral_unavailable", ""}, now());
    clock += 60s;
    registry.set_networks({{"forge-1", {"channel", 30s}}});
    EXPECT_EQ(status(), AppStatus::unattested);
}

TEST_F(RegistryTest, ADrainingAgentGetsNothingNew) {
    admit(request(1));
    registry.drain(1, "draining", now().wall);
    EXPECT_EQ(status(), AppStatus::draining);
    EXPECT_EQ(candidates(), Tunnels{});
    EXPECT_EQ(resolve().ws_connected, true);
}

TEST_F(RegistryTest, OnlyRecentDisconnectedAgentsAreRemembered) {
    for (TunnelId tunnel = 1; tunnel <= 40; ++tunnel) {
        admit(request(tunnel, "a" + std::to_string(tunnel)));
        registry.disconnected(tunnel, "tunnel_closed", now().wall);
        clock += 1s;
    }
    const AppDetail detail = registry.detail("myapp", now()).value();
    ASSERT_EQ(detail.agents.size(), 16u);
    EXPECT_EQ(detail.agents.front().agent.agent_id, "a25");
    EXPECT_EQ(detail.agents.back().agent.agent_id, "a40");
    // One that was forgotten and one that was not: both are found again by what they are now.
    for (const auto& [tunnel, agent] : std::map<TunnelId, std::string>{{41, "a1"}, {42, "a40"}}) {
        EXPECT_EQ(registry.tunnel_of("myapp", agent), no_tunnel);
        admit(request(tunnel, agent));
        EXPECT_EQ(registry.tunnel_of("myapp", agent), tunnel);
    }
    EXPECT_EQ(registry.detail("myapp", now())->agents.size(), 17u);
}

}  // namespace
}  // namespace ee::registry

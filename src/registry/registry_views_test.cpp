#include <fmt/format.h>
#include <gtest/gtest.h>

#include "registry/registry_fixture.h"

namespace ee::registry {
namespace {

class RegistryViewsTest : public testing::Test, protected RegistryFixture {};

using namespace std::chrono_literals;

TEST_F(RegistryViewsTest, AnUnknownAppHasNoAnswer) {
    EXPECT_FALSE(registry.resolve("nobody", now()));
    EXPECT_FALSE(registry.status("nobody", now()));
    EXPECT_FALSE(registry.detail("nobody", now()));
    EXPECT_FALSE(registry.visit_candidates("nobody", now(), [](const Agent&) {}));
}

TEST_F(RegistryViewsTest, AResolutionHasEveryFieldOfTheBody) {
    AdmitRequest sealed = request(1);
    sealed.verdict.sealed = true;
    admit(sealed);
    const WallTime admitted_at = now().wall;
    clock += 10s;
    const Resolution resolution = resolve();
    EXPECT_EQ(resolution.app_name, "myapp");
    EXPECT_EQ(resolution.status, AppStatus::active);
    EXPECT_TRUE(resolution.allowed);
    EXPECT_TRUE(resolution.sealed);
    EXPECT_EQ(resolution.last_attest, admitted_at);
    EXPECT_EQ(resolution.repo, "org/repo");
    EXPECT_EQ(resolution.release_tag, "v1");
    EXPECT_EQ(resolution.releases, std::vector<std::string>{"v1"});
    EXPECT_EQ(resolution.network, "forge-1");
    EXPECT_EQ(resolution.agents, 1u);
    EXPECT_EQ(resolution.registration_state, RegistrationState::active);
    EXPECT_EQ(resolution.registration_expires_at, admitted_at + std::chrono::days{30});
    EXPECT_EQ(resolution.attestation_status, AttestationStatus::valid);
    EXPECT_EQ(resolution.health_status, HealthStatus::pass);
    EXPECT_TRUE(resolution.ws_connected);
}

TEST_F(RegistryViewsTest, SeveralAgentsAreSummedUpByTheEligibleOnes) {
    AdmitRequest first = request(1, "a1");
    first.verdict.sealed = true;
    admit(first);
    const WallTime oldest = now().wall;
    clock += 10s;
    AdmitRequest second = request(2, "a2");
    second.release_tag = "v2";
    admit(second);
    EXPECT_FALSE(resolve().sealed);
    EXPECT_EQ(resolve().last_attest, oldest);
    EXPECT_EQ(resolve().releases, (std::vector<std::string>{"v1", "v2"}));
    AdmitRequest third = request(3, "a3");
    third.release_tag = "v1";
    admit(third);
    EXPECT_EQ(resolve().release_tag, "v1");
    EXPECT_EQ(resolve().agents, 3u);
    // Only the sealed one is left.
    registry.drain(2, "draining", now().wall);
    registry.health(3, false, "", now());
    EXPECT_TRUE(resolve().sealed);
    EXPECT_EQ(resolve().status, AppStatus::active);
    registry.attest_missed(1, {"debug_td", ""}, now());
    EXPECT_FALSE(resolve().sealed);
}

TEST_F(RegistryViewsTest, WithNobodyEligibleTheNearestAgentTellsTheStatus) {
    for (TunnelId tunnel = 1; tunnel <= 4; ++tunnel) admit(request(tunnel, fmt::format("a{}", tunnel)));
    registry.disconnected(1, "tunnel_closed", now().wall);
    registry.attest_missed(2, {"debug_td", ""}, now());
    registry.health(3, false, "", now());
    registry.drain(4, "draining", now().wall);
    EXPECT_EQ(resolve().status, AppStatus::draining);
    registry.disconnected(4, "", now().wall);
    EXPECT_EQ(resolve().status, AppStatus::unhealthy);
    EXPECT_EQ(resolve().health_status, HealthStatus::fail);
    registry.disconnected(3, "", now().wall);
    EXPECT_EQ(resolve().status, AppStatus::unattested);
    EXPECT_EQ(resolve().attestation_status, AttestationStatus::invalid);
    registry.disconnected(2, "", now().wall);
    EXPECT_EQ(resolve().status, AppStatus::offline);
    EXPECT_FALSE(resolve().ws_connected);
    for (const Resolution& resolution : registry.list({}, now()).items)
        EXPECT_EQ(resolution.status, status());
}

TEST_F(RegistryViewsTest, OfReleasesThatAreAsManyTheLastIsShownAndOfVerdictsTheOldest) {
    admit(request(1, "a1"));
    const WallTime oldest = now().wall;
    clock += 10s;
    AdmitRequest newer = request(2, "a2");
    newer.release_tag = "v2";
    admit(newer);
    EXPECT_EQ(resolve().release_tag, "v2");
    EXPECT_EQ(resolve().last_attest, oldest);
    clock += 10s;
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(resolve().last_attest, oldest + 10s) << "the first agent's is the newer one now";
}

TEST_F(RegistryViewsTest, OfAgentsThatAreAsNearTheFirstTellsItsVerdict) {
    admit(request(1, "a1"));
    admit(request(2, "a2"));
    registry.inconclusive(2, {"collateral_unavailable", ""}, now());
    registry.disconnected(1, "", now().wall);
    registry.disconnected(2, "", now().wall);
    EXPECT_EQ(resolve().status, AppStatus::offline);
    EXPECT_EQ(resolve().attestation_status, AttestationStatus::valid);
}

TEST_F(RegistryViewsTest, ARegistrationThatEndsSoonIsSaidOfAnAppThatServesAndOfNoOther) {
    admit(request(1));
    clock += std::chrono::days{28};
    registry.attested(
        1,
        [&] {
            AttestedVerdict unrenewed = verdict(now());
            unrenewed.renews_registration = false;
            return unrenewed;
        }(),
        now());
    EXPECT_EQ(resolve().status, AppStatus::warning);
    EXPECT_TRUE(resolve().allowed);
    registry.health(1, false, "", now());
    EXPECT_EQ(resolve().status, AppStatus::unhealthy);
    EXPECT_EQ(status(), AppStatus::unhealthy);
    EXPECT_FALSE(resolve().allowed);
}

// ---- What is told once ----

TEST_F(RegistryViewsTest, WhatGoesOnIsToldOnceAndWhatIsNewAgain) {
    admit(request(1));
    const auto told = [&] {
        std::string kinds;
        const AppDetail detail = registry.detail("myapp", now()).value();
        for (const Event& event : detail.events) kinds = event.kind + ":" + event.code + " " + kinds;
        return kinds;
    };
    for (const char* code : {"collateral_unavailable", "collateral_unavailable", "allowlist_unavailable"})
        registry.inconclusive(1, {code, ""}, now());
    for (int i = 0; i < 2; ++i) registry.drain(1, "operator", now().wall);
    EXPECT_EQ(told(),
              "registered: attested:UpToDate inconclusive:collateral_unavailable "
              "inconclusive:allowlist_unavailable draining:operator ");
    registry.attested(1, verdict(now()), now());
    registry.inconclusive(1, {"allowlist_unavailable", ""}, now());
    EXPECT_TRUE(told().ends_with("attested:UpToDate inconclusive:allowlist_unavailable ")) << told();
    // A verdict that failed was told when it did: nothing has lapsed.
    registry.attest_missed(1, {"debug_td", ""}, now());
    registry.note_lapses(now(), 1000);
    EXPECT_TRUE(told().ends_with("attest_miss:debug_td ")) << told();
    // The same reason, but another standing.
    registry.inconclusive(1, {"debug_td", ""}, now());
    EXPECT_TRUE(told().ends_with("attest_miss:debug_td inconclusive:debug_td ")) << told();
}

TEST_F(RegistryViewsTest, TheOneDisconnectedLongestIsForgottenFirst) {
    const auto name = [](TunnelId tunnel) { return fmt::format("a{}", tunnel); };
    for (TunnelId tunnel = 1; tunnel <= 18; ++tunnel) admit(request(tunnel, name(tunnel)));
    registry.disconnected(2, "", now().wall);
    clock += 1s;
    const auto remembered = [&] {
        std::string ids;
        const auto detail = registry.detail("myapp", now());
        for (const AgentDetail& one : detail->agents) ids += one.agent.agent_id + " ";
        return ids;
    };
    for (TunnelId tunnel = 1; tunnel <= 17; ++tunnel) registry.disconnected(tunnel, "", now().wall);
    EXPECT_TRUE(remembered().starts_with("a1 a3 ")) << remembered();
    registry.disconnected(18, "", now().wall);
    EXPECT_TRUE(remembered().starts_with("a3 a4 ")) << "of those that left together the first";
}

TEST_F(RegistryViewsTest, TheListIsFilteredAndPaged) {
    for (TunnelId i = 1; i <= 9; ++i) {
        AdmitRequest one = request(i);
        const std::string name = fmt::format("app-{}", i), repo = fmt::format("org/{}", i % 3);
        one.claim = {name, repo, i % 2 == 0 ? "forge-1" : "sandbox-1"};
        admit(one);
    }
    registry.disconnected(4, "", now().wall);
    const auto names = [&](const ListQuery& query) {
        std::string out;
        for (const Resolution& item : registry.list(query, now()).items) out += item.app_name.substr(4);
        return out;
    };
    EXPECT_EQ(names({}), "123456789");
    EXPECT_EQ(names({.network = "forge-1"}), "2468");
    EXPECT_EQ(names({.status = AppStatus::offline}), "4");
    EXPECT_EQ(names({.repo = "org/0"}), "369");
    EXPECT_EQ(names({.network = "sandbox-1", .repo = "org/0"}), "39");
    EXPECT_EQ(names({.network = "none"}), "");

    std::string walked;
    ListQuery query{.limit = 4};
    for (;;) {
        const AppPage page = registry.list(query, now());
        EXPECT_LE(page.items.size(), 4u);
        for (const Resolution& item : page.items) walked += item.app_name.substr(4);
        if (!page.next) break;
        query.after = *page.next;
    }
    EXPECT_EQ(walked, "123456789");
    EXPECT_EQ(registry.list({.limit = 9}, now()).next, std::nullopt);
    EXPECT_EQ(names({.limit = 0}), "1");
}

TEST_F(RegistryViewsTest, TheDetailShowsEveryAgentAndTheLastEvents) {
    admit(request(1));
    for (int i = 0; i < 100; ++i) {
        clock += std::chrono::seconds(30);
        registry.health(1, i % 2 == 1, "", now());
    }
    registry.disconnected(1, "idle_timeout", now().wall);
    const AppDetail detail = registry.detail("myapp", now()).value();
    ASSERT_EQ(detail.events.size(), 50u);
    EXPECT_EQ(detail.events[0].kind, "disconnected");
    EXPECT_EQ(detail.events[0].code, "idle_timeout");
    EXPECT_EQ(detail.events[1].kind, "backend_pass");
    EXPECT_EQ(detail.events[2].kind, "backend_fail");
    ASSERT_EQ(detail.agents.size(), 1u);
    EXPECT_EQ(detail.agents[0].status, AppStatus::offline);
    EXPECT_EQ(detail.agents[0].agent.peer_address, "192.0.2.1:5");
    EXPECT_EQ(detail.agents[0].agent.disconnect_reason, "idle_timeout");
    EXPECT_EQ(detail.record.app_name, "myapp");
}

TEST_F(RegistryViewsTest, RefusalsAreKeptUpToALimit) {
    for (int i = 0; i < 1000; ++i)
        registry.record_refusal({now().wall, i % 2 ? "a" : "b", "", "192.0.2.1:" + std::to_string(i),
                                 "nonce_mismatch", std::to_string(i)});
    EXPECT_EQ(registry.refusals().size(), 500u);
    EXPECT_EQ(registry.refusals().front().detail, "999");
    EXPECT_EQ(registry.counts().apps, 0u);
}

TEST_F(RegistryViewsTest, AStrangersMessagesPushOutNoRefusal) {
    registry.record_refusal({now().wall, "a", "", "192.0.2.1:1", "nonce_mismatch", "told"});
    for (int i = 0; i < 1000; ++i) {
        registry.record_refusal({now().wall, "", "", "192.0.2.9:1", "unexpected_message", ""});
        registry.record_refusal({now().wall, "b", "", "192.0.2.9:2", "bad_json", std::to_string(i)});
    }
    registry.record_refusal({now().wall, "b", "", "192.0.2.9:2", "unexpected_message", ""});
    ASSERT_EQ(registry.refusals().size(), 3u);
    EXPECT_EQ(registry.refusals()[0].code, "unexpected_message");
    EXPECT_EQ(registry.refusals()[1].detail, "999") << "the last";
    EXPECT_EQ(registry.refusals()[2].detail, "told");
}

TEST_F(RegistryViewsTest, TrafficIsCountedByTunnel) {
    admit(request(1));
    registry.traffic_of(1)->requests = 7;
    EXPECT_EQ(registry.agent_of(1)->traffic.requests, 7u);
    EXPECT_EQ(registry.counts().apps, 1u);
    EXPECT_EQ(registry.counts().agents, 1u);
}

}  // namespace
}  // namespace ee::registry

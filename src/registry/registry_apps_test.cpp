#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "base/client_address.h"
#include "registry/registry_fixture.h"

namespace ee::registry {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Tunnels = std::vector<TunnelId>;
using Nodes = std::vector<std::string>;

constexpr ByteArray<32> first_token{1}, second_token{2};

class RegistryAppsTest : public testing::Test, protected RegistryFixture {
protected:
    static AppOrder order(std::string_view name = "myapp") {
        return {.app_name = std::string(name),
                .repo = "org/repo",
                .network = "forge-1",
                .billing_account = {},
                .token = first_token};
    }
    AppMade make(const AppOrder& order) { return registry.make_app(order, now().wall).value(); }
    AdmitRequest of_node(TunnelId tunnel, const std::string& agent_id, const std::string& node) const {
        AdmitRequest out = request(tunnel, agent_id);
        out.node_id = node;
        return out;
    }
    std::string claim(std::string_view repo, std::string_view network, std::string_view node = "") const {
        const auto terms = registry.check_claim({"myapp", repo, network, node}, now().wall);
        return terms ? "" : terms.error().code;
    }
    std::string last_event(std::string_view app = "myapp") const {
        return registry.detail(app, now())->events.front().kind;
    }
    void join(Join join) {
        registry.set_networks(
            {{"forge-1", {"channel", 6h, {}, join}}, {"sandbox-1", {"nonce", 24h, {}, join}}});
    }

    // Of myapp, whose token is the first one.
    void expect_only_its_own_token_is_dropped() {
        registry.drop_token("myapp", second_token);
        EXPECT_EQ(registry.app_of_token(first_token), "myapp");
        EXPECT_EQ(registry.detail("myapp", now())->record.token, first_token);
        registry.drop_token("myapp", first_token);
        EXPECT_EQ(registry.app_of_token(first_token), "");
        EXPECT_TRUE(make(order()).has_new_token);
    }
};

// ---- Names ----

TEST_F(RegistryAppsTest, AReservedNameIsTakenBeforeAnyAgentComes) {
    const AppMade made = make(order());
    EXPECT_TRUE(made.is_new && made.has_new_token && made.record.made_by_admin);
    EXPECT_EQ(made.record.token, first_token);
    EXPECT_EQ(made.record.expires_at, now().wall + std::chrono::days{30});
    EXPECT_EQ(resolve().status, AppStatus::offline);
    EXPECT_EQ(claim("evil/repo", "forge-1"), "app_bound_to_other_repo");
    EXPECT_EQ(claim("org/repo", "sandbox-1"), "app_bound_to_other_network");
    EXPECT_EQ(last_event(), "registered");
    EXPECT_FALSE(admit(request(1)).newly_bound);
    EXPECT_EQ(candidates(), Tunnels{1});
    EXPECT_EQ(registry.detail("myapp", now())->record.token, first_token);
}

TEST_F(RegistryAppsTest, MakingItAgainChangesWhatIsSaidAndNothingElse) {
    AppOrder said = order();
    said.billing_account = "alice";
    make(said);
    admit(request(1));
    const AppRecord before = registry.detail("myapp", now())->record;
    clock += 24h;
    said = order();
    said.token = second_token;
    AppMade again = make(said);
    EXPECT_FALSE(again.is_new || again.has_new_token);
    EXPECT_THAT(again.lost, IsEmpty());
    EXPECT_EQ(again.record, before) << "neither its token nor its end";
    said.billing_account = "bob";
    said.rotate_token = true;
    again = make(said);
    EXPECT_TRUE(again.has_new_token);
    EXPECT_EQ(again.record.billing_account, "bob");
    EXPECT_EQ(registry.app_of_token(second_token), "myapp");
    EXPECT_EQ(registry.app_of_token(first_token), "");
    said.billing_account = "";
    said.rotate_token = false;
    EXPECT_EQ(make(said).record.billing_account, "");
    EXPECT_EQ(registry.tunnels_of("myapp"), Tunnels{1});
}

TEST_F(RegistryAppsTest, AnAppThatAnAgentBoundGetsATokenFromTheAdmin) {
    admit(request(1));
    EXPECT_EQ(registry.app_of_token(first_token), "");
    const AppMade made = make(order());
    EXPECT_FALSE(made.is_new);
    EXPECT_TRUE(made.has_new_token && made.record.made_by_admin);
    EXPECT_EQ(made.record.release_tag, "v1");
    EXPECT_EQ(registry.app_of_token(first_token), "myapp");
    EXPECT_EQ(candidates(), Tunnels{1});
}

TEST_F(RegistryAppsTest, AMoveLosesTheTunnelsAndKeepsTheOwner) {
    AppOrder said = order();
    said.billing_account = "alice";
    make(said);
    admit(of_node(1, "a1", "n1"));
    admit(of_node(2, "a2", "n1"));
    registry.set_nodes("myapp", Nodes{"n1"}, now().wall);
    registry.set_rollout("myapp", {{"v1", 1}}, now().wall);
    clock += 24h;
    said = order();
    said.repo = "org/new";
    const AppMade moved = make(said);
    EXPECT_FALSE(moved.is_new || moved.has_new_token);
    EXPECT_THAT(moved.lost, ElementsAre(1, 2));
    EXPECT_EQ(candidates(), Tunnels{});
    EXPECT_EQ(registry.agent_of(1), nullptr);
    EXPECT_EQ(registry.counts().agents, 0u);
    EXPECT_THAT(registry.detail("myapp", now())->agents, IsEmpty());
    EXPECT_EQ(last_event(), "moved");
    EXPECT_EQ(moved.record.billing_account, "alice");
    EXPECT_EQ(moved.record.token, first_token);
    EXPECT_EQ(moved.record.nodes, Nodes{"n1"});
    EXPECT_THAT(moved.record.rollout, IsEmpty()) << "its releases are the other repo's";
    EXPECT_EQ(moved.record.release_tag, "");
    EXPECT_FALSE(moved.record.last_attest);
    EXPECT_EQ(moved.record.expires_at, now().wall + std::chrono::days{30});
    EXPECT_EQ(claim("org/repo", "forge-1"), "app_bound_to_other_repo");
    EXPECT_EQ(claim("org/new", "forge-1", "n1"), "");
    // What the lost tunnels do from here on is nothing to the app.
    registry.disconnected(1, "closed", now().wall);
    registry.health(2, true, "", now());
    EXPECT_EQ(resolve().status, AppStatus::offline);
    said.network = "sandbox-1";
    EXPECT_EQ(make(said).record.network, "sandbox-1");
    said.network = "nowhere";
    EXPECT_EQ(registry.make_app(said, now().wall).error().code, "invalid_network");
}

TEST_F(RegistryAppsTest, ANameThatIsFreeAgainIsNewAndOfNobodyBefore) {
    AppOrder said = order();
    said.billing_account = "alice";
    make(said);
    EXPECT_EQ(last_event(), "registered") << "who pays for what is new is no change";
    registry.set_nodes("myapp", Nodes{"n1"}, now().wall);
    clock += std::chrono::days{30 + 90};
    said.repo = "org/new";
    said.token = second_token;
    said.billing_account.reset();
    const AppMade made = make(said);
    EXPECT_TRUE(made.is_new && made.has_new_token);
    EXPECT_EQ(made.record.billing_account, "");
    EXPECT_FALSE(made.record.nodes);
    EXPECT_EQ(registry.app_of_token(first_token), "");
    // And of an agent that binds it: the owner before has no say.
    clock += std::chrono::days{30 + 90};
    EXPECT_TRUE(admit(request(1)).newly_bound);
    EXPECT_EQ(registry.app_of_token(second_token), "");
    EXPECT_FALSE(registry.detail("myapp", now())->record.made_by_admin);
}

TEST_F(RegistryAppsTest, AFreeNameIsStillThatOfTheSameClaimAndOfNoOther) {
    make(order());
    clock += std::chrono::days{30 + 90};
    EXPECT_EQ(claim("org/repo", "sandbox-1"), "");
    AdmitRequest bare = request(1);
    bare.has_allowlist = false;
    bare.claim.network = "sandbox-1";
    EXPECT_EQ(refused(bare), "allowlist_missing") << "it was made for another network";
    bare.claim.network = "forge-1";
    EXPECT_EQ(refused(bare), "") << "it was made for this one";
    clock += std::chrono::days{30 + 90};
    AdmitRequest elsewhere = request(2, "a2");
    elsewhere.claim.network = "sandbox-1";
    EXPECT_TRUE(admit(elsewhere).newly_bound);
    EXPECT_EQ(resolve().network, "sandbox-1");
}

TEST_F(RegistryAppsTest, MakingANameOnceIsOneEvent) {
    make(order());
    EXPECT_EQ(registry.detail("myapp", now())->events.size(), 1u);
}

TEST_F(RegistryAppsTest, WhoPaysIsAnEventWhereThatChanges) {
    const auto newest = [&] {
        const Event event = registry.detail("myapp", now())->events.front();
        return event.kind + ": " + event.detail;
    };
    AppOrder paid = order();
    paid.billing_account = "alice";
    make(paid);
    const std::size_t before = registry.detail("myapp", now())->events.size();
    make(paid);
    EXPECT_EQ(registry.detail("myapp", now())->events.size(), before);
    paid.billing_account = "bob";
    make(paid);
    EXPECT_EQ(newest(), "billing_changed: bob pays");
    paid.billing_account = "";
    make(paid);
    EXPECT_EQ(newest(), "billing_changed: nobody pays");
}

TEST_F(RegistryAppsTest, ATunnelThatIsAdmittedAgainIsNotAskedAboutItself) {
    admit(request(1));
    EXPECT_EQ(refused(request(1)), "");
    EXPECT_EQ(candidates(), Tunnels{1});
    EXPECT_THAT(admit(request(1)).superseded, IsEmpty());
}

TEST_F(RegistryAppsTest, ATokenThatNobodyWasToldIsDroppedAndNoOther) {
    make(order());
    registry.drop_token("nobody", first_token);
    expect_only_its_own_token_is_dropped();
}

TEST_F(RegistryAppsTest, AForgottenAppHasNoTokenAndItsNameIsFree) {
    make(order());
    admit(request(1));
    EXPECT_EQ(registry.forget("myapp", now().wall), Tunnels{1});
    EXPECT_EQ(registry.app_of_token(first_token), "");
    EXPECT_EQ(registry.agent_of(1), nullptr);
    EXPECT_EQ(claim("evil/repo", "sandbox-1"), "");
    EXPECT_TRUE(make(order()).is_new);
    expect_only_its_own_token_is_dropped();
}

TEST_F(RegistryAppsTest, WhatWasLoadedIsInForce) {
    AppRecord record{.app_name = "myapp",
                     .repo = "org/repo",
                     .network = "forge-1",
                     .expires_at = now().wall + 24h,
                     .made_by_admin = true,
                     .token = first_token,
                     .nodes = Nodes{"n1"},
                     .rollout = {{"v2", 1}}};
    registry.load({&record, 1});
    EXPECT_EQ(registry.app_of_token(first_token), "myapp");
    EXPECT_EQ(refused(request(1)), "join_not_allowed");
    admit(of_node(1, "a1", "n1"));
    EXPECT_EQ(status(), AppStatus::draining) << "v1 is not in the rollout";
}

// ---- Room for names ----

class RoomForNamesTest : public RegistryAppsTest {
protected:
    void limit(std::size_t apps, std::size_t per_address) {
        RegistrySettings settings;
        settings.apps_max = apps;
        settings.new_apps_per_address_max = per_address;
        few.emplace(settings, NetworkTable{{"forge-1", {"channel", 6h}}});
    }
    // The code of its refusal; empty: it has bound the name, or had it.
    std::string bind(const std::string& name, const char* address = "192.0.2.1") {
        AdmitRequest asks = request(++tunnel, "a");
        asks.claim.app_name = name;
        asks.client = client_address(*IpAddress::parse(address));
        AdmitOutcome outcome = few->admit(asks, now());
        if (const auto* error = std::get_if<Error>(&outcome)) return error->code;
        forgotten = std::get<Admitted>(outcome).forgotten;
        few->disconnected(tunnel, "", now().wall);
        return "";
    }
    std::optional<Registry> few;
    TunnelId tunnel = 0;
    std::vector<std::string> forgotten;
};

TEST_F(RoomForNamesTest, AgentsOfOneAddressBindSoManyNewNamesWithinAnHour) {
    limit(100, 2);
    EXPECT_EQ(bind("a", "2001:db8::1"), "");
    EXPECT_EQ(bind("b", "2001:db8::2"), "");
    EXPECT_EQ(bind("c", "2001:db8::ffff:3"), "too_many_new_apps");
    EXPECT_EQ(few->resolve("c", now()), std::nullopt);
    EXPECT_EQ(bind("a", "2001:db8::1"), "") << "a name that is bound is no new one";
    EXPECT_EQ(bind("c", "2001:db8:0:1::1"), "") << "others have their own hour";
    clock += 59min;
    EXPECT_EQ(bind("d", "2001:db8::1"), "too_many_new_apps");
    clock += 1min;
    EXPECT_EQ(bind("d", "2001:db8::1"), "");
    EXPECT_EQ(bind("e", "2001:db8::1"), "");
    EXPECT_EQ(bind("f", "2001:db8::1"), "too_many_new_apps");
}

TEST_F(RoomForNamesTest, BeyondTheLimitOnlyAdminsReserveNames) {
    limit(2, 100);
    EXPECT_EQ(bind("a"), "");
    EXPECT_EQ(bind("b"), "");
    EXPECT_EQ(bind("c"), "too_many_apps");
    EXPECT_TRUE(few->make_app(order("c"), now().wall));
    EXPECT_EQ(bind("c"), "");
    EXPECT_EQ(bind("d"), "too_many_apps");
    few->forget("a", now().wall);
    few->forget("b", now().wall);
    EXPECT_EQ(bind("d"), "");
    EXPECT_EQ(bind("e"), "too_many_apps");
}

TEST_F(RoomForNamesTest, NamesWhoseReservationHasEndedMakeRoom) {
    limit(3, 100);
    EXPECT_TRUE(few->make_app(order("kept"), now().wall));
    EXPECT_EQ(bind("a"), "");
    EXPECT_EQ(bind("b"), "");
    clock += std::chrono::days{120} - 2min;
    EXPECT_EQ(bind("b"), "");  // Renewed.
    EXPECT_EQ(bind("c"), "too_many_apps");
    clock += 2min;
    EXPECT_EQ(bind("c"), "");
    EXPECT_THAT(forgotten, ElementsAre("a"));
    EXPECT_TRUE(few->resolve("kept", now())) << "what an admin has made ends with DELETE";
    EXPECT_TRUE(few->resolve("b", now()));
    EXPECT_EQ(bind("d"), "too_many_apps");
}

TEST_F(RoomForNamesTest, WhereThereIsRoomNoNameIsGivenUp) {
    limit(3, 100);
    EXPECT_EQ(bind("a"), "");
    clock += std::chrono::days{121};
    EXPECT_EQ(bind("b"), "");
    EXPECT_EQ(bind("c"), "");
    EXPECT_THAT(forgotten, ElementsAre());
    EXPECT_TRUE(few->resolve("a", now()));
    // They have not been looked at either: that is due as soon as there is none.
    EXPECT_EQ(bind("d"), "");
    EXPECT_THAT(forgotten, ElementsAre("a"));
}

TEST_F(RoomForNamesTest, NorWhereThatWouldMakeNone) {
    limit(1, 100);
    EXPECT_EQ(bind("a"), "");
    EXPECT_TRUE(few->make_app(order("kept"), now().wall));
    clock += std::chrono::days{121};
    EXPECT_EQ(bind("b"), "too_many_apps");
    EXPECT_TRUE(few->resolve("a", now())) << "it is in the store, too";
}

TEST_F(RoomForNamesTest, NamesAreGivenUpAThousandAtOnce) {
    limit(1500, 10'000);
    for (int i = 0; i < 1500; ++i) ASSERT_EQ(bind(std::to_string(i)), "");
    clock += std::chrono::days{121};
    EXPECT_EQ(bind("new"), "");
    EXPECT_EQ(forgotten.size(), 1000u);
    for (int i = 1; i < 1000; ++i) ASSERT_EQ(bind("new" + std::to_string(i)), "");
    EXPECT_EQ(bind("more"), "too_many_apps") << "all names are looked at once a minute";
    clock += 1min;
    EXPECT_EQ(bind("more"), "");
    EXPECT_EQ(forgotten.size(), 500u);
}

TEST_F(RoomForNamesTest, WhatIsBeyondTheLimitIsGivenUpToo) {
    limit(1500, 10'000);
    for (int i = 0; i < 1500; ++i) ASSERT_EQ(bind(std::to_string(i)), "");
    for (int i = 0; i < 1200; ++i) ASSERT_TRUE(few->make_app(order("kept" + std::to_string(i)), now().wall));
    clock += std::chrono::days{121};
    EXPECT_EQ(bind("new"), "") << "a thousand would make no room";
    EXPECT_EQ(forgotten.size(), 1500u);
}

TEST_F(RoomForNamesTest, WhoeverStillServesKeepsTheName) {
    limit(1, 100);
    AdmitRequest stays = request(++tunnel, "a");
    stays.claim.app_name = "served";
    few->admit(stays, now());
    clock += std::chrono::days{121};
    EXPECT_EQ(bind("c"), "too_many_apps");
    few->disconnected(1, "", now().wall);
    EXPECT_EQ(bind("c"), "too_many_apps") << "all names are looked at once a minute";
    clock += 1min;
    EXPECT_EQ(bind("c"), "");
    EXPECT_THAT(forgotten, ElementsAre("served"));
}

// ---- Who may serve ----

TEST_F(RegistryAppsTest, JoinPoliciesSayWhoMayServe) {
    using enum Join;
    struct Row {
        Join join;
        std::optional<Nodes> nodes;
        const char* node;
        const char* refusal;
    };
    const Row rows[] = {{open, {}, "", ""},
                        {open, {}, "n1", ""},
                        {node, {}, "", "join_not_allowed"},
                        {node, {}, "n1", ""},
                        {listed, {}, "", "join_not_allowed"},
                        {listed, {}, "n1", "join_not_allowed"},
                        {open, Nodes{"n1"}, "", "join_not_allowed"},
                        {open, Nodes{"n1"}, "n1", ""},
                        {open, Nodes{"n1"}, "n11", "join_not_allowed"},
                        {open, Nodes{"n2", "n1", "n0", "n1"}, "n1", ""},
                        {open, Nodes{"n2", "n1", "n0", "n1"}, "n3", "join_not_allowed"},
                        {open, Nodes{}, "n1", "join_not_allowed"},
                        {open, Nodes{}, "", "join_not_allowed"},
                        {node, Nodes{"n1"}, "n1", ""},
                        {node, Nodes{"n1"}, "n2", "join_not_allowed"},
                        {listed, Nodes{"n1"}, "n1", ""},
                        {listed, Nodes{"n1"}, "n2", "join_not_allowed"}};
    make(order());
    TunnelId tunnel = 0;
    for (const Row& row : rows) {
        const std::string what = testing::PrintToString(row.nodes) + row.node;
        join(row.join);
        registry.set_nodes("myapp", row.nodes, now().wall);
        EXPECT_EQ(claim("org/repo", "forge-1", row.node), row.refusal) << what;
        AdmitRequest one = request(++tunnel);
        if (*row.node != 0) one.node_id = row.node;
        EXPECT_EQ(refused(one), row.refusal) << what;
        if (registry.agent_of(tunnel) != nullptr) registry.disconnected(tunnel, "", now().wall);
    }
}

TEST_F(RegistryAppsTest, WhoServesAndNoLongerMayIsFound) {
    admit(request(1, "a1"));
    admit(of_node(2, "a2", "n1"));
    admit(of_node(3, "a3", "n2"));
    const auto unwelcome = [&] {
        Tunnels out;
        for (TunnelId tunnel = 1; tunnel <= 4; ++tunnel)
            if (!registry.may_stay(tunnel)) out.push_back(tunnel);
        return out;
    };
    EXPECT_EQ(unwelcome(), Tunnels{});
    join(Join::node);
    EXPECT_EQ(unwelcome(), Tunnels{1});
    join(Join::open);
    registry.set_nodes("myapp", Nodes{"n2"}, now().wall);
    EXPECT_EQ(unwelcome(), (Tunnels{1, 2}));
    EXPECT_EQ(registry.may_stay(2).error().code, "join_not_allowed");
    registry.set_nodes("myapp", Nodes{}, now().wall);
    EXPECT_EQ(unwelcome(), (Tunnels{1, 2, 3}));
    EXPECT_EQ(last_event(), "nodes_changed");
    registry.set_nodes("myapp", std::nullopt, now().wall);
    EXPECT_EQ(unwelcome(), Tunnels{});
    EXPECT_FALSE(registry.set_nodes("nobody", Nodes{}, now().wall));
}

TEST_F(RegistryAppsTest, WithoutAnAllowlistOnlyAppsOfTheAdminAreServed) {
    AdmitRequest bare = request(1);
    bare.has_allowlist = false;
    EXPECT_EQ(refused(bare), "allowlist_missing");
    EXPECT_FALSE(registry.status("myapp", now())) << "nothing was bound";
    admit(request(2, "a2"));
    EXPECT_EQ(refused(bare), "allowlist_missing") << "an agent made it";
    make(order());
    EXPECT_EQ(refused(bare), "");
    EXPECT_EQ(candidates(), (Tunnels{2, 1}));
    clock += std::chrono::days{30 + 90};
    bare.claim.repo = "org/other";
    bare.tunnel = 3;
    EXPECT_EQ(refused(bare), "allowlist_missing") << "the name is free, and was made for another repo";
}

// ---- Rollout ----

TEST_F(RegistryAppsTest, ReleasesWithoutAWeightAreLeftOut) {
    for (TunnelId tunnel = 1; tunnel <= 3; ++tunnel) {
        AdmitRequest one = request(tunnel, fmt::format("a{}", tunnel));
        one.release_tag = fmt::format("v{}", tunnel);
        admit(one);
    }
    EXPECT_EQ(registry.agent_of(1)->rollout_place, no_rollout_place);
    registry.set_rollout("myapp", {{"v2", 90}, {"v1", 10}}, now().wall);
    EXPECT_EQ(candidates(), (Tunnels{1, 2}));
    EXPECT_EQ(registry.agent_of(1)->rollout_place, 1u);
    EXPECT_EQ(registry.agent_of(2)->rollout_place, 0u);
    EXPECT_EQ(last_event(), "rollout_changed");
    // One that comes later, too.
    AdmitRequest later = request(4, "a4");
    later.release_tag = "v2";
    admit(later);
    EXPECT_EQ(registry.agent_of(4)->rollout_place, 0u);
    registry.set_rollout("myapp", {{"v3", 1}, {"v1", 0}}, now().wall);
    EXPECT_EQ(candidates(), Tunnels{3});
    registry.disconnected(3, "", now().wall);
    EXPECT_EQ(candidates(), Tunnels{});
    EXPECT_EQ(resolve().status, AppStatus::draining);
    EXPECT_FALSE(resolve().allowed);
    EXPECT_EQ(status(), AppStatus::draining);
    registry.set_rollout("myapp", {}, now().wall);
    EXPECT_EQ(candidates(), (Tunnels{1, 2, 4}));
    EXPECT_EQ(registry.agent_of(1)->rollout_place, no_rollout_place);
    EXPECT_FALSE(registry.set_rollout("nobody", {}, now().wall));
    EXPECT_THAT(registry.rollout_of("nobody"), IsEmpty());
}

TEST_F(RegistryAppsTest, SharesCountTheAgentsThatCouldServe) {
    for (TunnelId tunnel = 1; tunnel <= 4; ++tunnel) {
        AdmitRequest one = request(tunnel, fmt::format("a{}", tunnel));
        one.release_tag = tunnel == 4 ? "v2" : "v1";
        admit(one);
    }
    registry.health(3, false, "", now());
    const auto shares = [&] {
        std::vector<std::string> out;
        const AppDetail detail = registry.detail("myapp", now()).value();
        for (const ReleaseShare& share : detail.releases)
            out.push_back(fmt::format("{} {} {}", share.release_tag,
                                      share.weight ? std::to_string(*share.weight) : "-",
                                      share.eligible_agents));
        return out;
    };
    EXPECT_THAT(shares(), ElementsAre("v1 - 2", "v2 - 1"));
    registry.set_rollout("myapp", {{"v3", 5}, {"v2", 7}}, now().wall);
    EXPECT_THAT(shares(), ElementsAre("v1 0 2", "v2 7 1", "v3 5 0"));
    registry.drain(4, "draining", now().wall);
    EXPECT_THAT(shares(), ElementsAre("v1 0 2", "v2 7 0", "v3 5 0"));
    registry.disconnected(4, "", now().wall);
    EXPECT_THAT(shares(), ElementsAre("v1 0 2", "v2 7 0", "v3 5 0"));
    // Nobody serves an app whose registration has ended.
    registry.attested(1, verdict(now()), now());
    clock += std::chrono::days{30};
    AttestedVerdict unrenewed = verdict(now());
    unrenewed.renews_registration = false;
    registry.attested(1, unrenewed, now());
    registry.attested(2, unrenewed, now());
    EXPECT_THAT(shares(), ElementsAre("v1 0 0", "v2 7 0", "v3 5 0"));
}

}  // namespace
}  // namespace ee::registry

// What is told though nobody has called, or by whoever routes: once each, and never so often that it pushes
// out the rest.

#include <gtest/gtest.h>

#include "registry/registry_fixture.h"

namespace ee::registry {
namespace {

class RegistryLapsesTest : public testing::Test, protected RegistryFixture {};

TEST_F(RegistryLapsesTest, ARegistrationThatEndedBeforeTheFirstLookIsToldNonetheless) {
    Told sink;
    registry.tell(sink);
    admit(request(1));
    ASSERT_TRUE(
        registry.make_app({.app_name = "another", .repo = "org/repo", .network = "sandbox-1"}, now().wall));
    clock += std::chrono::days{31};
    sink.told.clear();
    registry.note_lapses(now(), 1000);
    EXPECT_EQ(std::count_if(sink.told.begin(), sink.told.end(),
                            [](const auto& event) { return event.kind == "registration_expired"; }),
              2);
}

TEST_F(RegistryLapsesTest, AppsAndAgentsAreCountedByStatusOnceAllWereLookedAt) {
    using namespace std::chrono_literals;
    admit(request(1));
    admit(request(2, "a2"));
    for (const char* name : {"b", "c", "d"})
        ASSERT_TRUE(
            registry.make_app({.app_name = name, .repo = "org/repo", .network = "sandbox-1"}, now().wall));
    registry.health(2, false, "down", now());
    const auto counted = [&](AppStatus status) {
        const auto place = static_cast<std::size_t>(status);
        return fmt::format("{} apps, {} agents", registry.status_counts().apps[place],
                           registry.status_counts().agents[place]);
    };
    registry.note_lapses(now(), 1);
    EXPECT_EQ(counted(AppStatus::active), "0 apps, 0 agents") << "not all were looked at";
    registry.note_lapses(now(), 1000);
    registry.note_lapses(now(), 1000);
    EXPECT_EQ(counted(AppStatus::active), "1 apps, 1 agents");
    EXPECT_EQ(counted(AppStatus::unhealthy), "0 apps, 1 agents");
    EXPECT_EQ(counted(AppStatus::offline), "3 apps, 0 agents");
    clock += 121s;
    registry.note_lapses(now(), 1000);
    EXPECT_EQ(counted(AppStatus::active), "0 apps, 0 agents");
    EXPECT_EQ(counted(AppStatus::unhealthy), "1 apps, 2 agents");
}

TEST_F(RegistryLapsesTest, WhatTimeAloneChangesIsToldOnce) {
    using namespace std::chrono_literals;
    Told sink;
    registry.tell(sink);
    admit(request(1));
    const auto look = [&] {
        sink.told.clear();
        registry.note_lapses(now(), 1000);
        std::string kinds;
        for (const events::Event& event : sink.told) {
            EXPECT_TRUE(events::is_kind(event.kind));
            kinds.append(event.kind).append(" ");
        }
        return kinds;
    };
    EXPECT_EQ(look(), "");
    clock += 121s;
    EXPECT_EQ(look(), "health_silent ");
    EXPECT_EQ(look(), "");
    // What it says next is news, though it is what it said last.
    sink.told.clear();
    registry.health(1, true, "", now());
    ASSERT_EQ(sink.told.size(), 1u);
    EXPECT_EQ(sink.told[0].kind, "backend_pass");
    EXPECT_EQ(look(), "");
    clock += 3600s;
    EXPECT_EQ(look(), "health_silent evidence_lapsed ");
    EXPECT_EQ(look(), "");
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(look(), "");
    clock += 27 * 24h;
    EXPECT_EQ(look(), "registration_warning health_silent evidence_lapsed ");
    clock += 3 * 24h;
    EXPECT_EQ(look(), "registration_expired ");
    EXPECT_EQ(look(), "");
    // A clock that steps back does not.
    clock -= 24h;
    EXPECT_EQ(look(), "");
    clock += 24h;
    EXPECT_EQ(look(), "registration_expired ");
    // An attestation renews it.
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(look(), "registration_renewed ");
    EXPECT_EQ(look(), "");
    clock += 30 * 24h;
    EXPECT_EQ(look(), "registration_expired health_silent evidence_lapsed ");
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(look(), "registration_renewed ");
    clock += 28 * 24h;
    EXPECT_EQ(look(), "registration_warning health_silent evidence_lapsed ");
    registry.attested(1, verdict(now()), now());
    EXPECT_EQ(look(), "registration_renewed ");
}

TEST_F(RegistryLapsesTest, WhatHadLapsedBeforeTheStartIsNotTold) {
    Told sink;
    registry.tell(sink);
    const AppRecord record{.app_name = "old", .expires_at = now().wall - std::chrono::hours(1)};
    registry.load({&record, 1});
    registry.note_lapses(now(), 1000);
    EXPECT_TRUE(sink.told.empty());
}

TEST_F(RegistryLapsesTest, AnAgentThatFlapsPushesNobodyOut) {
    Told sink;
    registry.tell(sink);
    admit(request(1));
    const std::size_t before = sink.told.size();
    for (int i = 0; i < 1001; ++i) registry.health(1, i % 2 == 1, "", now());
    EXPECT_EQ(sink.told.size(), before + 10);
    EXPECT_EQ(sink.told.back().kind, "backend_pass");
    // It counts for routing at once, and is told when it may be.
    EXPECT_EQ(status(), AppStatus::unhealthy);
    clock += std::chrono::seconds(10);
    registry.health(1, false, "", now());
    EXPECT_EQ(sink.told.size(), before + 11);
    EXPECT_EQ(sink.told.back().kind, "backend_fail");
    registry.health(1, false, "", now());
    EXPECT_EQ(sink.told.size(), before + 11);
    // After a while it may change as often as before.
    clock += std::chrono::hours(1);
    for (int i = 1; i < 1001; ++i) registry.health(1, i % 2 == 1, "", now());
    EXPECT_EQ(sink.told.size(), before + 21);
}

TEST_F(RegistryLapsesTest, WhatRoutingLeavesOutIsToldOnceAndIsOfTheAgentNotItsTunnel) {
    Told sink;
    admit(request(1));
    registry.tell(sink);
    registry.ejected("nobody", "a1", "tunnel_closed", std::chrono::seconds(10), now());
    registry.ejected("myapp", "a9", "tunnel_closed", std::chrono::seconds(10), now());
    registry.readmitted("nobody", "a1", now());
    registry.readmitted("myapp", "a9", now());
    registry.readmitted("myapp", "a1", now());
    EXPECT_TRUE(sink.told.empty());
    registry.ejected("myapp", "a1", "tunnel_closed", std::chrono::seconds(10), now());
    registry.ejected("myapp", "a1", "tunnel_closed", std::chrono::seconds(20), now());
    ASSERT_EQ(sink.told.size(), 1u);
    EXPECT_EQ(sink.told[0].kind, "ejected");
    EXPECT_EQ(sink.told[0].agent_id, "a1");
    EXPECT_EQ(sink.told[0].code, "tunnel_closed");
    EXPECT_EQ(sink.told[0].detail, "until 2026-01-15T00:00:10Z, then it is tried again");
    registry.disconnected(1, "", now().wall);
    admit(request(2));
    sink.told.clear();
    registry.readmitted("myapp", "a1", now());
    registry.readmitted("myapp", "a1", now());
    ASSERT_EQ(sink.told.size(), 1u);
    EXPECT_EQ(sink.told[0].kind, "readmitted");
    // However often that changes, it pushes nobody out.
    for (int i = 0; i < 1000; ++i) {
        registry.ejected("myapp", "a1", "tunnel_closed", std::chrono::seconds(10), now());
        registry.readmitted("myapp", "a1", now());
    }
    EXPECT_LE(sink.told.size(), 10u);
    for (const events::Event& event : sink.told) EXPECT_TRUE(events::is_kind(event.kind));
}

}  // namespace
}  // namespace ee::registry

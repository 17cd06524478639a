#include "ledger/kept_evidence.h"

#include <gtest/gtest.h>

#include "ledger/locks.h"
#include "ledger/test_books.h"
#include "ledger/test_ledger.h"

namespace ee::ledger {
namespace {

// alice has locks on apps of n1 that nobody runs; what is observed of n1 touches all of them.
struct KeptEvidence : testing::Test {
    KeptEvidence() {
        ledger.open_everything();
        cell = ledger.cell();
    }
    UnitName unit(const std::string& app) const { return {.cell = cell, .node = "n1", .app = app}; }
    Unit kept(const std::string& app) const { return find_unit(Batch(ledger.store), unit(app)).value(); }
    std::string bundle(const std::string& app) const { return evidence_json(Batch(ledger.store), kept(app)); }
    void lock(const std::string& app) {
        TakeLock command{.account = "alice", .node = "n1", .app = app, .period = cell};
        command.amount = Money(1);
        EXPECT_TRUE(ledger.holder("alice", command));
    }
    void observe(const std::string& id, const std::string& app = "", std::size_t url_bytes = 2000,
                 const std::string& in_url = "") {
        Observation seen{.type = ObservationType::health_pass,
                         .app = app,
                         .from = LedgerTime{cell.start},
                         .to = LedgerTime{cell.start} + std::chrono::minutes(4),
                         .evidence_url = "https://" + in_url + std::string(url_bytes, 'x')};
        ASSERT_TRUE(
            ledger.as({.role = Role::uptime}, Observe{.node = "n1", .event_id = id, .observation = seen}));
    }
    void finalize() {
        ledger.now = std::max(ledger.now + std::chrono::minutes(1), LedgerTime{cell.end});
        ASSERT_TRUE(ledger.admin(Finalize{.period = cell}));
        EXPECT_EQ(broken(), "");
    }
    std::string broken() {
        std::string out;
        for (const std::string& what : books.look(ledger.store)) out += what + "\n";
        return out;
    }
    std::size_t count(Table table) const {
        std::size_t found = 0;
        ledger.store.scan(table, "", [&](std::string_view, std::string_view) { return ++found > 0; });
        return found;
    }
    std::size_t bytes_of_units() const {
        std::size_t sum = 0;
        for (const Table table : {Table::units, Table::observation_lists, Table::observation_list_names})
            ledger.store.scan(table, "", [&](std::string_view key, std::string_view record) {
                sum += key.size() + record.size();
                return true;
            });
        return sum;
    }

    TestLedger ledger;
    Period cell{};
    BooksCheck books;
};

// Each unit costs a lock of a millionth of a dollar that comes back.
TEST_F(KeptEvidence, WhatIsObservedOfANodeIsKeptOnceForAllItsUnits) {
    constexpr int apps = 100;
    for (int i = 0; i < apps; ++i) lock("app" + std::to_string(i));
    for (int i = 0; i < 60; ++i) observe("event" + std::to_string(i));
    finalize();
    EXPECT_EQ(count(Table::observation_lists), 1u);
    const std::string one = bundle("app7");
    EXPECT_GT(one.size(), 120'000u);
    EXPECT_LT(bytes_of_units(), one.size() + apps * 2000);
    // Shown, and proven, is all of it.
    const auto evidence = evidence_from_json(one);
    ASSERT_TRUE(evidence) << evidence.error().detail;
    EXPECT_EQ(evidence->observations.size(), 60u);
    EXPECT_EQ(to_json(*evidence), one);
    EXPECT_EQ(evidence_digest(kept("app7")), crypto::sha256(as_bytes(one)));
    EXPECT_NE(bundle("app8"), one);
}

TEST_F(KeptEvidence, AFewObservationsStayWithTheUnit) {
    lock("shop");
    observe("e", "", 10);
    finalize();
    EXPECT_EQ(count(Table::observation_lists), 0u);
    EXPECT_NE(bundle("shop").find(R"("event_id":"e")"), std::string::npos);
    EXPECT_EQ(bundle("shop"), kept("shop").own_evidence);
}

TEST_F(KeptEvidence, AListGoesWhenNoUnitNamesItAnyMore) {
    lock("one");
    lock("two");
    // Inconclusive: a slot that somebody should have seen and nobody did.
    for (const char* app : {"one", "two"}) {
        RecordSlots slots = ledger.passing("n1", app, "a");
        slots.seen[0].slot.challenges_inconclusive = 1;
        ASSERT_TRUE(ledger.server(slots));
    }
    observe("e1");
    finalize();
    ASSERT_EQ(kept("one").outcome, Outcome::inconclusive);
    EXPECT_EQ(count(Table::observation_lists), 1u);
    const std::string before = bundle("one");
    finalize();
    EXPECT_EQ(bundle("one"), before) << "nothing new, nothing written";
    // Of one alone: the other keeps what it had.
    observe("e2", "one");
    finalize();
    EXPECT_EQ(count(Table::observation_lists), 2u);
    EXPECT_NE(bundle("one").find("e2"), std::string::npos);
    EXPECT_EQ(bundle("two").find("e2"), std::string::npos);
    // Of both: what each had goes.
    observe("e3");
    finalize();
    EXPECT_EQ(count(Table::observation_lists), 2u);
    // What is decided keeps what it was decided by, however little else does.
    ASSERT_TRUE(ledger.admin(
        Resolve{.period = cell, .node = "n1", .app = "one", .pass = true, .reason = "seen by hand"}));
    observe("e4");
    finalize();
    EXPECT_EQ(count(Table::observation_lists), 2u);
    EXPECT_EQ(evidence_from_json(bundle("one")).value().observations.size(), 3u);
    EXPECT_EQ(evidence_from_json(bundle("two")).value().observations.size(), 3u);
}

TEST_F(KeptEvidence, TextsThatLookLikeMembersMisleadNobody) {
    lock("shop");
    observe("a", "", 300, R"("observations":[],"outages":)");
    ledger.now = LedgerTime{cell.end};
    ASSERT_TRUE(ledger.server(RecordOutage{.outage = {.from = LedgerTime{cell.start},
                                                      .to = LedgerTime{cell.end},
                                                      .cause = R"(,"outages":[])"}}));
    finalize();
    EXPECT_TRUE(kept("shop").observation_list);
    const auto evidence = evidence_from_json(bundle("shop"));
    ASSERT_TRUE(evidence) << evidence.error().detail;
    EXPECT_EQ(to_json(*evidence), bundle("shop"));
}

// As units were kept before there were lists apart.
TEST_F(KeptEvidence, AUnitFromBeforeShowsWhatItHas) {
    Unit unit{.outcome = Outcome::fail};
    unit.own_evidence = R"({"observations":[{"event_id":"e"}],"outages":[]})";
    const Unit read = Unit::decode(unit.encode());
    EXPECT_FALSE(read.evidence_sha256);
    EXPECT_EQ(evidence_json(Batch(ledger.store), read), unit.own_evidence);
    EXPECT_EQ(evidence_digest(read), crypto::sha256(as_bytes(unit.own_evidence)));
    EXPECT_EQ(evidence_digest(Unit{}), std::nullopt);
}

TEST_F(KeptEvidence, ALostListIsDamage) {
    lock("shop");
    observe("e");
    finalize();
    ledger.put(Table::observation_lists, std::string(as_text(*kept("shop").observation_list)), std::nullopt);
    EXPECT_THROW(bundle("shop"), DamagedRecord);
    EXPECT_THROW(broken(), DamagedRecord);
}

TEST_F(KeptEvidence, ALostCountOfUnitsIsDamage) {
    lock("shop");
    RecordSlots slots = ledger.passing("n1", "shop", "a");
    slots.seen[0].slot.challenges_inconclusive = 1;
    ASSERT_TRUE(ledger.server(slots));
    observe("e1");
    finalize();
    ASSERT_EQ(kept("shop").outcome, Outcome::inconclusive);
    ledger.put(Table::observation_list_names, std::string(as_text(*kept("shop").observation_list)),
               std::nullopt);
    observe("e2");
    EXPECT_THROW(static_cast<void>(ledger.admin(Finalize{.period = cell})), DamagedRecord);
}

TEST_F(KeptEvidence, ABundleThatHasNoPlaceForItsListIsDamage) {
    lock("shop");
    observe("e");
    finalize();
    for (const char* bundle :
         {R"({"node_id":"a-long-name-of-a-node","outages":[]})", R"({"observations":[]})",
          R"({"node_id":"n1","outages":[],"observations":[]})", ""}) {
        Unit unit = kept("shop");
        unit.own_evidence = bundle;
        EXPECT_THROW(evidence_json(Batch(ledger.store), unit), DamagedRecord) << bundle;
    }
}

}  // namespace
}  // namespace ee::ledger

// Evidence: what is recorded, how it comes together, the bundle and its way back, and that judging is
// monotone (invariant P6).

#include <random>

#include <gtest/gtest.h>

#include "ledger/outcome.h"
#include "ledger/test_ledger.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

constexpr std::string_view world = R"(
    open alice
    buy alice 100
    node n1 cpus=8 price=1 stake=10
    lock alice n1/a 14h 2h
    clock 14:30
)";

void run_in_world(std::string_view table) {
    Script script;
    script.run(world);
    script.run(table);
}

TEST(EvidenceRules, WhoMayRecordWhat) {
    run_in_world(R"(
        see n1 e health_pass 14:00 14:01 by=admin  => forbidden
        see n1 e health_pass 14:00 14:01 by=n1     => forbidden
        see n1 e health_pass 14:00 14:01           => ok
        see n1 e health_pass 14:00 14:01           => replayed       # once
        see n1 e health_miss 14:00 14:01           => event_conflict
        see n1 e health_pass 14:00 14:02           => event_conflict
        see n9 e health_pass 14:00 14:01           => unknown_node
        see n1 f health_pass 14:01 14:01           => invalid_field:to
        see n1 f health_pass 14:01 14:00           => invalid_field:to
        see n1 f health_pass 08T14:00 14:01        => invalid_field:to
        see n1 f health_pass 08T14:00 14:00        => ok             # exactly 24 h
        see n1 g health_pass 14:30 14:36           => invalid_field:to
        see n1 g health_pass 10T14:30 10T14:31     => invalid_field:to
        see n1 g health_pass 14:30 14:35           => ok             # clocks may differ by so much
        see n1/Shop g health_pass 14:00 14:01      => invalid_field:app_name
        see n1 a\0b health_pass 14:00 14:01        => invalid_field:event_id
        see n1 \xFF health_pass 14:00 14:01        => invalid_field:event_id
        see n1 g health_pass 14:00 14:01 url=\xFF  => invalid_field:evidence_url
        slot n1/a s 14h all by=admin               => forbidden
        slot n1/a s 14h all by=n1                  => forbidden
        outage 14:00 14:10 by=admin                => forbidden
    )");
    run_in_world("see n1 " + std::string(129, 'e') + " health_pass 14:00 14:01 => invalid_field:event_id");
}

// Periods begin with 2020, too: nothing before it is ever settled.
TEST(EvidenceRules, NothingIsObservedBefore2020) {
    TestLedger ledger;
    ledger.open_everything();
    const LedgerTime first = std::chrono::sys_days{std::chrono::year{2020} / 1 / 1};
    const auto observe = [&](std::string id, LedgerTime to) {
        const Observation seen{
            .type = ObservationType::health_pass, .from = first - std::chrono::minutes(1), .to = to};
        return ledger.as({.role = Role::uptime},
                         Observe{.node = "n1", .event_id = std::move(id), .observation = seen});
    };
    const auto refused = observe("e1", first - std::chrono::microseconds(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "invalid_field:to");
    EXPECT_TRUE(observe("e2", first));
}

TEST(EvidenceRules, WhatIsRecordedOfASlotAddsUp) {
    run_in_world(R"(
        # Half an hour and the rest; what passed stays passed.
        slot n1/a s 14h ppppppppppppppp
        slot n1/a s 14h mmmm???????????ppppppppppppppp
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => pass, 0 paid, 2 returned
    )");
    run_in_world(R"(
        # After a restart windows count from the new attestation; the old ones stay where they are.
        slot n1/a s 14h ppppppppppppppp
        slot n1/a s 14h ppppppppppppppp from=14:30
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => pass, 0 paid, 2 returned
    )");
    run_in_world(R"(
        # A miss after it is not hidden by a pass at the cell's start.
        slot n1/a s 14h ppppppppppppppp
        slot n1/a s 14h ppppppmpppppppp from=14:30
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => fail (health_miss), 0 paid, 2 returned
    )");
    run_in_world(R"(
        # In whichever order they come.
        slot n1/a s 14h ppppppppppppppp from=14:30
        slot n1/a s 14h ppppppppppppppp
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => pass, 0 paid, 2 returned
    )");
    run_in_world(R"(
        # Windows of another length say nothing of these: a hole, not a pass.
        slot n1/a s 14h ppppppppppppppp
        slot n1/a s 14h pppppppppppppppppppppppppppppp from=14:30 window=60
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => inconclusive (hole)
    )");
    run_in_world(R"(
        # Challenges add up, the earliest drain counts.
        slot n1/a s 14h all missed=1
        slot n1/a s 14h all passed=1
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => fail (attest_miss), 0 paid, 2 returned
    )");
    run_in_world(R"(
        slot n1/a s 14h ppppp drained=14:10
        slot n1/a s 14h pppppm drained=14:12
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => pass, 0 paid, 2 returned
    )");
}

TEST(EvidenceRules, AVerdictThatComesLaterResolvesWhatWasInconclusive) {
    run_in_world(R"(
        slot n1/a s 14h all open=1
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => inconclusive (verdict_inconclusive)
        slot n1/a s 14h none passed=1 resolved=1
        finalize 14h
        show-unit n1/a 14h                 => pass, 0 paid, 2 returned
    )");
    run_in_world(R"(
        # One of two; and no more than there were.
        slot n1/a s 14h all open=2
        slot n1/a s 14h none resolved=1
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => inconclusive (verdict_inconclusive)
        slot n1/a s 14h none resolved=5
        slot n1/a s 14h none open=1
        finalize 14h
        show-unit n1/a 14h                 => inconclusive (verdict_inconclusive)
    )");
}

TEST(EvidenceRules, WhatComesOfAnAppsSlotOnceTheAppIsSettledCountsForTheNode) {
    run_in_world(R"(
        lock alice n1 14h 1h
        slot n1/a s 14h all open=1
        see n1/a e health_miss 14:10 14:11
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => fail (health_miss), 0 paid, 2 returned
        show-unit n1 14h                   => inconclusive (verdict_inconclusive)
        slot n1/a s 14h none passed=1 resolved=1
        finalize 14h
        show-unit n1/a 14h                 => fail (health_miss), 0 paid, 2 returned
        show-unit n1 14h                   => pass, 0 paid, 1 returned
    )");
}

TEST(EvidenceRules, WhatComesIntoForceIsALeafOnceUntilItChanges) {
    TestLedger ledger;
    const auto record = [&](LeafKind kind, std::string name, std::vector<std::string> fields) {
        return ledger
            .server(RecordLeaf{.kind = kind, .fields = std::move(fields), .in_force = std::move(name)})
            .value()
            .leaf_index.has_value();
    };
    const std::string digest(32, 'd');
    EXPECT_TRUE(record(LeafKind::policy, "forge-1", {"forge-1", digest, "{}"}));
    EXPECT_FALSE(record(LeafKind::policy, "forge-1", {"forge-1", digest, "{}"}));
    EXPECT_TRUE(record(LeafKind::policy, "sandbox-1", {"sandbox-1", digest, "{}"}));
    EXPECT_TRUE(record(LeafKind::policy, "forge-1", {"forge-1", std::string(32, 'e'), "{1}"}));
    EXPECT_TRUE(record(LeafKind::policy, "forge-1", {"forge-1", digest, "{}"}));  // back again
    EXPECT_TRUE(record(LeafKind::allowlist, "forge-1", {"forge-1", "v1", digest, ""}));
    EXPECT_EQ(ledger.store.leaf_count(), 5u);
    // Without a name, each time.
    EXPECT_TRUE(record(LeafKind::grid, "", {"hour"}));
    EXPECT_TRUE(record(LeafKind::grid, "", {"hour"}));
}

TEST(EvidenceRules, AnOutageEndsWhereItIsSaidToEnd) {
    run_in_world(R"(
        slot n1/a s 14h pppppmpppppppppppppppppppppppp
        outage 14:05
        outage 14:05 14:09                 # the same one, over
        clock 15:00
        finalize 14h
        show-unit n1/a 14h                 => fail (health_miss), 0 paid, 2 returned
    )");
}

TEST(EvidenceRules, AnOutageCountsHoweverLongBeforeTheCellItBegan) {
    const std::pair<const char*, const char*> rows[] = {
        {"outage 03:00 14:01\noutage 13:30 13:31", "inconclusive (hole)"},
        {"outage 13:30 13:31\noutage 03:00 14:01", "inconclusive (hole)"},
        {"outage 03:00 14:00\noutage 13:30 13:31", "fail (health_miss), 0 paid, 2 returned"},
        {"outage 03:00\noutage 13:30 13:31", "inconclusive (hole)"},
        {"outage 03:00\noutage 04:00\noutage 03:00 03:01", "inconclusive (hole)"},
        {"outage 04:00\noutage 03:00\noutage 04:00 04:01", "inconclusive (hole)"},
        {"outage 03:00\noutage 03:00 03:01\noutage 15:30", "fail (health_miss), 0 paid, 2 returned"},
    };
    for (const auto& [outages, outcome] : rows) {
        SCOPED_TRACE(outages);
        run_in_world(std::string(outages) +
                     "\nslot n1/a s 14h mppppppppppppppppppppppppppppp\nclock 15:00\nfinalize 14h\n"
                     "show-unit n1/a 14h => " +
                     outcome);
    }
}

std::optional<Money> some_price(std::mt19937& random) {
    const std::optional<Money> prices[] = {std::nullopt, Money{}, largest_money,
                                           Money(random() % 100'000'000)};
    return prices[random() % std::size(prices)];
}

UnitEvidence some_evidence(std::mt19937& random) {
    const auto chance = [&](unsigned of) { return random() % of == 0; };
    UnitEvidence out;
    const Seconds start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 9} + std::chrono::hours{14};
    out.unit = {.cell = {start, start + std::chrono::hours{1}}, .node = "n1", .app = chance(2) ? "" : "shop"};
    out.judged_at = LedgerTime{out.unit.cell.end} + std::chrono::hours{random() % 900};
    out.held_standing = !chance(8);
    out.has_usage = chance(2);
    const auto moment = [&] {
        return LedgerTime{start} + std::chrono::seconds{random() % 4800} - std::chrono::seconds{600};
    };
    for (unsigned left = random() % 3; left > 0; --left) {
        Slot slot{.attested_at = chance(2) ? LedgerTime{start} : moment(),
                  .window_s = chance(4) ? 240U : 600U};
        for (unsigned windows = random() % 18; windows > 0; --windows)
            slot.windows += static_cast<char>(chance(3) ? random() % 4 : 1);
        slot.challenges_passed = random() % 3;
        slot.challenges_missed = chance(6) ? 1 : 0;
        slot.challenges_inconclusive = chance(6) ? 1 : 0;
        if (chance(5)) slot.drained_at = moment();
        if (chance(3)) slot.verdicts = {"ab", "cd"};
        out.slots.push_back({.app = "shop", .agent = "a" + std::to_string(left), .slot = slot});
    }
    for (unsigned left = random() % 3; left > 0; --left) {
        const LedgerTime from = moment();
        out.observations.push_back(
            {.event_id = "e\"\n" + std::to_string(left),
             .observation = {.type = chance(5) ? static_cast<ObservationType>(1 + random() % 4)
                                               : ObservationType::health_pass,
                             .from = from,
                             .to = from + std::chrono::seconds{1 + random() % 2000},
                             .evidence_url = chance(2) ? "https://x/\xc3\xa9" : ""}});
    }
    if (chance(3)) out.outages.push_back({.from = moment(), .to = std::nullopt, .cause = "start"});
    if (chance(3)) out.outages.push_back({.from = moment(), .to = moment(), .cause = "tunnels"});
    for (unsigned left = random() % 3; left > 0; --left) {
        const auto state = static_cast<AbuseState>(chance(6) ? 2 : 1 + 2 * (random() % 2));
        out.abuse.push_back({.id = chance(4) ? 18'446'744'073'709'551'615U : 7,
                             .app = chance(2) ? "" : "shop",
                             .state = state,
                             .filed_at = moment()});
        if (state != AbuseState::pending) out.abuse.back().decided_at = moment();
        if (state != AbuseState::pending) out.abuse.back().decided_by = "owner\t";
    }
    for (unsigned left = random() % 3; left > 0; --left)
        out.prices.push_back({.from = moment(),
                              .terms = {.price = some_price(random),
                                        .capacity_vcpus = random() % 9,
                                        .tier = static_cast<Tier>(1 + random() % 3),
                                        .posted_at = moment()}});
    out.log_size = random();
    out.checkpoint = "easyenclave/x\n5\nroot\n\n\xe2\x80\x94 sig\n";
    return out;
}

TEST(EvidenceRules, ABundleReadsAsItWasWritten) {
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        const UnitEvidence evidence = some_evidence(random);
        const std::string json = to_json(evidence);
        const auto read = evidence_from_json(json);
        ASSERT_TRUE(read) << read.error().code << ": " << read.error().detail << "\n" << json;
        EXPECT_EQ(to_json(*read), json);
        EXPECT_EQ(judge(*read), judge(evidence));  // P3
    }
}

TEST(EvidenceRules, WhatIsNoBundleIsRefusedByTheNameOfWhatIsWrong) {
    std::mt19937 random(3);
    UnitEvidence evidence;
    while (evidence.slots.empty() || evidence.observations.empty() || evidence.outages.empty() ||
           evidence.prices.empty() || evidence.abuse.empty() || !evidence.slots[0].slot.drained_at)
        evidence = some_evidence(random);
    evidence.slots[0].slot.windows = "\1";
    evidence.abuse[0].id = 7;
    evidence.abuse[0].state = AbuseState::denied;
    const std::string json = to_json(evidence);
    struct Row {
        const char* what;
        const char* instead;
        const char* code;
    };
    const Row rows[] = {
        {"{", "", "evidence_invalid:/"},
        {R"("rule_version":)", R"("rules":)", "evidence_invalid:/rule_version"},
        {R"("rule_version":1)", R"("rule_version":-1)", "evidence_invalid:/rule_version"},
        {R"("cell":"2026-01-09T14")", R"("cell":"2026-01-09T25")", "evidence_invalid:/cell"},
        {R"("node_id":"n1")", R"("node_id":1)", "evidence_invalid:/node_id"},
        {R"("judged_at_us":)", R"("judged_at_us":"x","x":)", "evidence_invalid:/judged_at_us"},
        {R"("held_standing":)", R"("held_standing":1,"x":)", "evidence_invalid:/held_standing"},
        {R"("slots":[)", R"("slots":{},"x":[)", "evidence_invalid:/slots"},
        {R"("windows":"p")", R"("windows":"q")", "evidence_invalid:/slots/0/windows"},
        {R"("window_s":)", R"("window_s":4294967296,"x":)", "evidence_invalid:/slots/0/window_s"},
        {R"("challenges_missed":)", R"("challenges_missed":-1,"x":)",
         "evidence_invalid:/slots/0/challenges_missed"},
        {R"("observations":[{)", R"("observations":[1,{)", "evidence_invalid:/observations/0/"},
        {R"("type":")", R"("type":"health_maybe","x":")", "evidence_invalid:/observations/0/type"},
        {R"("outages":[{)", R"("outages":[{"from_us":1.5,)", "evidence_invalid:/outages/0/from_us"},
        {R"("report_id":"7")", R"("report_id":7)", "evidence_invalid:/abuse/0/report_id"},
        {R"("report_id":"7")", R"("report_id":"7x")", "evidence_invalid:/abuse/0/report_id"},
        {R"("status":"denied")", R"("status":"lost")", "evidence_invalid:/abuse/0/status"},
        {R"("price_usd_per_vcpu_hour":)", R"("price_usd_per_vcpu_hour":"-1","x":)",
         "evidence_invalid:/prices/0/price_usd_per_vcpu_hour"},
        {R"("price_usd_per_vcpu_hour":)", R"("price_usd_per_vcpu_hour":"9999999999999","x":)",
         "evidence_invalid:/prices/0/price_usd_per_vcpu_hour"},
        {R"("stake_tier":")", R"("stake_tier":"gold","x":")", "evidence_invalid:/prices/0/stake_tier"},
        // What is not a bundle's, or there twice.
        {R"({"rule_version")", R"({"more":0,"rule_version")", "evidence_invalid:/"},
        {R"("log_size":)", R"("log_size":1,"log_size":)", "evidence_invalid:/"},
        {R"("agent_id":)", R"("agent_id":"b","agent_id":)", "evidence_invalid:/slots/0/"},
        {R"("event_id":)", R"("seen_by":"b","event_id":)", "evidence_invalid:/observations/0/"},
        {R"("cause":)", R"("why":"b","cause":)", "evidence_invalid:/outages/0/"},
        {R"("filed_at_us":)", R"("filed_by":"b","filed_at_us":)", "evidence_invalid:/abuse/0/"},
        {R"("posted_at_us":)", R"("posted_by":"b","posted_at_us":)", "evidence_invalid:/prices/0/"},
        {R"("checkpoint":)", R"("point":)", "evidence_invalid:/checkpoint"},
    };
    for (const Row& row : rows) {
        std::string changed = json;
        const std::size_t at = changed.find(row.what);
        ASSERT_NE(at, std::string::npos) << row.what << " in " << json;
        changed.replace(at, std::string_view(row.what).size(), row.instead);
        const auto read = evidence_from_json(changed);
        ASSERT_FALSE(read) << changed;
        EXPECT_EQ(read.error().code, row.code) << changed;
    }
}

// P6. Better evidence never has the worse outcome; nothing may be worse than a fail, or better than a pass.
int worth(const Judgement& judgement) {
    return judgement.outcome == Outcome::pass ? 2 : judgement.outcome == Outcome::inconclusive ? 1 : 0;
}

// One failure more, or one success less.
UnitEvidence worsened(UnitEvidence evidence, std::mt19937& random) {
    using enum ObservationType;
    const LedgerTime from{evidence.unit.cell.start};
    const auto see = [&](ObservationType type) {
        evidence.observations.push_back(
            {.event_id = "worse",
             .observation = {.type = type, .from = from, .to = from + std::chrono::seconds{60}}});
    };
    auto* slot = evidence.slots.empty() ? nullptr : &evidence.slots[random() % evidence.slots.size()].slot;
    switch (random() % 9) {
        case 0: see(health_miss); break;
        case 1: see(attest_miss); break;
        case 2: see(downtime_migration); break;
        case 3: evidence.held_standing = false; break;
        case 4: evidence.abuse.push_back({.id = 1, .state = AbuseState::authorized}); break;
        case 5:
            if (slot != nullptr) ++slot->challenges_missed;
            break;
        case 6:
            if (slot != nullptr && !slot->windows.empty()) {
                char& window = slot->windows[random() % slot->windows.size()];
                // pass, then hole or unknown, then miss
                window = window == 1 ? (random() % 2 == 0 ? 2 : 3) : 3;
            }
            break;
        case 7:
            std::erase_if(evidence.observations, [](const UnitEvidence::Seen& seen) {
                return seen.observation.type == health_pass;
            });
            break;
        case 8:
            if (slot != nullptr) slot->challenges_passed = 0;
            break;
    }
    return evidence;
}

TEST(EvidenceRules, AFailureMoreNeverHelpsASuccessMoreNeverHurts) {
    std::mt19937 random(2);
    std::array<int, 3> seen{};
    int worse_count = 0;
    for (int i = 0; i < 60'000; ++i) {
        const UnitEvidence better = some_evidence(random);
        const UnitEvidence worse = worsened(better, random);
        const Judgement before = judge(better), after = judge(worse);
        ++seen[static_cast<std::size_t>(worth(before))];
        if (worth(after) < worth(before)) ++worse_count;
        ASSERT_LE(worth(after), worth(before)) << to_json(better) << "\n" << to_json(worse);
    }
    for (const int count : seen) EXPECT_GT(count, 2000) << "every outcome is among them";
    EXPECT_GT(worse_count, 2000);
}

TEST(EvidenceRules, ChallengesOfNoSlotAreNobodysFault) {
    UnitEvidence evidence;
    const Seconds start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 9} + std::chrono::hours{14};
    evidence.unit = {.cell = {start, start + std::chrono::hours{1}}, .node = "n1", .app = ""};
    evidence.held_standing = true;
    evidence.judged_at = LedgerTime{evidence.unit.cell.end};
    EXPECT_EQ(judge(evidence), (Judgement{Outcome::fail, {"no_evidence"}}));
    evidence.abuse = {{.id = 1}};  // A2: pending reports do not count
    EXPECT_EQ(judge(evidence), (Judgement{Outcome::fail, {"no_evidence"}}));
}

}  // namespace
}  // namespace ee::ledger

// Windows from what tunnels show, as the ledger's judge reads them (invariants P5 and P7).

#include "control_plane/health_windows.h"

#include <gtest/gtest.h>

#include "ledger/outcome.h"

namespace ee::control_plane {
namespace {

using ledger::LedgerTime;
using ledger::Slot;
using std::chrono::milliseconds;
using std::chrono::seconds;

const SlotName a1{"n1", "shop", "a1"};
const SlotName a2{"n1", "shop", "a2"};

// "13:05" or "13:05:59.999", of 2026-01-09; "10T00:01" of the day after.
LedgerTime at(std::string_view text) {
    int day = 9;
    if (text.size() > 3 && text[2] == 'T') {
        day = std::stoi(std::string(text.substr(0, 2)));
        text.remove_prefix(3);
    }
    const auto number = [&](std::size_t from, std::size_t size) {
        return from < text.size() ? std::stoi(std::string(text.substr(from, size))) : 0;
    };
    const auto date = std::chrono::sys_days{std::chrono::year{2026} / 1 / static_cast<unsigned>(day)};
    return LedgerTime{date} + std::chrono::hours{number(0, 2)} + std::chrono::minutes{number(3, 2)} +
           seconds{number(6, 2)} + milliseconds{number(9, 3)};
}

// The ledger's side: what was recorded, added up as the ledger does.
struct Recorded {
    void add(std::vector<ledger::RecordSlots> commands) {
        for (ledger::RecordSlots& command : commands)
            for (ledger::RecordSlots::Seen& seen : command.seen) {
                Slot& slot = slots[command.cell.start][{seen.node, seen.app, seen.agent}];
                const Slot before = slot;
                slot = seen.slot;
                slot.challenges_passed += before.challenges_passed;
                slot.challenges_missed += before.challenges_missed;
                slot.challenges_inconclusive += before.challenges_inconclusive - seen.resolved;
                slot.verdicts.insert(slot.verdicts.begin(), before.verdicts.begin(), before.verdicts.end());
                if (seen.slot.window_s == 0) slot.windows = before.windows, slot.window_s = before.window_s;
                if (seen.slot.window_s == 0) slot.attested_at = before.attested_at;
            }
    }
    // "?ppm", from the first window on; "none": no record.
    std::string windows(std::string_view cell, const SlotName& name = a1) const {
        const auto of_cell = slots.find(std::chrono::floor<seconds>(at(cell)));
        if (of_cell == slots.end() || !of_cell->second.contains(name)) return "none";
        std::string out;
        for (const char c : of_cell->second.at(name).windows) out += "?phmd"[static_cast<int>(c)];
        return out;
    }
    const Slot& slot(std::string_view cell, const SlotName& name = a1) const {
        return slots.at(std::chrono::floor<seconds>(at(cell))).at(name);
    }
    // What a lock on (n1, shop) would come to.
    std::string outcome(std::string_view cell, std::vector<ledger::Outage> outages = {}) const {
        const ledger::Seconds start = std::chrono::floor<seconds>(at(cell));
        ledger::UnitEvidence evidence;
        evidence.unit = {.cell = {start, start + std::chrono::hours{1}}, .node = "n1", .app = "shop"};
        evidence.judged_at = LedgerTime{start} + std::chrono::hours{2};
        evidence.held_standing = true;
        evidence.outages = std::move(outages);
        if (const auto found = slots.find(start); found != slots.end())
            for (const auto& [name, slot] : found->second)
                evidence.slots.push_back({.app = name.app, .agent = name.agent, .slot = slot});
        const ledger::Judgement judgement = judge(evidence);
        std::string out(to_word(judgement.outcome));
        for (const std::string& reason : judgement.reasons) out += " " + reason;
        return out;
    }
    std::map<ledger::Seconds, std::map<SlotName, Slot>> slots;
};

struct HealthWindowsTest : testing::Test {
    void begin(std::string_view now, seconds window = seconds{600}) {
        windows.emplace(ledger::Grid::hour, window, at(now));
    }
    void record(std::string_view now) { recorded.add(windows->take(at(now))); }
    // Each of them, a heartbeat.
    void beats(std::initializer_list<std::string_view> times, const SlotName& name = a1) {
        for (const std::string_view time : times) windows->alive(name, at(time));
    }

    std::optional<HealthWindows> windows;
    Recorded recorded;
};

TEST_F(HealthWindowsTest, AWindowIsPassedByAHeartbeatThatArrivesInIt) {
    struct Case {
        std::string_view heartbeat;
        std::string_view windows;  // of 13:00, by 13:30
    };
    const Case cases[] = {
        {"13:10", "pp m"},         // exactly at the start: in it
        {"13:15", "pp m"},         //
        {"13:19:59.999", "pp m"},  // 1 ms before the end
        {"13:20", "pm p"},         // exactly at the end: in the next
        {"13:20:00.001", "pm p"},  // 1 ms late
    };
    for (const Case& c : cases) {
        Recorded seen;
        HealthWindows tracker(ledger::Grid::hour, seconds{600}, at("12:00"));
        tracker.serves(a1, at("12:59"));
        tracker.alive(a1, at("13:00"));
        tracker.alive(a1, at(c.heartbeat));
        seen.add(tracker.take(at("13:30")));
        std::string expected(c.windows);
        std::erase(expected, ' ');
        EXPECT_EQ(seen.windows("13:00"), expected) << c.heartbeat;
    }
}

// P5: who joins in the middle of a cell, or exactly at an edge.
TEST_F(HealthWindowsTest, ASlotIsExpectedInWholeWindowsFromItsFirstAttestation) {
    struct Case {
        std::string_view attested;
        std::string_view windows;  // recorded by 14:00, nothing else coming
        std::string_view outcome;
    };
    const Case cases[] = {
        {"13:00", "pmmmmm", "fail health_miss"},         // exactly at the cell's start
        {"12:59:59.999", "mmmmmm", "fail health_miss"},  // up before: from the start
        {"13:30", "pmm", "fail health_miss"},            // exactly at a window's start: a whole one
        {"13:30:00.001", "pmm", "fail health_miss"},     // the first is none of the expected
        {"13:49:59.999", "pm", "fail health_miss"},
        {"13:50", "p", "pass"},
        {"13:59:59.999", "p", "pass"},  // no whole window; the attestation itself
    };
    for (const Case& c : cases) {
        Recorded seen;
        HealthWindows tracker(ledger::Grid::hour, seconds{600}, at("12:00"));
        tracker.serves(a1, at(c.attested));
        tracker.challenge(a1, at(c.attested), ChallengeOutcome::passed, "e", at(c.attested));
        seen.add(tracker.take(at("14:00")));
        EXPECT_EQ(seen.windows("13:00"), c.windows) << c.attested;
        EXPECT_EQ(seen.outcome("13:00"), c.outcome) << c.attested;
    }
}

TEST_F(HealthWindowsTest, AHeartbeatInEachWindowPassesTheCell) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:05", "13:15", "13:25", "13:35", "13:45", "13:55"});
    record("14:00");
    EXPECT_EQ(recorded.windows("13:00"), "pppppp");
    EXPECT_EQ(recorded.outcome("13:00"), "pass");
    EXPECT_EQ(recorded.slot("13:00").attested_at, at("13:00"));
    EXPECT_EQ(recorded.slot("12:00").attested_at, at("12:55"));
    // What begins at 14:00 is recorded with it.
    EXPECT_EQ(recorded.windows("14:00"), "");
}

TEST_F(HealthWindowsTest, WhoDropsAndReturnsWithinAWindowMissesNothing) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:01"});
    windows->left(a1, at("13:11"));
    windows->serves(a1, at("13:19"));
    beats({"13:25", "13:31", "13:41", "13:51"});
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "pass");
}

// P5: who leaves in the middle.
TEST_F(HealthWindowsTest, WhoIsGoneIsExpectedUntilTheCellsEndAndNoLonger) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:01", "13:11"});
    windows->left(a1, at("13:12"));
    record("15:00");
    EXPECT_EQ(recorded.windows("13:00"), "ppmmmm");
    EXPECT_EQ(recorded.outcome("13:00"), "fail health_miss");
    EXPECT_EQ(recorded.windows("14:00"), "none");
    EXPECT_EQ(recorded.outcome("14:00"), "fail no_evidence");
    EXPECT_EQ(windows->size(), 0u);
}

TEST_F(HealthWindowsTest, WhoLeftBeforeTheCellIsExpectedFromItsReturn) {
    begin("12:00");
    windows->serves(a1, at("12:30"));
    windows->left(a1, at("12:59:59.999"));
    windows->serves(a1, at("13:25"));
    beats({"13:31", "13:41", "13:51"});
    record("14:00");
    EXPECT_EQ(recorded.slot("13:00").attested_at, at("13:25"));
    EXPECT_EQ(recorded.outcome("13:00"), "pass");
}

TEST_F(HealthWindowsTest, ASecondTunnelOfTheSlotKeepsItUp) {
    begin("12:00");
    windows->serves(a1, at("12:30"));
    windows->serves(a1, at("12:40"));  // Takes the first one's place,
    windows->left(a1, at("12:41"));    // which goes.
    EXPECT_TRUE(windows->is_up(a1));
    record("13:00");
    EXPECT_EQ(recorded.windows("13:00"), "");
    windows->left(a1, at("13:05"));
    EXPECT_FALSE(windows->is_up(a1));
}

TEST_F(HealthWindowsTest, AnyOfTheNodesSlotsPassesAWindowOfTheApp) {
    Recorded seen;
    HealthWindows turns(ledger::Grid::hour, seconds{600}, at("12:00"));
    turns.serves(a1, at("12:55"));
    turns.serves(a2, at("12:55"));
    for (const std::string_view time : {"13:05", "13:25", "13:45"}) {
        turns.alive(a1, at(time));
        turns.alive(a2, at(time) + std::chrono::minutes{10});
    }
    seen.add(turns.take(at("14:00")));
    EXPECT_EQ(seen.windows("13:00", a1), "pmpmpm");
    EXPECT_EQ(seen.windows("13:00", a2), "mpmpmp");
    EXPECT_EQ(seen.outcome("13:00"), "pass");
}

TEST_F(HealthWindowsTest, NothingIsExpectedAfterAnOperatorsDrain) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:05", "13:15"});
    windows->left(a1, at("13:25"));
    windows->drained(a1, at("13:25"));
    record("14:00");
    EXPECT_EQ(recorded.windows("13:00").substr(0, 2), "pp");
    EXPECT_EQ(recorded.windows("13:00").find('m'), std::string::npos);
    EXPECT_EQ(recorded.outcome("13:00"), "pass");
}

TEST_F(HealthWindowsTest, WhoComesBackFromADrainIsExpectedAgain) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:05"});
    windows->left(a1, at("13:15"));
    windows->drained(a1, at("13:15"));
    record("13:20");  // The drain is on record.
    EXPECT_EQ(recorded.windows("13:00").substr(0, 1), "p");
    windows->serves(a1, at("13:35"));
    windows->left(a1, at("13:45"));
    record("14:00");
    EXPECT_EQ(recorded.windows("13:00"), "pddpmm");
    EXPECT_EQ(recorded.outcome("13:00"), "fail health_miss");

    // To its end, the second time; also where a restart lies between.
    windows->serves(a1, at("14:01"));
    windows->drained(a1, at("14:12"));
    windows->left(a1, at("14:12"));
    record("14:13");
    windows->serves(a1, at("14:14"));
    windows->drained(a1, at("14:21"));
    record("15:00");
    EXPECT_EQ(recorded.windows("14:00").substr(0, 2), "pp");
    EXPECT_EQ(recorded.outcome("14:00"), "pass") << recorded.windows("14:00");
}

TEST_F(HealthWindowsTest, WindowsThatTheCellsEndCutsAreOfNoCell) {
    begin("12:00", seconds{420});  // 7 min: the grid of windows is not that of cells.
    windows->serves(a1, at("12:00:30"));
    // Of 12:00 the first that begins in it, by the epoch's grid.
    std::int64_t whole = 0, first = 0;
    for (std::int64_t k = ledger::to_us(at("13:00")) / 420'000'000;
         k * 420'000'000 < ledger::to_us(at("14:00")); ++k) {
        if (k * 420'000'000 < ledger::to_us(at("13:00")) ||
            (k + 1) * 420'000'000 > ledger::to_us(at("14:00")))
            continue;
        if (whole++ == 0) first = k;
    }
    EXPECT_TRUE(whole == 7 || whole == 8);
    for (std::int64_t k = first; k < first + whole; ++k) windows->alive(a1, ledger::from_us(k * 420'000'000));
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "pass") << recorded.windows("13:00");
}

// ---- Challenges ----

// P5: a deadline at the edge, a millisecond before it, and one that lies across it.
TEST_F(HealthWindowsTest, AChallengeCountsInTheCellOfItsDeadline) {
    struct Case {
        std::string_view now, deadline;
        ChallengeOutcome outcome;
        std::string_view outcomes[2];  // of 13:00 and 14:00
    };
    using enum ChallengeOutcome;
    const Case cases[] = {
        {"13:59:30", "13:59:59.999", missed, {"fail attest_miss", "pass"}},
        {"13:59:30",
         "14:00",
         missed,
         {"pass", "fail attest_miss"}},  // exactly at the boundary: of what begins
        {"13:59:59", "14:00:29", missed, {"pass", "fail attest_miss"}},
        {"14:00:29", "14:00:29", missed, {"pass", "fail attest_miss"}},
        {"14:00:05", "13:59:50", missed, {"fail attest_miss", "pass"}},  // judged late
        {"13:59:59", "14:00:29", inconclusive, {"pass", "inconclusive verdict_inconclusive"}},
        {"14:00:05", "13:59:50", inconclusive, {"inconclusive verdict_inconclusive", "pass"}},
        {"13:59:59", "14:00:29", passed, {"pass", "pass"}},
    };
    for (const Case& c : cases) {
        Recorded seen;
        HealthWindows tracker(ledger::Grid::hour, seconds{600}, at("12:00"));
        tracker.serves(a1, at("12:55"));
        bool done = false;
        for (LedgerTime time = at("13:00"); time < at("15:00"); time += seconds{1}) {
            if (time >= at(c.now) && !std::exchange(done, true)) {
                tracker.challenge(a1, at(c.deadline), c.outcome, "e", time);
                seen.add(tracker.take(time));
            }
            tracker.alive(a1, time);
        }
        seen.add(tracker.take(at("15:00")));
        EXPECT_EQ(seen.outcome("13:00"), c.outcomes[0]) << c.now << " " << c.deadline;
        EXPECT_EQ(seen.outcome("14:00"), c.outcomes[1]) << c.now << " " << c.deadline;
    }
}

// A bad answer before the cell's end, to a challenge whose deadline lies behind it: the tunnel closes at
// once.
TEST_F(HealthWindowsTest, AMissAheadCountsThoughTheSlotIsGone) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    windows->challenge(a1, at("13:00:20"), ChallengeOutcome::missed, "", at("12:59:55"));
    windows->left(a1, at("12:59:55"));
    record("13:00");
    EXPECT_EQ(recorded.slot("13:00").challenges_missed, 1u);
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "fail attest_miss");  // and no miss of a window
    EXPECT_EQ(recorded.slot("12:00").challenges_missed, 0u);
}

// It had hung up in the cell before, and has not come back by the deadline.
TEST_F(HealthWindowsTest, AMissCountsThoughTheSlotLeftBeforeItsCell) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    windows->left(a1, at("12:59:55"));
    record("13:00");
    windows->challenge(a1, at("13:00:20"), ChallengeOutcome::passed, "", at("13:00:20"));
    record("13:00:21");
    EXPECT_EQ(recorded.windows("13:00"), "none");
    windows->challenge(a1, at("13:00:20"), ChallengeOutcome::missed, "", at("13:00:20"));
    record("13:00:21");
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "fail attest_miss");
}

TEST_F(HealthWindowsTest, AVerdictThatComesAfterAllTakesBackThatThereWasNone) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    for (LedgerTime time = at("13:00"); time < at("14:00"); time += seconds{60}) windows->alive(a1, time);
    windows->challenge(a1, at("13:59:58"), ChallengeOutcome::inconclusive, "", at("13:59:58"));
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "inconclusive verdict_inconclusive");
    windows->challenge(a1, at("13:59:58"), ChallengeOutcome::resolved, "e1", at("14:01"));
    record("14:01");
    EXPECT_EQ(recorded.outcome("13:00"), "pass");
    EXPECT_EQ(recorded.slot("13:00").verdicts, std::vector<std::string>{"e1"});
    EXPECT_EQ(recorded.slot("13:00").challenges_passed, 1u);
}

TEST_F(HealthWindowsTest, KeepsTheDigestsOfACellsVerdictsUpToALimit) {
    begin("13:00");
    windows->serves(a1, at("13:00"));
    for (int i = 0; i < 300; ++i) {
        windows->challenge(a1, at("13:30"), ChallengeOutcome::passed, std::to_string(i), at("13:01"));
        record("13:01");
    }
    EXPECT_EQ(recorded.slot("13:00").challenges_passed, 300u);
    EXPECT_EQ(recorded.slot("13:00").verdicts.size(), 256u);
}

// ---- Over a restart ----

TEST_F(HealthWindowsTest, ARestartGoesOnFromWhatIsRecorded) {
    begin("12:00");
    windows->serves(a1, at("12:55"));
    beats({"13:05", "13:15"});
    recorded.add(windows->take_all(at("13:21")));
    EXPECT_EQ(recorded.windows("13:00"), "pp");

    begin("13:34");
    windows->load(a1, recorded.slot("13:00"));
    EXPECT_FALSE(windows->is_up(a1));
    Recorded later = recorded;
    later.add(windows->take(at("14:00")));
    // What nobody watched is nobody's fault; what was watched from beginning to end is.
    EXPECT_EQ(later.windows("13:00"), "pp??mm");
    EXPECT_EQ(later.outcome("13:00"), "fail health_miss");
    const ledger::Outage outage{.from = at("13:21"), .to = at("13:41"), .cause = "not_running"};
    EXPECT_EQ(later.outcome("13:00", {outage}), "fail health_miss");

    // It returns within the running window.
    begin("13:34");
    windows->load(a1, recorded.slot("13:00"));
    windows->serves(a1, at("13:36"));
    beats({"13:45", "13:55"});
    recorded.add(windows->take(at("14:00")));
    EXPECT_EQ(recorded.windows("13:00"), "pp?ppp");
    EXPECT_EQ(recorded.outcome("13:00"), "inconclusive hole");
    EXPECT_EQ(recorded.slot("13:00").attested_at, at("13:00"));
}

TEST_F(HealthWindowsTest, WhatPassedInTheRunningWindowIsRecordedAtTheEnd) {
    begin("13:00");
    windows->serves(a1, at("13:00"));
    beats({"13:15"});
    recorded.add(windows->take_all(at("13:16")));
    begin("13:18");
    windows->load(a1, recorded.slot("13:00"));
    windows->serves(a1, at("13:19"));
    beats({"13:25", "13:35", "13:45", "13:55"});
    record("14:00");
    EXPECT_EQ(recorded.outcome("13:00"), "pass") << recorded.windows("13:00");
}

TEST_F(HealthWindowsTest, WhoWasUpBeforeAnOutageIsExpectedFromTheCellsStart) {
    begin("13:20");
    windows->carry(a1);
    windows->serves(a1, at("13:21"));
    beats({"13:31", "13:41", "13:51"});
    record("14:00");
    EXPECT_EQ(recorded.slot("13:00").attested_at, at("13:00"));
    EXPECT_EQ(recorded.windows("13:00"), "??pppp");
    EXPECT_EQ(recorded.outcome("13:00"), "inconclusive hole");  // P7: not a pass
}

TEST_F(HealthWindowsTest, ACellThatBeganWithOtherWindowsGoesOnWithThem) {
    begin("13:20", seconds{600});
    Slot before{.attested_at = at("13:00"), .window_s = 1200, .windows = "\1"};
    windows->load(a1, before);
    windows->serves(a1, at("13:21"));
    beats({"13:45"});
    record("14:00");
    EXPECT_EQ(recorded.slot("13:00").window_s, 1200u);
    EXPECT_EQ(recorded.windows("13:00"), "ppp");
    EXPECT_EQ(recorded.slot("14:00").window_s, 600u);
}

// ---- How it is taken ----

TEST_F(HealthWindowsTest, HeartbeatsAreNotUrgentNewSlotsAndVerdictsAre) {
    begin("13:00");
    EXPECT_FALSE(windows->is_urgent());
    windows->serves(a1, at("13:01"));
    EXPECT_TRUE(windows->is_urgent());
    record("13:01");
    EXPECT_FALSE(windows->is_urgent());
    beats({"13:02", "13:03"});
    EXPECT_FALSE(windows->is_urgent());
    EXPECT_TRUE(windows->take(at("13:04")).empty());
    EXPECT_EQ(windows->next_end(), at("13:10"));
    EXPECT_EQ(windows->take(at("13:10")).size(), 1u);
    EXPECT_EQ(windows->next_end(), at("13:20"));
    windows->challenge(a1, at("13:11"), ChallengeOutcome::passed, "e", at("13:11"));
    EXPECT_TRUE(windows->is_urgent());
}

TEST_F(HealthWindowsTest, ManySlotsAreSeveralCommands) {
    begin("13:00");
    for (int i = 0; i < 2500; ++i) windows->serves({"n1", "shop", "a" + std::to_string(i)}, at("13:01"));
    const auto commands = windows->take(at("13:02"));
    ASSERT_EQ(commands.size(), 3u);
    EXPECT_EQ(commands[0].seen.size(), 1000u);
    EXPECT_EQ(commands[2].seen.size(), 500u);
}

TEST_F(HealthWindowsTest, AClockSetBackMovesNothingThatWasDecided) {
    begin("13:00");
    windows->serves(a1, at("13:00"));
    beats({"13:05", "13:15"});
    record("13:20");
    beats({"12:50", "13:01"});  // The clock is an hour's part behind.
    beats({"13:25"});
    record("13:30");
    EXPECT_EQ(recorded.windows("13:00"), "ppp");
}

}  // namespace
}  // namespace ee::control_plane

// From tunnels to the ledger's records and back, over a restart.

#include "control_plane/slot_recorder.h"

#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "control_plane/test_ledger_door.h"
#include "net/test_peer.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using ledger::LedgerTime;
using ledger::Slot;

struct SlotRecorderTest : testing::Test {
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "ee-slots-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override {
        end();
        loop.collect();
        std::filesystem::remove_all(folder);
    }
    // Once the ledger has answered: it asks nothing of a recorder that is gone.
    void end() {
        if (recorder) net::run_turns(loop, 2);
        recorder.reset();
    }
    void start(std::chrono::seconds window = 1s) {
        end();
        LivenessMark mark = LivenessMark::open(folder / "alive").value();
        const RecordedEvidence recorded =
            read_recorded(door.books.store, ledger::Grid::day, mark.last(), ledger_now());
        recorder.emplace(loop, door, log, std::move(mark), recorded,
                         SlotRecorder::Settings{.grid = ledger::Grid::day, .window = window});
    }
    void write_mark(LedgerTime at, std::uint64_t leaves = 0) {
        end();
        LivenessMark::open(folder / "alive").value().write({.at = at, .leaves = leaves});
    }
    bool until(const std::function<bool()>& done) { return net::run_until(loop, done, 20s); }
    std::optional<Slot> slot(std::string_view agent = "a1") const { return door.slot(agent); }
    std::size_t windows(ledger::Window kind) const {
        const auto found = slot();
        return found ? static_cast<std::size_t>(std::ranges::count(found->windows, static_cast<char>(kind)))
                     : 0;
    }
    std::vector<ledger::Outage> outages() const { return door.outages(); }
    void leaf() {
        ASSERT_TRUE(door.books.server(
            ledger::RecordLeaf{.kind = ledger::LeafKind::policy,
                               .fields = {"forge-1", std::string(32, static_cast<char>(++leaf_)), "{}"}}));
    }
    // A run's begin.
    void key() {
        ledger::Changes changes;
        changes.first_leaf = door.books.store.leaf_count();
        changes.of(ledger::Table::log_keys).emplace_back(ledger::KeyWriter().number(changes.first_leaf), "");
        door.books.store.commit(changes);
        leaf();
    }
    void serve(TunnelId tunnel = 1, std::string agent = "a1") {
        recorder->serves(tunnel, {"n1", "shop", std::move(agent)}, loop.now() + 30s, "e1");
    }

    net::Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    telemetry::Log log{telemetry::LogLevel::debug, telemetry::LogFormat::json, null.get()};
    net::Loop loop;
    std::filesystem::path folder;
    TestLedgerDoor door{loop};
    std::optional<SlotRecorder> recorder;
    std::uint8_t leaf_ = 0;
};

TEST_F(SlotRecorderTest, ASlotIsRecordedSoonAndItsHeartbeatsByWindow) {
    start(2s);
    serve();
    ASSERT_TRUE(until([&] { return slot().has_value(); }));
    EXPECT_EQ(slot()->window_s, 2u);
    EXPECT_EQ(slot()->challenges_passed, 1u);
    EXPECT_EQ(slot()->verdicts, std::vector<std::string>{"e1"});
    const int commands = door.commands;
    int heartbeats = 0;
    ASSERT_TRUE(until([&] {
        recorder->alive(1);
        ++heartbeats;
        return windows(ledger::Window::pass) >= 2;
    }));
    EXPECT_GT(heartbeats, 20);
    EXPECT_LE(door.commands - commands, 3);
    EXPECT_EQ(windows(ledger::Window::miss), 0u);
}

TEST_F(SlotRecorderTest, SilenceAndAbsenceAreMissesAlsoAfterARestart) {
    start();
    serve();
    ASSERT_TRUE(until([&] { return windows(ledger::Window::miss) >= 1; }));  // Silent.
    recorder->left(1);
    const std::size_t silent = windows(ledger::Window::miss);
    ASSERT_TRUE(until([&] { return windows(ledger::Window::miss) > silent; }));  // Gone.
    const std::size_t gone = windows(ledger::Window::miss);
    const LedgerTime attested_at = slot()->attested_at;
    start();  // As after kill -9: nothing was said at the end.
    ASSERT_TRUE(until([&] { return windows(ledger::Window::miss) > gone; }));
    EXPECT_EQ(slot()->attested_at, attested_at);
    EXPECT_TRUE(outages().empty());  // It was short.
}

TEST_F(SlotRecorderTest, ARefusalForWantOfTimeIsTriedAgainAndCountedOnce) {
    start(600s);
    door.busy = true;
    serve();
    ASSERT_TRUE(until([&] { return door.refused >= 1; }));
    door.busy = false;
    ASSERT_TRUE(until([&] { return slot().has_value(); }));
    EXPECT_EQ(slot()->challenges_passed, 1u);
}

// An outage that is over is recorded twice, under when it began.
TEST_F(SlotRecorderTest, WhatIsTriedAgainIsNotOvertakenByWhatCameLater) {
    start(600s);
    serve();
    ASSERT_TRUE(until([&] { return slot().has_value(); }));
    net::run_turns(loop, 2);  // The ledger has answered.
    door.busy_commands = 1;
    recorder->inconclusive(1, loop.now() + 1s, {"collateral_expired:tcb_info", ""});
    ASSERT_EQ(door.refused, 1);
    recorder->passed(1, loop.now() + 1s, "e2");
    net::run_turns(loop, 3);
    EXPECT_TRUE(outages().empty());
    ASSERT_TRUE(until([&] { return slot()->challenges_passed == 2; }));
    ASSERT_EQ(outages().size(), 1u);
    EXPECT_TRUE(outages()[0].to);
}

TEST_F(SlotRecorderTest, WhatIsKnownIsRecordedAtTheEndAndNothingAfterIt) {
    start(600s);
    serve();
    recorder->stop();
    EXPECT_EQ(windows(ledger::Window::pass), 1u);
    recorder->missed(1, loop.now(), 30s, {"attestation_timeout", ""});
    recorder->left(1);
    serve(2, "a2");
    net::run_turns(loop, 20);
    EXPECT_EQ(slot()->challenges_missed, 0u);
    EXPECT_FALSE(slot("a2"));
}

TEST_F(SlotRecorderTest, TellsMissedFromWhatNobodyCouldJudge) {
    struct Case {
        const char* code;
        bool is_inconclusive;
    };
    start(600s);
    serve();
    recorder->inconclusive(1, loop.now() + 1s, {"collateral_expired:tcb_info", ""});
    recorder->inconclusive(1, loop.now() + 1s,
                           {"collateral_expired:tcb_info", ""});  // The same, a minute later.
    ASSERT_TRUE(until([&] { return slot() && slot()->challenges_inconclusive == 1; }));
    ASSERT_EQ(outages().size(), 1u);
    EXPECT_EQ(outages()[0].cause, "collateral");
    EXPECT_FALSE(outages()[0].to);
    recorder->passed(1, loop.now() + 1s, "e2");
    ASSERT_TRUE(until([&] { return slot()->challenges_passed == 2; }));
    EXPECT_EQ(slot()->challenges_inconclusive, 0u);
    EXPECT_TRUE(outages()[0].to);

    recorder->missed(1, loop.now(), 30s, {"measurement_mismatch:rtmr2", ""});
    ASSERT_TRUE(until([&] { return slot()->challenges_missed == 1; }));
    // Of another tunnel, and of none.
    recorder->missed(7, loop.now(), 30s, {"attestation_timeout", ""});
    recorder->alive(7);
    recorder->left(7);
}

TEST_F(SlotRecorderTest, AnAnswerThatIsLateBecauseTheServerStoodStillIsNoMiss) {
    write_mark(ledger_now() - 60s);
    start(600s);
    serve();
    ASSERT_EQ(outages().size(), 1u);
    EXPECT_EQ(outages()[0].cause, "not_running");
    recorder->missed(1, loop.now(), 30s, {"attestation_timeout", ""});
    ASSERT_TRUE(until([&] { return slot() && slot()->challenges_inconclusive == 1; }));
    EXPECT_EQ(slot()->challenges_missed, 0u);
    // A bad answer is one, whenever it comes.
    recorder->missed(1, loop.now(), 30s, {"nonce_mismatch", ""});
    ASSERT_TRUE(until([&] { return slot()->challenges_missed == 1; }));
}

// Each leaves a challenge open; "passed missed inconclusive" after its deadline.
TEST_F(SlotRecorderTest, WhoHangsUpAtAChallengeHasMissedItUnlessItAttestsAgain) {
    start(600s);
    const auto challenges = [&](std::string_view agent) {
        const auto found = slot(agent);
        return found ? fmt::format("{} {} {}", found->challenges_passed, found->challenges_missed,
                                   found->challenges_inconclusive)
                     : "none";
    };
    const auto leave = [&](TunnelId tunnel, const std::string& agent, bool is_answered) {
        serve(tunnel, agent);
        recorder->left(tunnel, SlotRecorder::OpenChallenge{
                                   .deadline = loop.now() + 1s, .time = 1s, .is_answered = is_answered});
    };
    const auto judge = [&](TunnelId tunnel, const std::string& agent, const Result<void>& verdict) {
        recorder->judged_late(tunnel, {"n1", "shop", agent}, verdict);
    };
    leave(1, "gone", false);
    leave(2, "back", false);
    serve(12, "back");
    leave(3, "good", true);
    judge(3, "good", {});
    leave(4, "bad", true);
    serve(14, "bad");  // Which does not undo its answer.
    judge(4, "bad", fail("debug_td"));
    leave(5, "unclear", true);
    judge(5, "unclear", fail("collateral_unavailable"));
    leave(6, "unclear-back", true);
    serve(16, "unclear-back");
    judge(6, "unclear-back", fail("collateral_unavailable"));
    judge(7, "nobody", fail("debug_td"));
    serve(8, "late");
    recorder->left(8, SlotRecorder::OpenChallenge{.deadline = loop.now(), .time = 1s});
    serve(18, "late");
    ASSERT_TRUE(until([&] { return challenges("gone") == "1 1 0"; })) << challenges("gone");
    EXPECT_EQ(challenges("back"), "2 0 0");
    EXPECT_EQ(challenges("good"), "2 0 0");
    EXPECT_EQ(challenges("bad"), "2 1 0");
    EXPECT_EQ(challenges("unclear"), "1 0 1");
    EXPECT_EQ(challenges("unclear-back"), "2 0 0");
    EXPECT_EQ(challenges("nobody"), "none");
    EXPECT_EQ(challenges("late"), "2 1 0");
}

TEST_F(SlotRecorderTest, AnOutageOverAChallengeThatWasLeftOpenMakesItInconclusive) {
    write_mark(ledger_now() - 60s);
    start(600s);
    serve();
    recorder->left(1, SlotRecorder::OpenChallenge{.deadline = loop.now(), .time = 30s});
    ASSERT_TRUE(until([&] { return slot() && slot()->challenges_inconclusive == 1; }));
    EXPECT_EQ(slot()->challenges_missed, 0u);
}

TEST_F(SlotRecorderTest, TheLedgerIsToldHowFarAllIsRecordedOnceItHasAnswered) {
    write_mark(ledger_now() - 3600s);
    door.busy = true;
    start(600s);
    serve();
    const LedgerTime started_at = ledger_now();
    // The outage, and the slot behind it: neither is recorded.
    ASSERT_TRUE(until([&] { return door.refused >= 1; }));
    EXPECT_FALSE(door.told);
    door.busy = false;
    ASSERT_TRUE(until([&] { return door.told.has_value(); }));
    EXPECT_GE(door.outages_when_told, 1u);
    ASSERT_TRUE(until([&] { return *door.told > started_at; }));
    EXPECT_TRUE(slot());
    // And again, with nothing new, until the end.
    const LedgerTime first = *door.told;
    ASSERT_TRUE(until([&] { return *door.told > first; }));
    EXPECT_LE(*door.told, ledger_now());
    recorder->stop();
    door.told.reset();
    const LedgerTime stopped_at = ledger_now();
    ASSERT_TRUE(until([&] { return ledger_now() > stopped_at + 1200ms; }));
    EXPECT_FALSE(door.told);
}

// What waits for others to share its commit is not recorded yet.
TEST_F(SlotRecorderTest, NothingIsToldBeforeWhatWaitsForItsCommit) {
    start(600s);
    ASSERT_TRUE(until([&] { return door.told.has_value(); }));
    for (int challenge = 2; challenge < 5; ++challenge) {
        const LedgerTime before = *door.told;
        if (challenge == 2) serve();
        recorder->passed(1, loop.now() + 1s, "e2");
        ASSERT_TRUE(until([&] { return *door.told > before; }));
        ASSERT_TRUE(slot());
        EXPECT_EQ(slot()->challenges_passed, static_cast<std::uint32_t>(challenge));
    }
}

// A cell must not be settled before the verdict on an answer that was due in it, however long that takes.
TEST_F(SlotRecorderTest, NothingIsToldBeyondAnAnswerThatHasNoVerdictYet) {
    start(600s);
    const auto told = [&] { return door.told.value_or(LedgerTime{}); };
    const auto is_held_at = [&](LedgerTime due) {
        door.told.reset();
        return until([&] { return told() != LedgerTime{}; }) && told() <= due && due - told() < 100ms;
    };
    const auto goes_on = [&](LedgerTime due) { return until([&] { return told() > due; }); };
    serve(1, "a1");
    recorder->answered(1, loop.now());
    LedgerTime due = ledger_now();
    ASSERT_TRUE(until([&] { return ledger_now() > due + 100ms; }));
    EXPECT_TRUE(is_held_at(due));
    recorder->passed(1, loop.now(), "e2");
    EXPECT_TRUE(goes_on(due));
    // The same where its tunnel leaves meanwhile.
    serve(2, "a2");
    recorder->answered(2, loop.now());
    due = ledger_now();
    recorder->left(2, SlotRecorder::OpenChallenge{.deadline = loop.now(), .time = 1s, .is_answered = true});
    ASSERT_TRUE(until([&] { return ledger_now() > due + 100ms; }));
    EXPECT_TRUE(is_held_at(due));
    recorder->judged_late(2, {"n1", "shop", "a2"}, fail("debug_td"));
    // Others' answers, and one that is judged again, hold nothing back.
    recorder->answered(7, loop.now());
    recorder->answered(1, loop.now() - 30s);
    EXPECT_TRUE(goes_on(ledger_now()));
}

TEST_F(SlotRecorderTest, TheMarkSurvivesAndAGapBecomesAnOutage) {
    const LedgerTime before = ledger_now();
    start();
    serve();
    ASSERT_TRUE(until([&] { return slot().has_value(); }));
    end();
    const auto mark = LivenessMark::open(folder / "alive").value().last();
    ASSERT_TRUE(mark);
    EXPECT_GE(mark->at, before);
    EXPECT_LE(mark->at, ledger_now());
    write_mark(mark->at - 3600s);
    start(120s);
    ASSERT_EQ(outages().size(), 1u);
    EXPECT_EQ(outages()[0].from, mark->at - 3600s);
    EXPECT_NEAR(std::chrono::duration<double>(*outages()[0].to - ledger_now()).count(), 120, 30);
}

// What is recorded ends with the last leaf where there is no mark, or one of a ledger that had more.
TEST_F(SlotRecorderTest, ACopyOfTheLedgerWasAwaySinceItsLastLeaf) {
    const LedgerTime last = ledger_now() - 2h;
    door.books.now = last - 1h;
    leaf();
    door.books.now = last;
    leaf();
    key();  // This run's begin behind them.
    const auto alive = [&](std::optional<LivenessMark::Seen> mark) {
        return read_recorded(door.books.store, ledger::Grid::day, mark, ledger_now()).last_alive;
    };
    const LedgerTime later = last + 1h, earlier = last - 1h;
    EXPECT_EQ(alive(std::nullopt), last);
    EXPECT_EQ(alive(LivenessMark::Seen{.at = later, .leaves = 2}), later);
    EXPECT_EQ(alive(LivenessMark::Seen{.at = later, .leaves = 3}), last) << "an older copy";
    EXPECT_EQ(alive(LivenessMark::Seen{.at = earlier, .leaves = 1}), last) << "it ran elsewhere since";
    EXPECT_EQ(alive(LivenessMark::Seen{.at = later, .leaves = 0}), later) << "of a version without a size";
    EXPECT_EQ(alive(LivenessMark::Seen{.at = later, .leaves = 1}), last) << "of a copy that had one and ran";
    const LedgerTime between = last - 30min;
    EXPECT_EQ(alive(LivenessMark::Seen{.at = between, .leaves = 1}), last) << "it stopped before the second";
}

// Or a crash at a start would hold against the nodes what nobody saw before it.
TEST_F(SlotRecorderTest, ARunThatRecordedNothingHidesNoOutage) {
    const LedgerTime first = ledger_now() - 3h, last = first + 10min, second = first + 2h;
    const auto key_at = [&](LedgerTime at) {
        door.books.now = at;
        key();
    };
    const auto alive = [&](std::optional<LivenessMark::Seen> mark = {}) {
        return read_recorded(door.books.store, ledger::Grid::day, mark, ledger_now()).last_alive;
    };
    key_at(first);
    leaf();  // Of the same commit.
    EXPECT_EQ(alive(), std::nullopt);
    door.books.now = last;
    leaf();
    key_at(second);
    EXPECT_EQ(alive(), last);
    key_at(second + 1min);
    EXPECT_EQ(alive(), last) << "the second run has made its key alone";
    EXPECT_EQ(alive(LivenessMark::Seen{.at = second + 30s, .leaves = 4}), second + 30s) << "and was there";
    EXPECT_EQ(alive(LivenessMark::Seen{.at = second + 30s, .leaves = 5}), last) << "an older copy";
    door.books.now = second + 2min;
    leaf();
    key_at(second + 3min);
    EXPECT_EQ(alive(), second + 2min);
}

TEST_F(SlotRecorderTest, NoMarkIsMadeBeforeTheOutagesThatItWouldCover) {
    const LedgerTime hour_ago = ledger_now() - 1h;
    const auto marked = [&] { return LivenessMark::open(folder / "alive").value().last()->at; };
    write_mark(hour_ago);
    door.busy = true;
    start();
    ASSERT_TRUE(until([&] { return door.refused >= 1; }));
    recorder->stop();
    end();
    EXPECT_EQ(marked(), hour_ago);
    door.busy = false;
    start();
    ASSERT_TRUE(until([&] { return marked() > hour_ago; }));
    ASSERT_EQ(outages().size(), 1u);
    EXPECT_EQ(outages()[0].from, hour_ago);
}

// Whose begin is not in its log.
TEST_F(SlotRecorderTest, AStartAtAStandstillLeavesTheMarkAsItIs) {
    door.books.now = ledger_now() - 2h;
    leaf();
    key();
    write_mark(ledger_now() - 1h, 2);
    const auto before = LivenessMark::open(folder / "alive").value().last();
    door.stands_still = true;
    start();
    end();
    EXPECT_EQ(LivenessMark::open(folder / "alive").value().last(), before);
}

TEST_F(SlotRecorderTest, NoMarkIsMadeWhileTheLedgerStandsStill) {
    const LedgerTime hour_ago = ledger_now() - 1h;
    write_mark(hour_ago);
    door.stands_still = true;
    start();
    recorder->stop();
    end();
    EXPECT_EQ(LivenessMark::open(folder / "alive").value().last(),
              (LivenessMark::Seen{.at = hour_ago, .leaves = 0}));
    door.stands_still = false;
    start();
    ASSERT_TRUE(until([&] { return LivenessMark::open(folder / "alive").value().last()->at > hour_ago; }));
}

TEST_F(SlotRecorderTest, AMarkThatIsNoneIsNotBelieved) {
    for (const std::string_view text :
         {"", "x", "0000000000000000000\n", "000001767963600000000", "-1\n",
          "0001767963600000000 0000000000000000000x\n", "0001767963600000000_00000000000000000001\n"}) {
        {
            const int file = ::open((folder / "alive").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            ASSERT_EQ(::write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
            ::close(file);
        }
        EXPECT_FALSE(LivenessMark::open(folder / "alive").value().last()) << text;
    }
    EXPECT_EQ(LivenessMark::open(folder / "none" / "alive").error().code, "store_unavailable");
}

TEST_F(SlotRecorderTest, WhoWasUpAtTheLastMarkIsExpectedInTheCellThatBeganSince) {
    // Yesterday's slots: up, gone before the mark, drained.
    const ledger::Period today = ledger::cell_at(ledger::Grid::day, ledger_now());
    const ledger::Period yesterday = ledger::cell_at(ledger::Grid::day, LedgerTime{today.start} - 1s);
    const auto put = [&](std::string agent, std::string windows, std::optional<LedgerTime> drained) {
        ledger::RecordSlots command{.cell = yesterday};
        Slot slot{
            .attested_at = LedgerTime{yesterday.start}, .window_s = 3600, .windows = std::move(windows)};
        slot.drained_at = drained;
        command.seen.push_back({"n1", "shop", std::move(agent), std::move(slot)});
        ASSERT_TRUE(door.books.server(command));
    };
    door.books.now = ledger_now();
    const std::string passes(24, '\1');
    put("up", passes, std::nullopt);
    put("gone", passes.substr(0, 21) + "\3\3\3", std::nullopt);
    put("drained", passes, LedgerTime{yesterday.start} + 20h);
    write_mark(LedgerTime{yesterday.end} - 10s);
    start(600s);
    const auto slots_today = [&] {
        std::string names;
        const RecordedEvidence recorded =
            read_recorded(door.books.store, ledger::Grid::day, std::nullopt, ledger_now());
        for (const auto& [name, slot] : recorded.slots) {
            EXPECT_EQ(slot.attested_at, LedgerTime{today.start});
            names += name.node + "/" + name.app + "/" + name.agent;
        }
        return names;
    };
    ASSERT_TRUE(until([&] { return !slots_today().empty(); }));
    EXPECT_EQ(slots_today(), "n1/shop/up");
}

TEST_F(SlotRecorderTest, WhatIsInForceIsRecordedOnceUntilItChanges) {
    start();
    const auto record = [&](std::string digest) {
        recorder->in_force(ledger::LeafKind::policy, "forge-1", {"forge-1", std::move(digest), "{}"});
    };
    record(std::string(32, 'a'));
    record(std::string(32, 'a'));
    EXPECT_EQ(door.books.store.leaf_count(), 1u);
    start();  // The ledger knows.
    record(std::string(32, 'a'));
    EXPECT_EQ(door.books.store.leaf_count(), 1u);
    record(std::string(32, 'b'));
    EXPECT_TRUE(until([&] { return door.books.store.leaf_count() == 2; }));
}

}  // namespace
}  // namespace ee::control_plane

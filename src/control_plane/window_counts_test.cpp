#include "control_plane/window_counts.h"

#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "ledger/test_ledger.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using ledger::LedgerTime;
using ledger::RecordSlots;
using ledger::Slot;

// What is known of a slot's windows of 120 s, from the cell's start on: p passed, m missed, ? unknown.
std::string windows(std::string_view letters) {
    std::string out;
    for (const char letter : letters)
        out.push_back(static_cast<char>(letter == 'p'   ? ledger::Window::pass
                                        : letter == 'm' ? ledger::Window::miss
                                                        : ledger::Window::unknown));
    return out;
}

struct WindowCountsTest : testing::Test {
    void record(std::string_view app, std::string_view agent, std::string_view letters, int from_minute = 0,
                std::uint32_t window_s = 120, std::string_view node = "n1") {
        RecordSlots::Seen seen{
            .node = std::string(node), .app = std::string(app), .agent = std::string(agent)};
        seen.slot.attested_at = start() + std::chrono::minutes(from_minute);
        seen.slot.window_s = window_s;
        seen.slot.windows = windows(letters);
        commit(RecordSlots{.cell = cell, .seen = {std::move(seen)}});
    }
    void drain(std::string_view app, std::string_view agent, int minute) {
        RecordSlots::Seen seen{.node = "n1", .app = std::string(app), .agent = std::string(agent)};
        seen.slot.attested_at = start();
        seen.slot.window_s = 120;
        seen.slot.drained_at = start() + std::chrono::minutes(minute);
        commit(RecordSlots{.cell = cell, .seen = {std::move(seen)}});
    }
    void outage(int from_minute, std::optional<int> to_minute) {
        ledger::Outage outage{.from = start() + std::chrono::minutes(from_minute), .cause = "gap"};
        if (to_minute) outage.to = start() + std::chrono::minutes(*to_minute);
        commit(ledger::RecordOutage{.outage = outage});
    }
    void commit(const ledger::Command& command) {
        ledger::Batch batch(*store);
        ledger::Request request{.caller = {.role = ledger::Role::server}};
        request.command = command;
        ASSERT_TRUE(books.apply(batch, request, start()));
        const ledger::Changes changes = batch.take();
        for (const CellWindows& one : counts.apply(changes)) known[{one.node, one.cell}] = one;
        store->commit(changes);
    }
    LedgerTime start() const { return LedgerTime{cell.start}; }
    // Of n1 in the cell: "passed/expected".
    std::string count() const { return text(known); }
    // The same for who begins with what is recorded.
    std::string count_anew() const {
        WindowCounts other(ledger::Grid::hour);
        Known found;
        for (const CellWindows& one : other.load(*store, start() - 720h)) found[{one.node, one.cell}] = one;
        return text(found);
    }
    using Known = std::map<std::pair<std::string, ledger::Seconds>, CellWindows>;
    std::string text(const Known& of) const {
        const auto found = of.find({"n1", cell.start});
        if (found == of.end()) return "none";
        return std::to_string(found->second.passed) + "/" + std::to_string(found->second.expected);
    }

    std::unique_ptr<ledger::MemoryStore> store = std::make_unique<ledger::MemoryStore>();
    ledger::Ledger books{ledger::Rules{}};
    ledger::Period cell = ledger::cell_at(ledger::Grid::hour, ledger::test_start);
    WindowCounts counts{ledger::Grid::hour};
    Known known;
};

// S4: holes are neither expected nor passed.
TEST_F(WindowCountsTest, CountsWhatPassedOfWhatWasExpectedAndLeavesHolesOut) {
    record("shop", "a1", "ppm?p");
    EXPECT_EQ(count(), "3/4");  // What is not known, or not over, is nobody's.
    EXPECT_EQ(count_anew(), "3/4");
    record("shop", "a1", "ppm?pppm");
    EXPECT_EQ(count(), "5/7");
}

TEST_F(WindowCountsTest, ExpectsNothingBeforeTheFirstAttestationAndAfterADrain) {
    record("shop", "a1", "ppppppppp", 3);  // From minute 3: the first whole window begins at minute 4.
    EXPECT_EQ(count(), "8/8");
    record("shop", "a2", "mm", 3);
    EXPECT_EQ(count(), "8/8");
    record("other", "a1", "ppppppmmmm");
    EXPECT_EQ(count(), "6/10");
    drain("other", "a1", 13);
    EXPECT_EQ(count(), "10/10");
    EXPECT_EQ(count_anew(), "10/10");
}

TEST_F(WindowCountsTest, OneSlotThatPassesIsEnoughForItsApp) {
    record("shop", "a1", "pmm?");
    record("shop", "a2", "mpm?");
    EXPECT_EQ(count(), "2/3");
    record("shop", "a3", "??pp");
    EXPECT_EQ(count(), "4/4");
}

// R3: an app that a node keeps only to look good does not make up for what another one misses.
TEST_F(WindowCountsTest, R3AnAppOfItsOwnHidesNoMiss) {
    record("shop", "a1", "pmmmp");
    EXPECT_EQ(count(), "2/5");
    record("dummy", "a1", "ppppp");
    EXPECT_EQ(count(), "2/5");
    for (int i = 0; i < 20; ++i) record("dummy", "b" + std::to_string(i), "ppppp");
    EXPECT_EQ(count(), "2/5");
    record("hole", "a1", "?????");  // Nor does one of which nothing is known.
    EXPECT_EQ(count(), "0/3");
}

// S4: nor is what was missed while the control plane was not there.
TEST_F(WindowCountsTest, AnOutageMakesHolesOfMissesHoweverLateItIsKnown) {
    record("shop", "a1", "pmmmmp");
    EXPECT_EQ(count(), "2/6");
    outage(3, std::nullopt);  // From the window of minutes 2 to 4 on, as long as it is not over.
    EXPECT_EQ(count(), "2/2");
    outage(3, 7);  // Over within the window of minutes 6 to 8.
    EXPECT_EQ(count(), "2/3");
    EXPECT_EQ(count_anew(), "2/3");
    outage(600, 700);  // Of another cell.
    EXPECT_EQ(count(), "2/3");
}

TEST_F(WindowCountsTest, WindowsOfAnotherLengthAreAnotherGrid) {
    record("shop", "a1", "pm");
    record("other", "a1", "pppp", 0, 60);
    EXPECT_EQ(count(), "5/6");
    EXPECT_EQ(count_anew(), "5/6");
}

TEST_F(WindowCountsTest, ChallengesWithoutWindowsCountForNothing) {
    RecordSlots late{.cell = cell, .seen = {{.node = "n1", .app = "shop", .agent = "a1"}}};
    late.seen[0].slot.attested_at = LedgerTime{cell.end};
    late.seen[0].slot.challenges_missed = 1;
    commit(late);
    EXPECT_EQ(count(), "0/0");
}

TEST_F(WindowCountsTest, ACellThatIsOverForLongStaysAsItWas) {
    record("shop", "a1", "pp");
    const ledger::Period first = cell;
    for (int i = 0; i < 3; ++i) {
        cell = {cell.end, cell.end + 1h};
        record("shop", "a1", "p");
    }
    cell = first;
    record("shop", "a2", "mm", 0, 120);
    record("bad", "a1", "mm", 0, 120);
    EXPECT_EQ(count(), "2/2");
}

// R3: whatever has happened, a restart comes to the same numbers as who has followed it.
TEST_F(WindowCountsTest, R3ARestartCountsTheSame) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
        std::mt19937 random(seed);
        const auto any = [&](std::size_t below) { return random() % below; };
        store = std::make_unique<ledger::MemoryStore>();
        counts = WindowCounts(ledger::Grid::hour);
        known.clear();
        for (int step = 0; step < 40; ++step) {
            if (any(8) == 0 && step > 0) cell = {cell.end, cell.end + 1h};
            if (any(10) == 0) {
                const int from = static_cast<int>(any(60));
                outage(from, any(3) == 0 ? std::nullopt : std::optional(from + static_cast<int>(any(20))));
                continue;
            }
            std::string letters(1 + any(30), ' ');
            for (char& letter : letters) letter = "ppm?"[any(4)];
            record("app" + std::to_string(any(3)), "a" + std::to_string(any(2)), letters,
                   static_cast<int>(any(30)), any(4) == 0 ? 60 : 120);
            WindowCounts other(ledger::Grid::hour);
            for (const CellWindows& one : other.load(*store, start() - 720h)) {
                if (LedgerTime{one.cell} < start() - 2h) continue;
                ASSERT_EQ(one, (known[{one.node, one.cell}])) << "seed " << seed << " step " << step;
            }
        }
    }
}

}  // namespace
}  // namespace ee::control_plane

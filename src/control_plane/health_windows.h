#pragma once
// Which windows each slot passed or missed (spec: ledger, "Evidence: windows"), from what tunnels show. A
// slot that has attested in a cell is expected until the cell's end, whatever becomes of its tunnel. Does no
// I/O; one thread; times never go back by more than a clock's step, which is an outage of its own.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ledger/command.h"

namespace ee::control_plane {

struct SlotName {
    std::string node{};
    std::string app{};
    std::string agent{};
    friend auto operator<=>(const SlotName&, const SlotName&) = default;
};

enum class ChallengeOutcome {
    passed,
    missed,
    inconclusive,  // no verdict, through no fault of the node
    resolved       // one that was inconclusive has passed: it is not counted as such any more
};

class HealthWindows {
public:
    // Watches from `now` on: what was before is for load() and carry(), and never missed.
    HealthWindows(ledger::Grid grid, std::chrono::seconds window, ledger::LedgerTime now);

    // Before anything else, of the cell that `now` lies in: what is recorded of it already.
    void load(const SlotName& name, const ledger::Slot& recorded);
    // It was up when the server was last seen alive, in an earlier cell: expected from this cell's start.
    void carry(const SlotName& name);

    // A tunnel of the slot has attested for the first time; it serves until it has left.
    void serves(const SlotName& name, ledger::LedgerTime now);
    void left(const SlotName& name, ledger::LedgerTime now);
    // A heartbeat, a pong or an attestation came.
    void alive(const SlotName& name, ledger::LedgerTime now);
    // By the operator: nothing more is expected of it in this cell.
    void drained(const SlotName& name, ledger::LedgerTime now);
    // It counts in the cell of `deadline`, one that was not passed also where the slot had left before that
    // cell. `verdict`: the digest of its evidence; empty: none.
    void challenge(const SlotName& name, ledger::LedgerTime deadline, ChallengeOutcome outcome,
                   std::string verdict, ledger::LedgerTime now);

    bool is_up(const SlotName& name) const;
    std::size_t size() const { return slots_.size(); }

    // When the next window, or the cell, ends.
    ledger::LedgerTime next_end() const { return next_end_; }
    // Something waits that should not wait for a window's end.
    bool is_urgent() const { return urgent_; }
    // What there is to record by now, each slot once a cell: nobody else counts it, so it must be recorded.
    std::vector<ledger::RecordSlots> take(ledger::LedgerTime now);
    // With what is known of windows that are not over: at the end.
    std::vector<ledger::RecordSlots> take_all(ledger::LedgerTime now);

private:
    struct Counts {
        std::uint32_t passed = 0, missed = 0, inconclusive = 0, resolved = 0;
        std::vector<std::string> verdicts{};
    };
    struct Tracked {
        int tunnels = 0;
        ledger::Slot slot{};            // all that is known of its windows in this cell, and no counts
        std::int64_t closed_until = 0;  // the first window that is not over, on the grid
        Counts counts{};                // not recorded yet
        Counts ahead{};                 // of the next cell
        std::size_t verdicts = 0;       // in this cell, recorded ones included
        bool changed = false;
        bool came_back = false;  // since it was recorded
    };
    using Slots = std::map<SlotName, Tracked>;

    void advance(ledger::LedgerTime now);
    void close_windows(Tracked& tracked, ledger::LedgerTime until) const;
    void plan(ledger::LedgerTime now);
    void begin_cell(const ledger::Period& cell);
    Tracked& begin_slot(const SlotName& name, ledger::LedgerTime attested_at);
    void come_back(Tracked& tracked, ledger::LedgerTime now);
    void count(Counts& counts, std::size_t verdicts_known, ChallengeOutcome outcome,
               std::string verdict) const;
    void count_late(const SlotName& name, const ledger::Period& cell, ChallengeOutcome outcome,
                    std::string verdict);
    static ledger::RecordSlots::Seen seen_of(const SlotName& name, Tracked& tracked);
    void give(const ledger::Period& cell, ledger::RecordSlots::Seen seen);
    static std::int64_t length_of(const Tracked& tracked);

    const ledger::Grid grid_;
    const std::uint32_t window_s_;
    const ledger::LedgerTime watching_since_;
    ledger::Period cell_;
    ledger::LedgerTime next_end_{};
    Slots slots_;
    std::set<std::uint32_t> lengths_;  // of windows in this cell
    std::map<ledger::Period, std::vector<ledger::RecordSlots::Seen>> ready_;
    bool urgent_ = false;
};

}  // namespace ee::control_plane

#pragma once
// How many windows each node was expected in, and how many of them it passed, cell by cell: what trust goes
// by (spec: ledger, "Evidence: windows"; routing, "Which one gets the request"). Counts what the ledger
// records, so that a restart comes to the same numbers. Does no I/O of its own; one thread.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ledger/node_records.h"
#include "ledger/store.h"

namespace ee::control_plane {

// Of one node in one cell. A window counts once, however many agents the node has: it is passed where every
// app that is expected in it passes, and left out where one of them is a hole and none misses. So no agent of
// its own can make up for another one's miss.
struct CellWindows {
    std::string node{};
    ledger::Seconds cell{};  // its start
    std::uint32_t expected = 0;
    std::uint32_t passed = 0;

    friend bool operator==(const CellWindows&, const CellWindows&) = default;
};

class WindowCounts {
public:
    explicit WindowCounts(ledger::Grid grid) : grid_(grid) {}

    // At start: of every cell that begins at `from` or later. Throws StoreFailure and DamagedRecord.
    std::vector<CellWindows> load(const ledger::Store& store, ledger::LedgerTime from);
    // What a commit has changed. Outages are known late: they change cells that are not long over. Older ones
    // stay as they are.
    std::vector<CellWindows> apply(const ledger::Changes& changes);

private:
    using AgentName = std::pair<std::string, std::string>;  // app, agent
    using NodeSlots = std::map<AgentName, ledger::Slot>;
    using CellSlots = std::map<std::string, NodeSlots>;  // by node

    // nullptr: the cell is over for too long.
    CellSlots* cell_of(ledger::Seconds start);
    CellWindows count(ledger::Seconds start, const std::string& node, const NodeSlots& slots) const;
    void count_all(ledger::Seconds start, std::vector<CellWindows>& counted) const;
    ledger::Period cell_from(ledger::Seconds start) const;

    ledger::Grid grid_;
    std::map<ledger::Seconds, CellSlots> recent_;
    std::map<ledger::LedgerTime, ledger::Outage> outages_;  // by start
};

}  // namespace ee::control_plane

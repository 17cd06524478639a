#pragma once
// What a commit of the ledger means for who follows events: one for each settlement, report, penalty and
// change of a node. Reads no clock.

#include <map>
#include <string>
#include <vector>

#include "control_plane/node_directory.h"
#include "events/event.h"
#include "ledger/ledger_worker.h"

namespace ee::control_plane {

// Of settlements, abuse and slashing. Commits come in their order, on one thread.
class LedgerEvents {
public:
    explicit LedgerEvents(ledger::Grid grid) : grid_(grid) {}

    std::vector<events::Event> in(const ledger::Changes& changes, WallTime now);

private:
    const ledger::Grid grid_;
    // Units nobody could judge, and why: their records are written again for other reasons, too.
    std::map<std::string, std::vector<std::string>> inconclusive_;
};

// Of nodes, compared with what was known of them before.
std::vector<events::Event> node_events(const NodeDirectory& before, const NodeChanges& changes, WallTime now);

events::Event standstill_event(const ledger::Standstill& why, WallTime now);

}  // namespace ee::control_plane

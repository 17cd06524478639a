#pragma once
// Which cells the ledger has settled, and which money waits and for what. Reads no clock.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ledger/batch.h"
#include "ledger/node_records.h"
#include "ledger/store.h"

namespace ee::control_plane {

// Reports of abuse that nobody has decided, by node and id.
using PendingReports = std::map<std::string, std::map<std::uint64_t, ledger::AbuseReport>, std::less<>>;

// Units that are not settled, by why.
struct Unsettled {
    std::uint64_t not_judged = 0;    // nothing is in the way, or the cell is not over
    std::uint64_t inconclusive = 0;  // nobody can say; the admin may resolve them
    std::uint64_t reported = 0;      // of them a report of abuse is not decided
    std::set<std::uint64_t> reports{};

    std::uint64_t held() const { return inconclusive + reported; }
    Unsettled& operator+=(const Unsettled& other);
    friend bool operator==(const Unsettled&, const Unsettled&) = default;
};

// A cell that is settled as far as it can be.
struct SettledCell {
    ledger::Period cell{};
    std::uint64_t passed = 0;
    std::uint64_t failed = 0;
    Unsettled rest{};
};

class UnsettledCells {
public:
    struct Found {
        // Cells that became so since the last look, and those whose rest waits for something else now. The
        // first look finds none: what was so before has been told.
        std::vector<SettledCell> news{};
        Unsettled overdue{};  // of cells that ended at `due` or before
        std::vector<ledger::Period>
            held{};  // those of these cells that have units held back, the oldest first
        bool is_first = false;
        bool goes_on = false;  // there are settled units left to count, and cells to tell
    };
    // At most 4096 unsettled units are looked at, the oldest first, and as many settled ones: what a cell of
    // more came to is told some looks later. Throws StoreFailure and DamagedRecord.
    Found look(const ledger::Store& store, ledger::Grid grid, ledger::LedgerTime now, ledger::LedgerTime due,
               const PendingReports& pending);

private:
    struct Counting {
        SettledCell settled{};
        std::string from{};  // the key of a unit to go on from
    };
    void count_settled(const ledger::Batch& batch, ledger::Grid grid, Found& found);

    std::map<ledger::Period, Unsettled> open_;      // as they were at the last look
    std::map<ledger::Period, Counting> uncounted_;  // settled since, and not told
    bool has_looked_ = false;
};

}  // namespace ee::control_plane

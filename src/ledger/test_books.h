#pragma once
// What must be true of a ledger's books whatever has happened (invariants L1 to L5, L7, K5).

#include <map>
#include <string>
#include <vector>

#include "ledger/store.h"

namespace ee::ledger {

// Follows a store from commit to commit. The entries are folded from their leaves as they come; everything
// else is counted anew at each look.
class BooksCheck {
public:
    // What is broken, in words; empty: nothing.
    std::vector<std::string> look(const Store& store);

private:
    struct Balance {
        std::int64_t available = 0;
        std::int64_t locked = 0;
        std::uint64_t entries = 0;
        std::int64_t paid = 0;  // by settlements, to a node
    };
    void fold_leaves(const Store& store);
    void check_accounts(const Store& store);
    void check_locks(const Store& store);
    void check_nodes(const Store& store);
    void check_units(const Store& store);
    void complain(std::string what) { broken_.push_back(std::move(what)); }

    std::uint64_t leaves_ = 0;
    std::int64_t last_time_ = INT64_MIN;
    std::map<std::string, Balance> balances_;
    std::vector<std::string> broken_;
};

}  // namespace ee::ledger

#pragma once
// What must be true of a ledger's books whatever has happened (invariants L1 to L5, L7, K5).

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ledger/records.h"
#include "ledger/store.h"

namespace ee::ledger {

// Follows a store from commit to commit. The entries are folded from their leaves as they come.
class BooksCheck {
public:
    // What is broken, in words; empty: nothing. All but the entries is counted anew.
    std::vector<std::string> look(const Store& store);
    // Of what a commit changed, and costs as much: after a look at all that there was before it.
    std::vector<std::string> look(const Store& store, const Changes& changes);

private:
    struct Balance {
        std::int64_t available = 0;
        std::int64_t locked = 0;
        std::uint64_t entries = 0;
        std::int64_t paid = 0;  // by settlements, to a node
    };
    struct Held {
        std::int64_t amount = 0;
        std::int64_t locks = 0;
    };
    struct OfUnit {
        std::int64_t locked = 0;  // by locks that were not released
        std::int64_t drawn = 0;
        std::int64_t held_locks = 0;
    };
    // What records come to of which others say the sum.
    struct Counts {
        std::map<std::pair<Table, std::string>, std::optional<std::string>> of;  // these
        std::map<std::string, Held> accounts;
        std::map<std::string, OfUnit> units;             // by key
        std::map<std::string, std::int64_t> open_units;  // by node
        std::map<std::string, std::int64_t> earned;      // by node
    };
    // What a commit concerns: accounts and nodes by name, units by key.
    struct Concerned {
        std::set<std::string> accounts;
        std::set<std::string> nodes;
        std::set<std::string> units;
    };

    // The accounts whose entries were new.
    std::set<std::string> fold_leaves(const Store& store);
    void count(Table table, const std::string& key, std::optional<std::string> record);
    void add(Table table, std::string_view key, std::string_view record, int sign);
    static Concerned concerned_by(const Changes& changes);

    void check_account(const Store& store, const std::string& name, const std::string& record);
    void check_journal(const Store& store, const std::string& name, const Account& account);
    void check_lock(const Store& store, std::uint64_t id);
    void check_held_lock(const Store& store, const std::string& key);
    void check_node(const Store& store, const std::string& id, const std::string& record);
    void check_unit(const Store& store, const std::string& key, const std::string& record);
    void check_settled_unit(const Store& store, const std::string& key, const Unit& unit);
    void check_accounts_together(const Store& store);
    void check_lists(const Store& store);
    void complain(std::string what) { broken_.push_back(std::move(what)); }

    std::uint64_t leaves_ = 0;
    std::int64_t last_time_ = INT64_MIN;
    std::map<std::string, Balance> balances_;
    std::map<std::string, std::uint64_t> lines_;  // of each account's journal, that were compared
    Counts counts_;
    std::vector<std::string> broken_;
};

}  // namespace ee::ledger

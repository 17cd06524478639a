#pragma once
// Whether locks, usage and settlements are what the log says of them: the part of the full check that needs
// the log from its first leaf on.

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "ledger/batch.h"
#include "ledger/check_report.h"
#include "ledger/leaf.h"
#include "ledger/records.h"

namespace ee::ledger {

// A held lock is what the leaf says that it was taken with.
void compare_with_leaf(const Store& store, std::uint64_t lock_id, const Lock& lock, CheckReport& report);

// Memory goes with what is not settled yet.
class LockCheck {
public:
    // Leaf by leaf, from the first one on: each lock ends once, as it was taken; a settlement pays what usage
    // drew and returns the rest; and so do its transfers.
    void follow(std::uint64_t index, const Leaf& leaf, CheckReport& report);

    // Behind the last leaf: the locks that no leaf ends are those that are held, and what is drawn on them is
    // what usage says.
    void compare_held(const Store& store, CheckReport& report) const;

private:
    struct Held {
        std::string account;
        std::string unit;
        std::string memo;
        Money amount{};
    };
    // What an account has in a unit.
    struct Part {
        std::uint64_t held = 0;  // locks
        Money locked{}, used{}, paid{};
    };
    struct UnitMoney {
        std::map<std::string, Part, std::less<>> parts{};
        bool is_settled = false;
        bool has_passed = false;
    };
    void taken(std::uint64_t index, const Leaf& leaf, CheckReport& report);
    void ended(std::uint64_t index, const Leaf& leaf, std::string_view kind, CheckReport& report);
    void used(std::uint64_t index, const Leaf& leaf, CheckReport& report);
    void settled(std::uint64_t index, const Leaf& leaf, CheckReport& report);
    void forget_if_over(const std::string& unit, CheckReport& report);

    std::unordered_map<std::uint64_t, Held> held_;  // by the lock's id
    std::unordered_map<std::string, UnitMoney> units_;
};

}  // namespace ee::ledger

#pragma once
// Credits held for a node in a cell, before compute runs.

#include <functional>

#include "ledger/context.h"
#include "ledger/records.h"

namespace ee::ledger {

// The memo of a lock's entries: "node=n1 app=shop cell=2026-01-09T13 price=0.05". It begins with its unit's
// words.
std::string lock_memo(const Lock& lock);
std::string unit_words(std::string_view node, std::string_view app, std::string_view cell);

std::optional<Lock> find_lock(const Batch& batch, std::uint64_t id);
void save_lock(Batch& batch, std::uint64_t id, const Lock& lock);

struct TakenLock {
    std::uint64_t id;
    std::uint64_t leaf_index;
};
// Moves the lock's amount from available to locked, and keeps the lock and its unit. Refusals: those of
// post().
Result<TakenLock> take_lock(Context& context, Lock lock);

// Ends a held lock: `paid` of it goes to the node, the rest back to its account. The leaf of the account's
// entry.
std::uint64_t end_lock(Context& context, std::uint64_t id, Lock lock, LockState state, Money paid);

// What is kept of an account in a unit, beside its locks.
struct UnitAccount {
    Money uncollected{};           // of its usage, that nobody paid
    std::uint64_t draws_from = 0;  // its locks of lower ids are drawn to their ends

    std::string encode() const;
    // Of a ledger from before there is only the first.
    static UnitAccount decode(std::string_view record);
};
// As it was saved last.
UnitAccount unit_account_of(const Batch& batch, const UnitName& unit, std::string_view account);
void save_unit_account(Batch& batch, const UnitName& unit, std::string_view account,
                       const UnitAccount& record);
// Whether it has locks or unpaid usage in the unit; whether somebody else has.
bool has_part(const Batch& batch, const UnitName& unit, std::string_view account);
bool others_have_part(const Batch& batch, const UnitName& unit, std::string_view account);

// The unit's locks that are not released, by account: of `account`, where it is not empty. `leaf`: of the
// transfer that settled it; nullopt: it is held. Until `visit` says false.
void for_each_lock(const Batch& batch, const UnitName& unit, std::string_view account,
                   const std::function<bool(std::uint64_t id, std::optional<std::uint64_t> leaf)>& visit);

// The unit, open when there was none.
Unit open_unit(Batch& batch, const UnitName& name);
// Settled, or without anything to settle.
void close_unit(Batch& batch, const UnitName& name);
std::optional<Unit> find_unit(const Batch& batch, const UnitName& name);
void save_unit(Batch& batch, const UnitName& name, const Unit& unit);
// `period_finalized` when the unit is settled.
Result<void> check_unit_open(const Batch& batch, const UnitName& name);

}  // namespace ee::ledger

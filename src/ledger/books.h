#pragma once
// The journal: accounts, and the only way money moves. Every posting is balanced, allowed for its kind,
// leaves no balance below zero but that of @issued, and writes a leaf and a line for each account it touches.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ledger/context.h"
#include "ledger/leaf.h"
#include "ledger/records.h"

namespace ee::ledger {

enum class PostingKind : std::uint8_t {
    purchase,
    redeem,
    transfer,
    lock,     // available to locked
    release,  // locked to available, before the cell
    pay,      // locked to the node's earnings, the rest to available
    refund,   // locked to available, after a failed cell
    stake,
    unstake,
    slash
};
std::string_view to_word(PostingKind kind);

// What a posting does to one account.
struct Change {
    std::string_view account;
    Money available;
    Money locked;
    int held_locks = 0;  // how many more of them it has
};

struct Posting {
    PostingKind kind{};
    std::string reference{};  // a lock's id, a payment_ref, a slashing's id ...
    std::string memo{};
};

std::optional<Account> find_account(const Batch& batch, std::string_view name);
// Of a count in Table::meta, which it raises: 0, 1, and so on.
std::uint64_t next_number(Batch& batch, std::string_view counter);
// How many were opened; none is ever closed.
std::uint64_t account_count(const Batch& batch);
// Opens it, at zero. It must not exist.
void open_account(Context& context, std::string_view name, const std::optional<crypto::Sha256>& token);
void save_account(Batch& batch, std::string_view name, const Account& account);

// The lines of its journal are numbered from 0. `number` is below account.entries.
EntryLine line_of(const Batch& batch, const Account& account, std::uint64_t number);
// A full record of them. DamagedRecord where it is missing.
EntryLines lines_of(const Batch& batch, const Account& account, std::uint64_t record_number);

// Applies the changes, in order. The account of the first change is the one the answer is about: its leaf's
// index is returned. Refusals: `insufficient_credit`, `balance_too_large`. All accounts exist. Unbalanced,
// forbidden for the kind, or below zero in `locked`: BrokenInvariant.
Result<std::uint64_t> post(Context& context, const Posting& posting, std::span<const Change> changes);

// From one account's available to another's.
Result<std::uint64_t> move(Context& context, const Posting& posting, std::string_view from,
                           std::string_view to, Money amount);

// What the accounts come to together, kept with every posting: what a start compares with the accounts
// themselves.
struct Sums {
    Money available;  // of all accounts; @issued is negative, so that it is minus `locked`
    Money locked;
    Money issued;  // minus @issued: what is in the network
    Money held;    // by held locks

    // Whether they agree with each other.
    bool is_balanced() const {
        return available.micro() == -locked.micro() && locked == held && !issued.is_negative();
    }
    std::string encode() const;
    static Sums decode(std::string_view record);
    friend bool operator==(const Sums&, const Sums&) = default;
};
Sums sums_of(const Batch& batch);
// By what the locks changed.
void add_held(Batch& batch, Money by);

// Adds a leaf to the log; its index.
std::uint64_t append_leaf(Context& context, LeafKind kind, std::span<const LentField> fields);
inline std::uint64_t append_leaf(Context& context, LeafKind kind, std::initializer_list<LentField> fields) {
    return append_leaf(context, kind, std::span(fields.begin(), fields.size()));
}

}  // namespace ee::ledger

#pragma once
// What the store's tables hold, and their keys. The bytes are fields in a row (encoding.h); a record that
// reads otherwise than it was written is DamagedRecord.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto/digest.h"
#include "ledger/encoding.h"
#include "ledger/money.h"
#include "ledger/period.h"

namespace ee::ledger {

// An entry's line in an account's journal; the entry itself is the leaf.
struct EntryLine {
    std::uint64_t leaf_index = 0;
    LedgerTime at{};
    Money available{};  // after it
    Money locked{};

    friend bool operator==(const EntryLine&, const EntryLine&) = default;
};

// So many lines are one record of `entries`; those after the last full one lie with the account, which
// changes anyway.
inline constexpr std::size_t lines_in_record = 16;
using EntryLines = std::array<EntryLine, lines_in_record>;
std::string encode(const EntryLines& lines);
EntryLines decode_lines(std::string_view record);
std::string entry_lines_key(std::uint64_t account_number, std::uint64_t record_number);

struct Account {
    std::uint64_t number = 0;   // its place in `entries`
    std::uint64_t entries = 0;  // how many there are
    Money available{};
    Money locked{};
    std::uint64_t held_locks = 0;  // how many make up `locked`
    LedgerTime opened_at{};
    std::optional<crypto::Sha256> token{};  // users' only
    EntryLines newest{};                    // the first entries % lines_in_record of them

    std::string encode() const;
    static Account decode(std::string_view record);
};

enum class LockState : std::uint8_t { held = 1, settled = 2, released = 3 };
std::string_view to_word(LockState state);

struct Lock {
    std::string account{};
    std::string node{};
    std::string app{};  // empty: none
    Period cell{};
    Money amount{};
    Money price{};  // of a vCPU-hour
    Money drawn{};  // by usage
    Hours hours{};  // 0 where it was taken by amount
    LockState state = LockState::held;
    LedgerTime taken_at{};
    LedgerTime ended_at{};

    std::string encode() const;
    static Lock decode(std::string_view record);
    static std::string key(std::uint64_t id) { return KeyWriter().number(id); }
};

// (node, app) in a cell; app is empty for what is of the node as a whole.
struct UnitName {
    Period cell{};
    std::string node{};
    std::string app{};

    std::string key() const;
    // Of all units of a cell; of all of a node in it.
    static std::string prefix(Seconds cell_start);
    static std::string prefix(Seconds cell_start, std::string_view node);
    static UnitName from_key(std::string_view key, Grid grid);
    friend auto operator<=>(const UnitName&, const UnitName&) = default;
};

std::string held_lock_key(const Lock& lock, std::uint64_t id);
std::string held_lock_prefix(const UnitName& unit);
std::string held_lock_prefix(const UnitName& unit, std::string_view account);
// The lock id a key of `held_locks` or `settled_locks` ends with.
std::uint64_t lock_id_of(std::string_view held_lock_key);
// Of `unit_accounts`.
std::string unit_account_key(const UnitName& unit, std::string_view account);

enum class Outcome : std::uint8_t { open = 0, pass = 1, fail = 2, inconclusive = 3 };
std::string_view to_word(Outcome outcome);

struct Unit {
    Outcome outcome = Outcome::open;
    bool has_usage = false;
    Money uncollected{};
    // Once it is settled:
    std::vector<std::string> reasons{};
    LedgerTime settled_at{};
    Money paid{};
    Money returned{};
    bool moving = false;  // the outcome stands, some of its transfers are still to come
    std::uint64_t settlement_leaf = 0;
    std::string own_evidence{};  // the bundle, JSON, but for a list kept apart: see kept_evidence.h
    Money claimed{};             // from the stake, for abuse authorised later
    // Of the whole bundle; nullopt: there is none, or the unit is from before.
    std::optional<crypto::Sha256> evidence_sha256{};
    std::optional<crypto::Sha256> observation_list{};  // the one kept apart

    bool is_settled() const { return outcome == Outcome::pass || outcome == Outcome::fail; }
    std::string encode() const;
    static Unit decode(std::string_view record);
};

// A usage report, to answer a second one of the same id.
struct Report {
    crypto::Sha256 content{};
    std::uint64_t leaf_index = 0;
    std::string answer{};

    std::string encode() const;
    static Report decode(std::string_view record);
    static std::string key(std::string_view node, std::string_view report_id);
};

// An idempotency key, and what it was answered.
struct KeyRecord {
    crypto::Sha256 request{};  // method, path and body
    bool refused = false;
    std::uint16_t status = 0;
    std::optional<std::uint64_t> leaf_index{};  // what the receipt is about
    std::string secret{};                       // the field that is not kept; empty: none
    std::string code{};                         // of a refusal
    std::string body{};                         // or detail of a refusal

    std::string encode() const;
    static KeyRecord decode(std::string_view record);
    // A key belongs to a principal.
    static std::string key(std::string_view principal, std::string_view idempotency_key);
};

}  // namespace ee::ledger

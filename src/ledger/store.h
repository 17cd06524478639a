#pragma once
// Where the ledger is kept: ordered tables of keys and records, the leaves and tiles of the log, and one way
// to change them, all or nothing. The ledger decides; a store remembers.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ee::ledger {

// The disk, or the database behind it, did not do what was asked. Whoever runs commands catches it: nothing
// of the commit counts (after a COMMIT that failed, see the store).
class StoreFailure : public std::runtime_error {
public:
    explicit StoreFailure(const std::string& what) : std::runtime_error(what) {}
};

// Somebody else has kept the database from being written for as long as one waits: nothing of the commit was
// begun, and the same may be tried again.
class StoreBusy : public StoreFailure {
public:
    using StoreFailure::StoreFailure;
};

// Names are the tables' in SQL ("ledger_" before them); keys and records are in records.h. Only ever added
// to.
enum class Table : std::uint8_t {
    meta,               // grid, log id, secret of the salts, what was last verified
    accounts,           // name
    entries,            // account number, number within the account
    payments,           // payment_ref
    tokens,             // SHA-256 of a token
    keys,               // idempotency: the number of the answer (of a ledger from before, the answer itself)
    locks,              // lock id
    held_locks,         // cell, node, app, account, lock id
    reports,            // node, report id
    node_cells,         // cell, node: hours reported
    units,              // cell, node, app: what is to be settled
    open_units,         // the same keys, while they are unsettled
    moving_units,       // the same keys, while transfers of their outcome are to come
    unit_accounts,      // cell, node, app, account: what of its usage nobody paid, and where draws begin
    nodes,              // node id
    terms,              // node, effective time, number: price, capacity, tier
    standing,           // node, time, number: registered, staked, banned or not
    abuse,              // report id
    abuse_by_node,      // node, report id
    slots,              // cell, node, app, agent: windows and challenges
    observations,       // node, event id
    seen,               // node, from, event id: an observation by when it was
    outages,            // start
    slashings,          // slashing id
    causes,             // node, digest of cause and events: one slashes once
    earnings,           // node, cell: what settlements paid
    checkpoints,        // size: signed note
    log_keys,           // leaf index
    settled_locks,      // cell, node, app, account, lock id: the leaf of the transfer that settled it
    audit,              // number, the newest first: who asked for what
    answers,            // number: what is answered under an idempotency key
    observation_lists,  // digest: what several units were judged by
    observation_list_names,  // the same digest: how many units name it
    count
};
inline constexpr std::size_t table_count = static_cast<std::size_t>(Table::count);
inline constexpr std::size_t appended_key_bytes = 8;
// Whether the keys are numbers of so many bytes, each after all there are (in audit before them), and records
// stay as they are.
constexpr bool is_appended(Table table) {
    return table == Table::answers || table == Table::checkpoints || table == Table::audit;
}
std::string_view to_word(Table table);

struct NewTile {
    unsigned level = 0;
    std::uint64_t index = 0;
    std::string hashes;  // 256 of 32 bytes
};

// What a commit changes.
struct Changes {
    // Sorted by key; nullopt erases.
    using Records = std::vector<std::pair<std::string, std::optional<std::string>>>;
    std::array<Records, table_count> records;
    Records& of(Table table) { return records[static_cast<std::size_t>(table)]; }
    const Records& of(Table table) const { return records[static_cast<std::size_t>(table)]; }
    std::uint64_t first_leaf = 0;  // index of leaves[0]
    std::vector<std::string> leaves;
    std::vector<NewTile> tiles;
};

// But for tables that are appended to: visit(table, key, record), as they are sorted.
template <class Visit>
void for_each_unappended(const Changes& changes, const Visit& visit) {
    for (std::size_t number = 0; number < table_count; ++number) {
        const auto table = static_cast<Table>(number);
        if (is_appended(table)) continue;
        for (const auto& [key, record] : changes.of(table)) visit(table, key, record);
    }
}

// One thread at a time. Every call that is not noexcept may throw StoreFailure.
class Store {
public:
    Store() = default;
    virtual ~Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    virtual std::optional<std::string> get(Table table, std::string_view key) const = 0;

    // Records in the order of their keys, from `from` (included) on, until `visit` says false.
    using Visit = std::function<bool(std::string_view key, std::string_view record)>;
    virtual void scan(Table table, std::string_view from, const Visit& visit) const = 0;

    virtual std::uint64_t leaf_count() const = 0;
    // nullopt: there is none of that index.
    virtual std::optional<std::string> leaf(std::uint64_t index) const = 0;
    virtual std::optional<std::string> tile(unsigned level, std::uint64_t index) const = 0;

    // All of it or nothing, and on disk when this returns.
    virtual void commit(const Changes& changes) = 0;

    // Between two commits a store may read from one snapshot, which costs its file: for who has read and does
    // not commit. Not within a scan.
    virtual void end_reading() const noexcept {}
};

}  // namespace ee::ledger

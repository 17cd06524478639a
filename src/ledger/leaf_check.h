#pragma once
// Whether the leaves that were appended since the last check are what the log and the accounts' journals say:
// the part of the ledger's check whose time goes with what was appended. In steps, so that a check beside the
// server holds no moment of the store for long.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ledger/books.h"
#include "ledger/check_report.h"
#include "ledger/log.h"

namespace ee::ledger {

// What a step covers holds for good, for nothing of it is ever changed: leaves, tiles, checkpoints and lines
// of journals are only appended. So a step needs no more than a moment of the store in which what it reads is
// there, and each may be from a later one. From step to step are carried: where the check ends (the newest
// checkpoint when it began), the tree over the leaves that were read, the time of the last one, and, by
// account, the entries that were read and not compared yet.
//
// An account's entries are compared with the lines of its journal, and the first of them with the line
// before: with the check that ended where this one begins, entries continue each other from the account's
// first on. What can't be told leaf by leaf, sums over accounts and locks, is the whole check's
// (ledger_check.h).
class LeafCheck {
public:
    // How many entries are read before their accounts are compared: what it takes of memory, at most 10 MB or
    // so.
    static constexpr std::size_t entries_in_row = 65536;
    // The checkpoints'. To verify them takes longer than all else, and begins at the first leaf: their keys
    // are in leaves.
    enum class Signatures { passed_over, verified };

    explicit LeafCheck(std::uint64_t from, std::size_t row_max = entries_in_row,
                       Signatures signatures = Signatures::passed_over)
        : from_(from), row_max_(row_max), signatures_(signatures), next_(from), row_(from) {}

    // Opens the log, reads at most `count` leaves or compares at most as many accounts. False: the check is
    // over. Throws DamagedRecord, StoreFailure.
    bool step(const Store& store, std::uint64_t count, CheckReport& report);

    // Called with each leaf that was read.
    using OnLeaf = std::function<void(std::uint64_t index, const Leaf& leaf)>;
    void on_leaf(OnLeaf on_leaf) { on_leaf_ = std::move(on_leaf); }

    // Where it ends; known from the first step on.
    std::uint64_t size() const { return target_.size; }
    // Leaves that were entries.
    std::uint64_t entries() const { return entries_; }

private:
    struct State {
        Money available{};
        Money locked{};
        friend bool operator==(const State&, const State&) = default;
    };
    struct Entry {
        std::uint64_t leaf;
        State after;
        std::int64_t time_us;
    };
    struct KeptCheckpoint {
        std::string key{};
        std::string record{};
    };
    // Of one account, in the leaves from `row_` on; the first one came upon `before`.
    struct Entries {
        State before{};
        std::vector<Entry> all{};
    };

    static State state_of(const EntryLine& line);
    bool open(const Store& store, CheckReport& report);
    void read_leaves(const Store& store, std::uint64_t count, CheckReport& report);
    void compare_tiles(const Store& store, CheckReport& report);
    bool checkpoint_at(const Store& store, std::uint64_t size);
    void compare_checkpoint(CheckReport& report) const;
    Result<Checkpoint> checkpoint_in_note(const SignedHead& kept) const;
    void remember_key(std::uint64_t index, const Leaf& leaf);
    void follow(std::uint64_t index, const Leaf& leaf, CheckReport& report);
    void compare_accounts(const Store& store, std::uint64_t count, CheckReport& report);
    void compare_journal(const Batch& books, std::string_view name, const Entries& entries,
                         CheckReport& report) const;

    const std::uint64_t from_;
    const std::size_t row_max_;
    const Signatures signatures_;
    OnLeaf on_leaf_;
    bool is_open_ = false;
    bool is_broken_ = false;  // a leaf can't be read: nothing can be told of those after it
    std::optional<LogIdentity> identity_;
    TreeHead target_{};
    std::uint64_t next_;
    std::uint64_t row_;  // the first leaf that was read since accounts were compared
    std::uint64_t row_entries_ = 0;
    bool is_comparing_ = false;
    std::uint64_t entries_ = 0;
    std::int64_t time_us_ = INT64_MIN;
    LogTree tree_;
    KeptCheckpoint checkpoint_;  // the first one that is not smaller than the tree
    std::vector<Tile> full_;
    std::unordered_map<std::uint64_t, crypto::Ed25519PublicKey> keys_;  // of the log, by their leaves
    std::unordered_map<std::string, Entries> accounts_;
};

// An account has what the last line of its journal says.
void compare_with_last_line(const Batch& books, std::string_view name, const Account& account,
                            CheckReport& report);

}  // namespace ee::ledger

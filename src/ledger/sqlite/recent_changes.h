#pragma once
// What the last commits changed and the tables of the file do not have yet.
//
// A record's place in its table is anywhere: a commit that wrote its records there would write a page for
// nearly each of them. Here a commit writes one row of ledger_recent that says all it changes, and its
// records stay in memory, where reads find them first. Once there are many they are folded into the tables in
// the order of their keys, those of one page at once, a few with each commit; then the rows go.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "ledger/store.h"

namespace ee::ledger {

// A commit's row of ledger_recent: what it changes but for leaves, tiles and what is appended to tables.
std::string encode_changes(const Changes& changes);

// Shared by the store that writes the file and the readers of this process. Commits are numbered, each after
// the one before: whoever reads the file as it was after commit n asks for what there is as of n. Any thread;
// one writer.
class RecentChanges {
    struct Version {
        std::uint64_t number = 0;                  // the commit
        std::optional<std::string_view> record{};  // in its row; nullopt: erased
    };
    static std::uint64_t start_of(std::string_view key);
    struct KeyHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
    };
    // What a set of them may change does not change their order.
    struct Node {
        Node(std::string_view its_key, const Version& version)
            : start(start_of(its_key)), hash(KeyHash{}(its_key)), key(its_key), newest(version) {}

        const std::uint64_t start;     // of the key: most differ there
        const std::size_t hash;        // of the key
        mutable std::string_view key;  // in the newest version's row
        mutable Version newest;
        mutable std::vector<Version> older{};  // ascending
        mutable std::uint64_t folded = 0;      // the version that was folded last
    };
    struct ByKey {
        using is_transparent = void;
        bool operator()(const Node& a, const Node& b) const {
            return a.start != b.start ? a.start < b.start : a.key < b.key;
        }
        bool operator()(const Node& a, std::string_view b) const { return a.key < b; }
        bool operator()(std::string_view a, const Node& b) const { return a < b.key; }
    };
    using Nodes = std::pmr::set<Node, ByKey>;
    using Place = Nodes::const_iterator;
    struct PlaceHash : KeyHash {
        using KeyHash::operator();
        std::size_t operator()(Place place) const { return place->hash; }
    };
    struct SameKey {
        using is_transparent = void;
        bool operator()(Place a, Place b) const { return a == b; }
        bool operator()(std::string_view a, Place b) const { return a == b->key; }
        bool operator()(Place a, std::string_view b) const { return a->key == b; }
    };
    struct Records {
        explicit Records(std::pmr::memory_resource* memory) : in_order(memory), by_key(memory) {}
        Nodes in_order;
        std::pmr::unordered_set<Place, PlaceHash, SameKey> by_key;  // Most reads are of one key.
        std::atomic<std::size_t> count = 0;  // for readers without the lock: of many tables there are none
    };

public:
    // From so many records, or bytes of rows, on they are folded; when the folding ends there are four fifths
    // as many again. A record takes some 300 bytes of memory.
    struct Limits {
        std::size_t records_max = 98304;
        std::size_t bytes_max = 64u << 20;
    };
    explicit RecentChanges(const Limits& limits);
    RecentChanges(const RecentChanges&) = delete;
    RecentChanges& operator=(const RecentChanges&) = delete;

    // ---- For readers ----

    struct Change {
        std::string key;
        std::optional<std::string> record;  // nullopt: erased
    };
    // nullopt: what there is as of that commit is in the table.
    std::optional<Change> find(Table table, std::string_view key, std::uint64_t as_of) const;
    // Of at most `count` keys from `from` on, or after it, in their order; none: there is no more.
    enum class Start : std::uint8_t { from, after };
    std::vector<Change> scan(Table table, Start start, std::string_view from, std::size_t count,
                             std::uint64_t as_of) const;

    // Had from before a snapshot of the file is taken until it is given back: what was there as of any commit
    // since then stays.
    class Hold {
    public:
        explicit Hold(RecentChanges& changes);
        ~Hold();
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

    private:
        RecentChanges& changes_;
        std::multiset<std::uint64_t>::iterator place_;
    };

    // ---- For the writer, and before anybody reads ----

    // The number of the last commit; 0: there was none.
    std::uint64_t last() const { return last_; }

    // The next row that the file has. `store_unavailable`: it is damaged.
    Result<void> load(std::uint64_t number, std::string row);
    void clear();

    // A table that is folded, from this key on.
    struct Unfolded {
        Table table;
        std::size_t records = 0;  // that it had when the folding began
        std::string from{};
    };

    // What commit last() + 1 is to write into the tables, of each in the order of its keys, and the rows that
    // nobody needs any more once it has.
    struct Fold {
        struct Record {
            Table table;
            std::string_view key;
            std::optional<std::string_view> record;  // nullopt: to be erased
        };
        std::vector<Record> records{};
        std::uint64_t first_row = 0, last_row = 0;  // 0: none

    private:
        friend class RecentChanges;
        std::vector<std::pair<Place, std::uint64_t>> versions{};  // of the records
        std::vector<Unfolded> rest{};                             // what is to be folded after it
    };
    // For a commit of so many records. It lives until committed().
    Fold next_fold(std::size_t records) const;
    // All that there is, for a commit that is the last.
    Fold whole_fold();

    // What commit last() + 1 changes, right before it may be on disk: found as of it from now on. Nothing is
    // added after one of which nobody knows whether it is.
    void add(std::string row);
    void committed(const Fold& fold);

private:
    struct Row {
        std::uint64_t number;
        std::string bytes;
    };
    struct Folded {
        std::uint64_t by;  // the commit
        Table table;
        Place place;
        std::uint64_t version;
    };

    Records& of(Table table) { return tables_[static_cast<std::size_t>(table)]; }
    const Records& of(Table table) const { return tables_[static_cast<std::size_t>(table)]; }
    static const Version* version_of(const Node& node, std::uint64_t as_of);
    class ReaderLock;
    void let_readers(std::unique_lock<std::mutex>& lock) const;
    std::uint64_t oldest_read() const;
    void add_records(const Row& row);
    void begin_folding();
    bool collect(Fold& fold, Unfolded& of, std::size_t records, std::size_t visits) const;
    void forget_folded(std::unique_lock<std::mutex>& lock);

    const Limits limits_;
    mutable std::mutex mutex_;  // The writer alone changes what is below but for held_, and reads it without.
    mutable std::atomic<int> readers_waiting_ = 0;
    std::pmr::unsynchronized_pool_resource memory_;
    std::deque<Records> tables_;
    std::deque<Row> rows_;
    std::size_t records_ = 0, bytes_ = 0;  // of rows that are not being folded
    std::uint64_t last_ = 0;
    std::multiset<std::uint64_t> held_;

    std::uint64_t fold_until_ = 0;    // rows up to this one are being folded, or are
    std::vector<Unfolded> unfolded_;  // none: nothing is being folded
    std::size_t folding_ = 0;         // records when it began
    std::uint64_t first_row_ = 1;     // in the file
    std::deque<Folded> folded_;       // and may be read as of commits before
};

}  // namespace ee::ledger

#include "ledger/sqlite/recent_changes.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/big_endian.h"
#include "base/check.h"

namespace ee::ledger {
namespace {

// In place of a record, and of how many bytes it has.
constexpr std::string_view erased = "\xff\xff\xff\xff";
constexpr std::uint64_t rows_at_once = 4;        // deleted by one commit, which adds one
constexpr std::size_t records_at_least = 16;     // folded by one commit
constexpr std::size_t visits_at_least = 16;      // of one table, and four times as many as are folded
constexpr std::size_t forgotten_at_once = 4096;  // records; when a reader has held many for long
constexpr int yields_max = 1000;                 // for readers that wait
constexpr std::size_t changed_at_once = 16;      // records, before readers have their turn

// Goes from record to record, to the end of the row or to where it is damaged.
class RowReader {
public:
    explicit RowReader(std::string_view row) : rest_(row) {}

    bool next() {
        if (rest_.empty() || is_damaged_) return false;
        const auto number = static_cast<std::uint8_t>(rest_[0]);
        is_damaged_ = number >= table_count;
        table = static_cast<Table>(number);
        rest_.remove_prefix(1);
        key = take();
        const bool is_erased = rest_.starts_with(erased);
        if (is_erased) rest_.remove_prefix(erased.size());
        record = is_erased ? std::nullopt : std::optional(take());
        return !is_damaged_;
    }
    bool is_damaged() const { return is_damaged_; }

    Table table{};
    std::string_view key{};
    std::optional<std::string_view> record{};  // nullopt: erased

private:
    std::string_view take() {
        const auto taken = take_counted(rest_);
        is_damaged_ = is_damaged_ || !taken;
        return taken.value_or("");
    }

    std::string_view rest_;
    bool is_damaged_ = false;
};

bool is_whole(std::string_view row) {
    RowReader in(row);
    while (in.next()) {
    }
    return !in.is_damaged();
}

}  // namespace

std::string encode_changes(const Changes& changes) {
    std::size_t bytes = 0;
    for_each_unappended(changes, [&](Table, std::string_view key, const auto& record) {
        bytes += 1 + 2 * erased.size() + key.size() + (record ? record->size() : 0);
    });
    std::string row;
    row.reserve(bytes);
    for_each_unappended(changes, [&](Table table, std::string_view key, const auto& record) {
        EE_CHECK(!record || record->size() < UINT32_MAX);
        row.push_back(static_cast<char>(table));
        append_counted(row, key);
        record ? append_counted(row, *record) : void(row.append(erased));
    });
    return row;
}

// Its order is that of the keys, which are compared where they begin alike.
std::uint64_t RecentChanges::start_of(std::string_view key) {
    std::uint64_t start = 0;
    for (std::size_t i = 0; i < 8; ++i)
        start = start << 8 | (i < key.size() ? static_cast<std::uint8_t>(key[i]) : 0);
    return start;
}

RecentChanges::RecentChanges(const Limits& limits) : limits_(limits) {
    for (std::size_t table = 0; table < table_count; ++table) tables_.emplace_back(&memory_);
}

// The writer lets those who wait go first.
class RecentChanges::ReaderLock {
public:
    explicit ReaderLock(const RecentChanges& changes) {
        changes.readers_waiting_.fetch_add(1, std::memory_order_relaxed);
        lock_ = std::unique_lock(changes.mutex_);
        changes.readers_waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

private:
    std::unique_lock<std::mutex> lock_;
};

void RecentChanges::let_readers(std::unique_lock<std::mutex>& lock) const {
    if (readers_waiting_.load(std::memory_order_relaxed) == 0) return;
    lock.unlock();
    for (int i = 0; i < yields_max && readers_waiting_.load(std::memory_order_relaxed) > 0; ++i)
        std::this_thread::yield();
    lock.lock();
}

// ---- For readers ----

const RecentChanges::Version* RecentChanges::version_of(const Node& node, std::uint64_t as_of) {
    if (node.newest.number <= as_of) return &node.newest;
    for (auto version = node.older.rbegin(); version != node.older.rend(); ++version)
        if (version->number <= as_of) return &*version;
    return nullptr;
}

std::optional<RecentChanges::Change> RecentChanges::find(Table table, std::string_view key,
                                                         std::uint64_t as_of) const {
    if (of(table).count.load(std::memory_order_acquire) == 0) return std::nullopt;
    const ReaderLock lock(*this);
    const auto& places = of(table).by_key;
    const auto found = places.find(key);
    if (found == places.end()) return std::nullopt;
    const Version* version = version_of(**found, as_of);
    if (version == nullptr) return std::nullopt;
    return Change{{}, version->record ? std::optional<std::string>(*version->record) : std::nullopt};
}

std::vector<RecentChanges::Change> RecentChanges::scan(Table table, Start start, std::string_view from,
                                                       std::size_t count, std::uint64_t as_of) const {
    const ReaderLock lock(*this);
    const Nodes& nodes = of(table).in_order;
    std::vector<Change> changes;
    auto place = start == Start::from ? nodes.lower_bound(from) : nodes.upper_bound(from);
    for (; place != nodes.end() && changes.size() < count; ++place)
        if (const Version* version = version_of(*place, as_of))
            changes.push_back({std::string(place->key), version->record
                                                            ? std::optional<std::string>(*version->record)
                                                            : std::nullopt});
    return changes;
}

RecentChanges::Hold::Hold(RecentChanges& changes) : changes_(changes) {
    const ReaderLock lock(changes_);
    place_ = changes_.held_.insert(changes_.last_);
}

RecentChanges::Hold::~Hold() {
    const ReaderLock lock(changes_);
    changes_.held_.erase(place_);
}

std::uint64_t RecentChanges::oldest_read() const {
    return held_.empty() ? last_ : *held_.begin();
}

// ---- For the writer ----

Result<void> RecentChanges::load(std::uint64_t number, std::string row) {
    if (!is_whole(row))
        return fail(
            "store_unavailable",
            fmt::format("row {} of ledger_recent is damaged; restore a backup of the file at EE_DB_PATH",
                        number));
    EE_CHECK(number > last_);
    rows_.push_back({number, std::move(row)});
    last_ = number - 1;  // What it supersedes is not read any more.
    add_records(rows_.back());
    last_ = number;
    if (rows_.size() == 1) first_row_ = number;
    return {};
}

void RecentChanges::clear() {
    EE_CHECK(held_.empty());
    for (Records& records : tables_) {
        records.by_key.clear();
        records.in_order.clear();
        records.count = 0;
    }
    rows_.clear();
    folded_.clear();
    records_ = bytes_ = 0;
    last_ = fold_until_ = 0;
    first_row_ = 1;
    unfolded_.clear();
}

// Of the versions of a record stays the newest that every reader may read, and what came after it.
void RecentChanges::add_records(const Row& row) {
    std::unique_lock lock(mutex_);
    std::size_t changed = 0;
    for (RowReader in(row.bytes); in.next(); ++changed) {
        if (changed % changed_at_once == 0) let_readers(lock);
        const Version version{row.number, in.record};
        Records& records = of(in.table);
        const auto found = records.by_key.find(in.key);
        if (found == records.by_key.end()) {
            // Of some tables each key comes after those before.
            records.by_key.insert(records.in_order.emplace_hint(records.in_order.end(), in.key, version));
            records.count.store(records.in_order.size(), std::memory_order_release);
            continue;
        }
        const Node& node = **found;
        node.key = in.key;
        node.older.push_back(std::exchange(node.newest, version));
        auto first_kept = std::prev(node.older.end());
        while (first_kept != node.older.begin() && first_kept->number > oldest_read()) --first_kept;
        node.older.erase(node.older.begin(), first_kept);
    }
    records_ += changed;
    bytes_ += row.bytes.size();
}

void RecentChanges::add(std::string row) {
    rows_.push_back({last_ + 1, std::move(row)});
    add_records(rows_.back());
}

// A quarter more than the commit changes: the folding ends before there are too many again, and no commit has
// much more to write than others. It goes through all tables at a time, for a record of some costs much more
// than one of others: each has a page of its own.
RecentChanges::Fold RecentChanges::next_fold(std::size_t records) const {
    Fold fold;
    const std::size_t at_once = records_at_least + records + records / 4;
    for (Unfolded of : unfolded_) {
        const std::size_t share = at_once * of.records / folding_ + 1;
        if (!collect(fold, of, share, visits_at_least + 4 * share)) fold.rest.push_back(std::move(of));
    }
    if (unfolded_.empty() && first_row_ <= fold_until_) {
        fold.first_row = first_row_;
        fold.last_row = std::min(fold_until_, first_row_ + rows_at_once - 1);
    }
    return fold;
}

RecentChanges::Fold RecentChanges::whole_fold() {
    begin_folding();
    Fold fold;
    for (Unfolded& of : unfolded_) collect(fold, of, SIZE_MAX, SIZE_MAX);
    fold.first_row = first_row_;
    fold.last_row = last_;
    return fold;
}

void RecentChanges::begin_folding() {
    fold_until_ = last_;
    unfolded_.clear();
    folding_ = 0;
    for (std::size_t table = 0; table < table_count; ++table) {
        const std::size_t count = tables_[table].in_order.size();
        if (count > 0) unfolded_.push_back({.table = static_cast<Table>(table), .records = count});
        folding_ += count;
    }
    records_ = bytes_ = 0;
}

// Whether that was the rest of it.
bool RecentChanges::collect(Fold& fold, Unfolded& of_table, std::size_t records, std::size_t visits) const {
    const Nodes& nodes = of(of_table.table).in_order;
    for (auto place = nodes.lower_bound(of_table.from); place != nodes.end(); ++place) {
        if (records == 0 || visits-- == 0) {
            of_table.from = place->key;
            return false;
        }
        const Node& node = *place;
        const std::uint64_t oldest = node.older.empty() ? node.newest.number : node.older.front().number;
        if (oldest > fold_until_ || node.newest.number == node.folded) continue;
        fold.records.push_back({of_table.table, node.key, node.newest.record});
        fold.versions.emplace_back(place, node.newest.number);
        --records;
    }
    return true;
}

void RecentChanges::committed(const Fold& fold) {
    EE_CHECK(rows_.back().number == last_ + 1);
    std::unique_lock lock(mutex_);
    ++last_;
    for (std::size_t i = 0; i < fold.records.size(); ++i) {
        const auto& [place, version] = fold.versions[i];
        place->folded = version;
        folded_.push_back({last_, fold.records[i].table, place, version});
    }
    if (!unfolded_.empty()) {
        unfolded_ = fold.rest;
    } else if (fold.last_row > 0) {
        first_row_ = fold.last_row + 1;
    } else if (records_ >= limits_.records_max || bytes_ >= limits_.bytes_max) {
        begin_folding();
    }
    forget_folded(lock);
}

// What every reader finds in the tables.
void RecentChanges::forget_folded(std::unique_lock<std::mutex>& lock) {
    for (std::size_t i = 0; i < forgotten_at_once && !folded_.empty(); ++i) {
        if (i % changed_at_once == 0) let_readers(lock);
        const Folded& folded = folded_.front();
        if (folded.by > oldest_read()) break;
        Records& records = of(folded.table);
        const Node& node = *folded.place;
        if (node.newest.number > folded.version) {
            std::erase_if(node.older,
                          [&](const Version& version) { return version.number <= folded.version; });
        } else {
            records.by_key.erase(folded.place);
            records.in_order.erase(folded.place);
            records.count.store(records.in_order.size(), std::memory_order_release);
        }
        folded_.pop_front();
    }
    if (!unfolded_.empty() || !folded_.empty()) return;
    for (std::size_t i = 0; i < rows_at_once && rows_.front().number <= fold_until_; ++i) rows_.pop_front();
}

}  // namespace ee::ledger

#include "ledger/leaf_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::ledger {
namespace {

// Reads the lines of one account, a record of them at a time.
class Journal {
public:
    Journal(const Batch& books, const Account& account) : books_(books), account_(account) {}

    std::uint64_t size() const { return account_.entries; }
    const EntryLine& line(std::uint64_t number) {
        const std::uint64_t record = number / lines_in_record;
        if (record == account_.entries / lines_in_record) return account_.newest[number % lines_in_record];
        if (record_ != record) lines_ = lines_of(books_, account_, record);
        record_ = record;
        return lines_[number % lines_in_record];
    }
    // The first line that is not of an earlier leaf; size(): there is none. What is checked lies near the
    // end.
    std::uint64_t first_from(std::uint64_t leaf) {
        std::uint64_t last = size(), width = 1;
        for (; width <= last && line(last - width).leaf_index >= leaf; width *= 2) last -= width;
        std::uint64_t first = width <= last ? last - width + 1 : 0;
        while (first < last) {
            const std::uint64_t middle = first + (last - first) / 2;
            if (line(middle).leaf_index < leaf)
                first = middle + 1;
            else
                last = middle;
        }
        return first;
    }

private:
    const Batch& books_;
    const Account& account_;
    std::optional<std::uint64_t> record_;
    EntryLines lines_;
};

std::string checkpoint_key(std::uint64_t size) {
    return KeyWriter().number(size);
}

}  // namespace

bool LeafCheck::step(const Store& store, std::uint64_t count, CheckReport& report) {
    if (!is_open_) return open(store, report);
    const bool has_read = is_broken_ || next_ == target_.size;
    if (!is_comparing_ && !has_read) {
        read_leaves(store, count, report);
        is_comparing_ = row_entries_ >= row_max_;
        return true;
    }
    compare_accounts(store, count, report);
    is_comparing_ = !accounts_.empty();
    if (is_comparing_ || !has_read) return true;
    if (!is_broken_ && tree_.head() != target_)
        report.find("root",
                    fmt::format("the newest checkpoint has another root than the {} leaves", target_.size));
    return false;
}

// The log as its newest checkpoint has it, and the tree as it was where this check begins.
bool LeafCheck::open(const Store& store, CheckReport& report) {
    LogReader reader(store);
    const auto tree = reader.load();
    if (!tree) {
        report.find("root", tree.error().detail);
        return false;
    }
    target_ = tree->head();
    identity_ = identity_of(store);
    // Receipts of the newest leaves are under it.
    const auto head = newest_head(store);
    const auto kept = head ? store.get(Table::checkpoints, checkpoint_key(head->head.size)) : std::nullopt;
    if (head && !kept)
        report.find("root",
                    fmt::format("the checkpoint of {} leaves, the newest one, is missing", head->head.size));
    if (kept && SignedHead::decode(*kept) != *head)
        report.find("root",
                    fmt::format("the checkpoint of {} leaves, the newest one, is not what is kept as it",
                                head->head.size));
    if (from_ > 0) {
        auto opened = reader.load_at(*tree, from_);
        if (!opened) {
            report.find("root", opened.error().detail);
            return false;
        }
        tree_ = *std::move(opened);
        if (checkpoint_at(store, from_))
            compare_checkpoint(report);
        else
            report.find("root",
                        fmt::format("{} leaves were found good, and no checkpoint has as many", from_));
        if (const auto before = last_leaf(store, from_)) time_us_ = before->time_us;
    }
    is_open_ = true;
    return next_ < target_.size;
}

void LeafCheck::read_leaves(const Store& store, std::uint64_t count, CheckReport& report) {
    const auto broken = [&](std::string_view what) {
        is_broken_ = true;
        report.find("leaves", fmt::format("leaf {}{}", next_, what));
    };
    for (; count > 0 && next_ < target_.size && row_entries_ < row_max_; --count, ++next_) {
        const auto bytes = store.leaf(next_);
        if (!bytes) return broken(" is missing");
        const auto leaf = decode_leaf(as_bytes(*bytes));
        if (!leaf) return broken(fmt::format(": {}", leaf.error().detail));
        ++report.leaves;
        if (leaf->seq != next_)
            report.find("seq_is_dense", fmt::format("leaf {} calls itself {}", next_, leaf->seq));
        if (leaf->time_us < time_us_)
            report.find("time_goes_on", fmt::format("leaf {} is earlier than the one before", next_));
        time_us_ = leaf->time_us;
        if (leaf->kind == LeafKind::entry) follow(next_, *leaf, report);
        if (leaf->kind == LeafKind::log_key) remember_key(next_, *leaf);
        if (on_leaf_) on_leaf_(next_, *leaf);
        tree_.append(log_leaf_hash(salt_of(*identity_, next_), as_bytes(*bytes)), full_);
        compare_tiles(store, report);
        if (checkpoint_at(store, next_ + 1)) compare_checkpoint(report);
    }
}

void LeafCheck::compare_tiles(const Store& store, CheckReport& report) {
    for (const Tile& tile : full_) {
        const auto kept = store.tile(tile.level, tile.index);
        if (!kept || !std::ranges::equal(tile.hashes, as_bytes(*kept)))
            report.find("tiles",
                        fmt::format("tile {} of level {} is not that of the leaves", tile.index, tile.level));
    }
    full_.clear();
}

// Whether there is one of this size, which is not smaller than the last time. There is one for every commit,
// of many leaves.
bool LeafCheck::checkpoint_at(const Store& store, std::uint64_t size) {
    const std::string key = checkpoint_key(size);
    if (checkpoint_.key < key) {
        checkpoint_ = {.key = checkpoint_key(UINT64_MAX), .record = {}};
        store.scan(Table::checkpoints, key, [&](std::string_view found, std::string_view record) {
            checkpoint_ = {.key = std::string(found), .record = std::string(record)};
            return false;
        });
    }
    return checkpoint_.key == key;
}

void LeafCheck::compare_checkpoint(CheckReport& report) const {
    const SignedHead kept = SignedHead::decode(checkpoint_.record);
    if (kept.head != tree_.head())
        report.find("root",
                    fmt::format("the checkpoint of {} leaves has another root than they", tree_.size()));
    // Receipts carry the note.
    const auto noted = checkpoint_in_note(kept);
    if (!noted)
        report.find("notes",
                    fmt::format("the checkpoint of {} leaves: {}", tree_.size(), noted.error().detail));
    else if (*noted != Checkpoint{.log_id = identity_->log_id, .head = kept.head})
        report.find("notes",
                    fmt::format("the checkpoint of {} leaves has a note of {} leaves of log {}, root {}",
                                tree_.size(), noted->head.size, noted->log_id, to_hex(noted->head.root)));
}

Result<Checkpoint> LeafCheck::checkpoint_in_note(const SignedHead& kept) const {
    if (signatures_ == Signatures::verified) {
        const auto key = keys_.find(kept.log_key_index);
        if (key != keys_.end()) return verify_checkpoint(kept.note, key->second);
        return fail("log_key_missing", fmt::format("leaf {} is no key before it", kept.log_key_index));
    }
    auto parsed = parse_checkpoint(kept.note);
    if (!parsed) return fail(std::move(parsed.error()));
    return std::move(parsed->checkpoint);
}

void LeafCheck::remember_key(std::uint64_t index, const Leaf& leaf) {
    ByteArray<32> raw;
    std::copy_n(leaf.bytes("public_key").begin(), raw.size(), raw.begin());
    keys_.emplace(index, crypto::Ed25519PublicKey::from_raw(raw));
}

// An entry continues the one before of its account.
void LeafCheck::follow(std::uint64_t index, const Leaf& leaf, CheckReport& report) {
    ++entries_;
    const State after{Money(leaf.i64("available_after")), Money(leaf.i64("locked_after"))};
    const auto available = checked_subtract(after.available, Money(leaf.i64("available_delta")));
    const auto locked = checked_subtract(after.locked, Money(leaf.i64("locked_delta")));
    const std::string_view account = leaf.text("account");
    if (!available || !locked)
        return report.find("balance_is_its_entries",
                           fmt::format("leaf {} of {} changes more than there can be", index, account));
    const State before{*available, *locked};
    const auto [place, is_first] = accounts_.try_emplace(std::string(account));
    Entries& entries = place->second;
    if (is_first)
        entries.before = before;
    else if (before != entries.all.back().after)
        report.find("balance_is_its_entries", fmt::format("leaf {} does not continue leaf {} of {}", index,
                                                          entries.all.back().leaf, account));
    entries.all.push_back({index, after, leaf.time_us});
    ++row_entries_;
}

LeafCheck::State LeafCheck::state_of(const EntryLine& line) {
    return {line.available, line.locked};
}

void LeafCheck::compare_accounts(const Store& store, std::uint64_t count, CheckReport& report) {
    const Batch books(store);  // nothing is written into it
    for (auto next = accounts_.begin(); next != accounts_.end() && count > 0; --count) {
        compare_journal(books, next->first, next->second, report);
        next = accounts_.erase(next);
    }
    if (!accounts_.empty()) return;
    row_ = next_;
    row_entries_ = 0;
}

// The entries that were read are the lines of the account's journal in this row of leaves, and continue it.
void LeafCheck::compare_journal(const Batch& books, std::string_view name, const Entries& entries,
                                CheckReport& report) const {
    const auto account = find_account(books, name);
    if (!account)
        return report.find("balance_is_its_entries", fmt::format("leaf {} is of {}, which is no account",
                                                                 entries.all.back().leaf, name));
    compare_with_last_line(books, name, *account, report);
    Journal journal(books, *account);
    const std::uint64_t first = journal.first_from(row_);
    const State before = first == 0 ? State{} : state_of(journal.line(first - 1));
    if (before != entries.before)
        report.find(
            "balance_is_its_entries",
            fmt::format("leaf {} does not continue what {} had before: {} USD available, {} locked",
                        entries.all.front().leaf, name, to_usd(before.available), to_usd(before.locked)));
    std::uint64_t number = first;
    for (const Entry& entry : entries.all) {
        if (number == journal.size() || journal.line(number).leaf_index != entry.leaf)
            return report.find("entries", fmt::format("leaf {} is not line {} of the journal of {}",
                                                      entry.leaf, number, name));
        const EntryLine line = journal.line(number++);
        if (to_us(line.at) != entry.time_us)
            return report.find(
                "entries", fmt::format("leaf {} is of {}, its line in the journal of {} of {}", entry.leaf,
                                       to_text(from_us(entry.time_us)), name, to_text(line.at)));
        if (const State kept = state_of(line); kept != entry.after)
            return report.find(
                "balance_is_its_entries",
                fmt::format("{} has {} USD available and {} locked at leaf {}; by its journal {} and {}",
                            name, to_usd(entry.after.available), to_usd(entry.after.locked), entry.leaf,
                            to_usd(kept.available), to_usd(kept.locked)));
    }
    // What follows was appended later: it is of leaves that were not read.
    if (number == journal.size()) return;
    const std::uint64_t next = journal.line(number).leaf_index;
    if (next < next_ || next >= books.leaf_count())
        report.find("entries",
                    fmt::format("leaf {} is in the journal of {}, and is no entry of it", next, name));
}

void compare_with_last_line(const Batch& books, std::string_view name, const Account& account,
                            CheckReport& report) {
    const EntryLine last = account.entries == 0 ? EntryLine{} : line_of(books, account, account.entries - 1);
    if (account.available != last.available || account.locked != last.locked)
        report.find("balance_is_its_entries",
                    fmt::format("{} has {} USD available and {} locked; its entries come to {} and {}", name,
                                to_usd(account.available), to_usd(account.locked), to_usd(last.available),
                                to_usd(last.locked)));
}

}  // namespace ee::ledger

#include "ledger/ledger_check.h"

#include <unordered_map>

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/books.h"
#include "ledger/log.h"

namespace ee::ledger {
namespace {

constexpr std::string_view verified_key = "verified";

class Check {
public:
    Check(const Store& store, std::uint64_t from) : store_(store), batch_(store), from_(from) {}

    CheckReport run() {
        try {
            read_accounts();
            read_held_locks();
            compare_sums();
            read_leaves();
            compare_entries();
        } catch (const DamagedRecord& damage) {
            find("records", damage.what());
        }
        return std::move(report_);
    }

private:
    void find(std::string_view invariant, std::string what) {
        if (report_.findings.size() < CheckReport::findings_max)
            report_.findings.push_back(fmt::format("{}: {}", invariant, what));
    }

    void read_accounts() {
        store_.scan(Table::accounts, "", [&](std::string_view name, std::string_view record) {
            const Account account = Account::decode(record);
            ++report_.accounts;
            add(sums_.available, account.available);
            add(sums_.locked, account.locked);
            const auto type = type_of(name);
            if (!type) find("accounts", fmt::format("an account is called {}", name));
            if (name == issued_account) sums_.issued = checked_negate(account.available).value_or(Money{});
            const bool may_be_below = type && may_be_negative(*type);
            if ((account.available.is_negative() && !may_be_below) || account.locked.is_negative())
                find("balance_not_negative", fmt::format("{} has {} USD available and {} locked", name,
                                                         to_usd(account.available), to_usd(account.locked)));
            locked_.emplace(name, Locked{account.locked, account.held_locks});
            return true;
        });
    }

    // Each held lock is held once, and they make up what its account has locked.
    void read_held_locks() {
        store_.scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
            const std::uint64_t id = lock_id_of(key);
            const auto record = store_.get(Table::locks, Lock::key(id));
            if (!record) {
                find("locks", fmt::format("lock {} is held and not there", id));
                return true;
            }
            const Lock lock = Lock::decode(*record);
            ++report_.held_locks;
            add(sums_.held, lock.amount);
            if (lock.state != LockState::held || lock.drawn > lock.amount)
                find("locks", fmt::format("lock {} is {} and held, {} of {} USD drawn", id,
                                          to_word(lock.state), to_usd(lock.drawn), to_usd(lock.amount)));
            const auto account = locked_.find(lock.account);
            if (account == locked_.end()) {
                find("locks", fmt::format("lock {} is of {}, which is no account", id, lock.account));
                return true;
            }
            account->second.amount =
                checked_subtract(account->second.amount, lock.amount).value_or(Money{-1});
            --account->second.locks;
            return true;
        });
        for (const auto& [name, left] : locked_)
            if (!left.amount.is_zero() || left.locks != 0)
                find("locked_is_held",
                     fmt::format("{} USD that {} has locked are of no held lock", to_usd(left.amount), name));
    }

    void compare_sums() {
        if (!sums_.is_balanced())
            find("sum_is_zero",
                 fmt::format("accounts hold {} USD available and {} locked, held locks {}, {} are issued",
                             to_usd(sums_.available), to_usd(sums_.locked), to_usd(sums_.held),
                             to_usd(sums_.issued)));
        if (sums_of(Batch(store_)) != sums_)
            find("sums", "the sums that were kept are not those of the accounts");
    }

    // The leaves in order: each is what the log says, and what follows from the one before.
    void read_leaves() {
        LogReader reader(store_);
        const auto tree = reader.load();
        if (!tree) return find("root", tree.error().detail);
        // Receipts of the newest leaves are under it.
        const auto head = newest_head(store_);
        if (head && !store_.get(Table::checkpoints, std::string(KeyWriter().number(head->head.size))))
            find("root",
                 fmt::format("the checkpoint of {} leaves, the newest one, is missing", head->head.size));
        const auto identity = identity_of(store_);
        TreeFold fold{.size = from_, .tree = {}};
        if (!open_fold(reader, *tree, fold)) return;
        for (std::uint64_t index = from_; index < tree->size(); ++index) {
            const auto bytes = store_.leaf(index);
            if (!bytes) return find("leaves", fmt::format("leaf {} is missing", index));
            const auto leaf = decode_leaf(as_bytes(*bytes));
            if (!leaf) return find("leaves", fmt::format("leaf {}: {}", index, leaf.error().detail));
            ++report_.leaves;
            if (leaf->seq != index)
                find("seq_is_dense", fmt::format("leaf {} calls itself {}", index, leaf->seq));
            if (leaf->time_us < time_us_)
                find("time_goes_on", fmt::format("leaf {} is earlier than the one before", index));
            time_us_ = leaf->time_us;
            if (leaf->kind == LeafKind::entry) follow(index, *leaf);
            fold.tree.append(log_leaf_hash(salt_of(*identity, index), as_bytes(*bytes)), fold.full);
            compare_tiles(fold);
            compare_checkpoint(fold.tree);
        }
    }

    struct TreeFold {
        std::uint64_t size;
        LogTree tree;
        std::vector<Tile> full{};
    };
    // The tree as it was at `from`.
    bool open_fold(LogReader& reader, const LogTree& tree, TreeFold& fold) {
        if (from_ == 0) return true;
        auto opened = reader.load_at(tree, from_);
        if (!opened) {
            find("root", opened.error().detail);
            return false;
        }
        fold.tree = *std::move(opened);
        return true;
    }

    void compare_tiles(TreeFold& fold) {
        for (const Tile& tile : fold.full) {
            const auto kept = store_.tile(tile.level, tile.index);
            if (!kept || as_bytes(*kept).size() != tile.hashes.size() ||
                !std::equal(tile.hashes.begin(), tile.hashes.end(), as_bytes(*kept).begin()))
                find("tiles",
                     fmt::format("tile {} of level {} is not that of the leaves", tile.index, tile.level));
        }
        fold.full.clear();
    }

    void compare_checkpoint(const LogTree& tree) {
        const auto record = store_.get(Table::checkpoints, std::string(KeyWriter().number(tree.size())));
        if (!record) return;
        if (SignedHead::decode(*record).head != tree.head())
            find("root", fmt::format("the checkpoint of {} leaves has another root than they", tree.size()));
    }

    // An entry continues the one before of its account, as far as that was read.
    void follow(std::uint64_t index, const Leaf& leaf) {
        Balance after{Money(leaf.i64("available_after")), Money(leaf.i64("locked_after")), index, 1};
        const auto before = checked_subtract(after.available, Money(leaf.i64("available_delta")));
        const auto locked_before = checked_subtract(after.locked, Money(leaf.i64("locked_delta")));
        const auto [place, is_first] = balances_.try_emplace(std::string(leaf.text("account")), after);
        if (is_first && from_ == 0 && (before != Money{} || locked_before != Money{}))
            find("balance_is_its_entries",
                 fmt::format("the first entry of {} is leaf {}, and does not begin at 0",
                             leaf.text("account"), index));
        if (is_first) return;
        if (before != place->second.available || locked_before != place->second.locked)
            find("balance_is_its_entries", fmt::format("leaf {} does not continue leaf {} of {}", index,
                                                       place->second.leaf, leaf.text("account")));
        after.entries = place->second.entries + 1;
        place->second = after;
    }

    void compare_entries() {
        for (const auto& [name, balance] : balances_) {
            const auto record = store_.get(Table::accounts, name);
            if (!record) {
                find("balance_is_its_entries",
                     fmt::format("leaf {} is of {}, which is no account", balance.leaf, name));
                continue;
            }
            const Account account = Account::decode(*record);
            if (account.available != balance.available || account.locked != balance.locked)
                find("balance_is_its_entries",
                     fmt::format("{} has {} USD available and {} locked; its entries come to {} and {}", name,
                                 to_usd(account.available), to_usd(account.locked), to_usd(balance.available),
                                 to_usd(balance.locked)));
            if (from_ == 0 && account.entries != balance.entries)
                find("entries", fmt::format("{} counts {} entries, the log has {}", name, account.entries,
                                            balance.entries));
            if (account.entries == 0 ||
                line_of(batch_, account, account.entries - 1).leaf_index != balance.leaf)
                find("entries",
                     fmt::format("the last line of {}'s journal is not leaf {}", name, balance.leaf));
        }
        if (from_ != 0) return;
        // An account that no entry is of has never held anything.
        store_.scan(Table::accounts, "", [&](std::string_view name, std::string_view record) {
            const Account account = Account::decode(record);
            if (!balances_.contains(std::string(name)) &&
                (!account.available.is_zero() || !account.locked.is_zero()))
                find("balance_is_its_entries", fmt::format("{} has a balance and no entries", name));
            return true;
        });
    }

    static void add(Money& sum, Money more) { sum = checked_add(sum, more).value_or(Money{}); }

    struct Locked {
        Money amount;
        std::uint64_t locks;
    };
    struct Balance {
        Money available;
        Money locked;
        std::uint64_t leaf;
        std::uint64_t entries;
    };

    const Store& store_;
    const Batch batch_;  // nothing is written into it
    std::uint64_t from_;
    CheckReport report_;
    Sums sums_;
    std::unordered_map<std::string, Locked> locked_;
    std::unordered_map<std::string, Balance> balances_;
    std::int64_t time_us_ = INT64_MIN;
};

}  // namespace

CheckReport check_ledger(const Store& store, std::uint64_t from) {
    return Check(store, from).run();
}

std::uint64_t verified_size(const Store& store) {
    const auto record = store.get(Table::meta, verified_key);
    return record ? number_at(*record, 0) : 0;
}

Changes remember_verified(std::uint64_t size) {
    Changes changes;
    std::string number;
    append_number(number, size);
    changes.of(Table::meta).emplace_back(verified_key, std::move(number));
    return changes;
}

}  // namespace ee::ledger

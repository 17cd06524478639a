#include "ledger/ledger_check.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/books.h"
#include "ledger/leaf_check.h"
#include "ledger/lock_check.h"
#include "ledger/meta_record.h"
#include "ledger/settlement_check.h"

namespace ee::ledger {
namespace {

constexpr std::string_view verified_key = "verified";
constexpr std::uint64_t leaves_in_step = 4096;  // of one moment, all the same
// Each row looks up where it begins in a journal; memory holds all accounts meanwhile anyway.
constexpr std::size_t entries_in_row = std::size_t{1} << 19;

class Check {
public:
    // Without `from`: from where the last one ended.
    Check(const Store& store, std::optional<std::uint64_t> from)
        : store_(store), batch_(store), from_(from) {}

    CheckReport run() {
        try {
            read_accounts();
            read_held_locks();
            compare_sums();
            check_leaves();
        } catch (const DamagedRecord& damage) {
            report_.find("records", damage.what());
        }
        return std::move(report_);
    }

private:
    void read_accounts() {
        std::vector<std::uint64_t> numbers;
        store_.scan(Table::accounts, "", [&](std::string_view name, std::string_view record) {
            const Account account = Account::decode(record);
            ++report_.accounts;
            numbers.push_back(account.number);
            add(sums_.available, account.available);
            add(sums_.locked, account.locked);
            const auto type = type_of(name);
            if (!type) report_.find("accounts", fmt::format("an account is called {}", name));
            if (name == issued_account) sums_.issued = checked_negate(account.available).value_or(Money{});
            const bool may_be_below = type && may_be_negative(*type);
            if ((account.available.is_negative() && !may_be_below) || account.locked.is_negative())
                report_.find("balance_not_negative",
                             fmt::format("{} has {} USD available and {} locked", name,
                                         to_usd(account.available), to_usd(account.locked)));
            lines_ += account.entries;
            compare_with_last_line(batch_, name, account, of_journals_);
            if (!account.locked.is_zero() || account.held_locks != 0)
                locked_.emplace(name, Locked{account.locked, account.held_locks});
            return true;
        });
        // By their number their journals are told apart.
        std::ranges::sort(numbers);
        for (std::uint64_t number = 0; number < numbers.size(); ++number)
            if (numbers[number] != number) {
                report_.find("accounts", fmt::format("no account or more than one has number {}", number));
                break;
            }
        if (const std::uint64_t opened = account_count(batch_); opened != report_.accounts)
            report_.find("accounts", fmt::format("{} were opened, {} are there", opened, report_.accounts));
    }

    // Each held lock is held once, and they make up what its account has locked.
    void read_held_locks() {
        store_.scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
            const std::uint64_t id = lock_id_of(key);
            const auto record = store_.get(Table::locks, Lock::key(id));
            if (!record) {
                report_.find("locks", fmt::format("lock {} is held and not there", id));
                return true;
            }
            const Lock lock = Lock::decode(*record);
            ++report_.held_locks;
            add(sums_.held, lock.amount);
            if (lock.state != LockState::held || lock.drawn > lock.amount)
                report_.find("locks",
                             fmt::format("lock {} is {} and held, {} of {} USD drawn", id,
                                         to_word(lock.state), to_usd(lock.drawn), to_usd(lock.amount)));
            if (held_lock_key(lock, id) != key)
                report_.find("locks",
                             fmt::format("lock {} is held in another unit or by another account", id));
            compare_with_leaf(store_, id, lock, report_);
            const auto account = locked_.find(lock.account);
            if (account == locked_.end()) {
                report_.find("locks", fmt::format("lock {} is of {}, which {}", id, lock.account,
                                                  find_account(batch_, lock.account) ? "has nothing locked"
                                                                                     : "is no account"));
                return true;
            }
            account->second.amount =
                checked_subtract(account->second.amount, lock.amount).value_or(Money{-1});
            --account->second.locks;
            return true;
        });
        for (const auto& [name, left] : locked_)
            if (!left.amount.is_zero() || left.locks != 0)
                report_.find("locked_is_held", fmt::format("{} USD that {} has locked are of no held lock",
                                                           to_usd(left.amount), name));
    }

    void compare_sums() {
        if (!sums_.is_balanced())
            report_.find(
                "sum_is_zero",
                fmt::format("accounts hold {} USD available and {} locked, held locks {}, {} are issued",
                            to_usd(sums_.available), to_usd(sums_.locked), to_usd(sums_.held),
                            to_usd(sums_.issued)));
        if (sums_of(Batch(store_)) != sums_)
            report_.find("sums", "the sums that were kept are not those of the accounts");
    }

    // What lies after `from`, and of all accounts that their journals come to what they have.
    void check_leaves() {
        const std::uint64_t from = from_ ? *from_ : verified_size(store_);
        using enum LeafCheck::Signatures;
        const bool is_whole = from_ == std::uint64_t{0};
        LockCheck locks;
        std::uint64_t settlements = 0;
        LeafCheck leaves(from, entries_in_row, is_whole ? verified : passed_over);
        if (is_whole)
            leaves.on_leaf([&](std::uint64_t index, const Leaf& leaf) {
                locks.follow(index, leaf, report_);
                settlements += leaf.kind == LeafKind::settlement ? 1 : 0;
            });
        while (leaves.step(store_, leaves_in_step, report_)) {
        }
        if (is_whole && report_.is_good()) {
            locks.compare_held(store_, report_);
            compare_settlements(store_, settlements, report_);
        }
        for (const std::string& finding : of_journals_.findings)
            if (report_.findings.size() < CheckReport::findings_max) report_.findings.push_back(finding);
        // With no leaf left out, each account's entries were found in its journal: there are no others.
        if (from == 0 && report_.is_good() && lines_ != leaves.entries())
            report_.find("entries",
                         fmt::format("{} lines are in the accounts' journals, the log has {} entries", lines_,
                                     leaves.entries()));
    }

    static void add(Money& sum, Money more) { sum = checked_add(sum, more).value_or(Money{}); }

    struct Locked {
        Money amount;
        std::uint64_t locks;
    };

    const Store& store_;
    const Batch batch_;  // nothing is written into it
    const std::optional<std::uint64_t> from_;
    CheckReport report_;
    CheckReport of_journals_;  // told after the sums
    Sums sums_;
    std::unordered_map<std::string, Locked> locked_;  // of those that have something locked
    std::uint64_t lines_ = 0;                         // of all journals
};

}  // namespace

CheckReport check_ledger(const Store& store, std::uint64_t from) {
    return Check(store, from).run();
}

CheckReport check_since_verified(const Store& store) {
    return Check(store, std::nullopt).run();
}

std::uint64_t verified_size(const Store& store) {
    return meta_record(store, verified_key, decode_number).value_or(0);
}

Changes remember_verified(std::uint64_t size) {
    Changes changes;
    std::string number;
    append_big_endian<8>(number, size);
    changes.of(Table::meta).emplace_back(verified_key, std::move(number));
    return changes;
}

}  // namespace ee::ledger

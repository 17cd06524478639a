#include "ledger/lock_check.h"

#include <charconv>

#include <fmt/format.h>

#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/locks.h"
#include "ledger/log.h"

namespace ee::ledger {
namespace {

constexpr std::string_view locks = "locks", settlements = "settlements";

// Sums of what the log has; whatever overflows is no sum of any.
void add(Money& sum, Money more) {
    sum = checked_add(sum, more).value_or(Money{-1});
}
Money difference(Money a, Money b) {
    return checked_subtract(a, b).value_or(Money{-1});
}

std::string unit_of(const Lock& lock) {
    return unit_words(lock.node, lock.app, to_text(lock.cell));
}
std::string unit_of(const Leaf& leaf) {
    return unit_words(leaf.text("node"), leaf.text("app"), leaf.text("cell"));
}

std::optional<std::uint64_t> id_in(std::string_view text) {
    std::uint64_t id = 0;
    std::from_chars(text.data(), text.data() + text.size(), id);
    if (id_text(id) != text) return std::nullopt;  // Whatever was no number, or more.
    return id;
}

}  // namespace

void compare_with_leaf(const Store& store, std::uint64_t lock_id, const Lock& lock, CheckReport& report) {
    const auto leaf = last_leaf(store, lock_id);  // Its id is the log's size then.
    const bool is_its_own = leaf && leaf->kind == LeafKind::entry &&
                            leaf->text("transfer_kind") == to_word(PostingKind::lock) &&
                            leaf->text("reference") == id_text(lock_id);
    if (!is_its_own || leaf->text("account") != lock.account ||
        Money(leaf->i64("locked_delta")) != lock.amount || leaf->text("memo") != lock_memo(lock) ||
        leaf->time_us != to_us(lock.taken_at))
        report.find(locks, fmt::format("lock {} of {}, {} USD, {}, is not what its leaf says", lock_id,
                                       lock.account, to_usd(lock.amount), lock_memo(lock)));
}

void LockCheck::follow(std::uint64_t index, const Leaf& leaf, CheckReport& report) {
    if (leaf.kind == LeafKind::usage) return used(index, leaf, report);
    if (leaf.kind == LeafKind::settlement) return settled(index, leaf, report);
    if (leaf.kind != LeafKind::entry) return;
    const std::string_view kind = leaf.text("transfer_kind");
    if (kind == to_word(PostingKind::lock)) return taken(index, leaf, report);
    const bool ends = kind == to_word(PostingKind::release) || kind == to_word(PostingKind::pay) ||
                      kind == to_word(PostingKind::refund);
    // What a node is paid has an entry of its own.
    if (ends && leaf.i64("locked_delta") != 0) ended(index, leaf, kind, report);
}

void LockCheck::taken(std::uint64_t index, const Leaf& leaf, CheckReport& report) {
    const std::string_view memo = leaf.text("memo");
    Held held{.account = std::string(leaf.text("account")),
              .unit = std::string(memo.substr(0, memo.rfind(" price="))),
              .memo = std::string(memo),
              .amount = Money(leaf.i64("locked_delta"))};
    UnitMoney& unit = units_[held.unit];
    if (unit.is_settled)
        report.find(locks, fmt::format("lock {} was taken for {}, which is settled", index + 1, held.unit));
    Part& part = unit.parts[held.account];
    ++part.held;
    add(part.locked, held.amount);
    held_.emplace(index + 1, std::move(held));
}

void LockCheck::ended(std::uint64_t index, const Leaf& leaf, std::string_view kind, CheckReport& report) {
    const auto id = id_in(leaf.text("reference"));
    const auto found = id ? held_.find(*id) : held_.end();
    if (found == held_.end())
        return report.find(locks, fmt::format("leaf {} ends lock {}, which is not held by then", index,
                                              leaf.text("reference")));
    const Held held = std::move(found->second);
    held_.erase(found);
    if (leaf.text("account") != held.account || leaf.text("memo") != held.memo ||
        leaf.i64("locked_delta") != -held.amount.micro())
        report.find(locks, fmt::format("leaf {} ends lock {} otherwise than it was taken", index, *id));
    const Money paid = difference(held.amount, Money(leaf.i64("available_delta")));
    UnitMoney& unit = units_[held.unit];
    const bool is_release = kind == to_word(PostingKind::release);
    if (is_release == unit.is_settled || (kind != to_word(PostingKind::pay) && !paid.is_zero()))
        report.find(locks,
                    fmt::format("leaf {} ends lock {} by a {} that its unit's settlement does not ask for",
                                index, *id, kind));
    Part& part = unit.parts[held.account];
    --part.held;
    if (is_release)
        part.locked = difference(part.locked, held.amount);
    else
        add(part.paid, paid);
    forget_if_over(held.unit, report);
}

void LockCheck::used(std::uint64_t index, const Leaf& leaf, CheckReport& report) {
    UnitMoney& unit = units_[unit_of(leaf)];
    if (unit.is_settled)
        report.find(settlements,
                    fmt::format("leaf {} is usage of {}, which is settled", index, unit_of(leaf)));
    add(unit.parts[std::string(leaf.text("account"))].used, Money(leaf.i64("amount")));
}

void LockCheck::settled(std::uint64_t index, const Leaf& leaf, CheckReport& report) {
    const std::string name = unit_of(leaf);
    UnitMoney& unit = units_[name];
    if (unit.is_settled) report.find(settlements, fmt::format("leaf {} settles {} again", index, name));
    unit.is_settled = true;
    unit.has_passed = leaf.text("outcome") == to_word(Outcome::pass);
    Money locked, used;
    for (const auto& [account, part] : unit.parts) {
        add(locked, part.locked);
        add(used, part.used);
    }
    const Money paid = unit.has_passed ? used : Money{};
    if (Money(leaf.i64("paid")) != paid || Money(leaf.i64("returned")) != difference(locked, paid))
        report.find(settlements,
                    fmt::format("leaf {} pays {} USD of {} and returns {}; {} were locked, usage comes to {}",
                                index, to_usd(Money(leaf.i64("paid"))), name,
                                to_usd(Money(leaf.i64("returned"))), to_usd(locked), to_usd(used)));
    forget_if_over(name, report);
}

// With its last lock a settlement is done. A unit without locks and usage is none.
void LockCheck::forget_if_over(const std::string& name, CheckReport& report) {
    const UnitMoney& unit = units_.at(name);
    bool is_empty = true;
    for (const auto& [account, part] : unit.parts) {
        if (part.held > 0) return;
        is_empty = is_empty && part.used.is_zero();
    }
    if (!unit.is_settled && !is_empty) return;
    for (const auto& [account, part] : unit.parts)
        if (part.paid != (unit.has_passed ? part.used : Money{}))
            report.find(settlements, fmt::format("{} has paid {} USD for {}; its usage comes to {}", account,
                                                 to_usd(part.paid), name, to_usd(part.used)));
    units_.erase(name);
}

void LockCheck::compare_held(const Store& store, CheckReport& report) const {
    std::map<std::pair<std::string, std::string>, Money> drawn;  // by unit and account
    std::uint64_t count = 0;
    store.scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
        const std::uint64_t id = lock_id_of(key);
        const auto record = store.get(Table::locks, Lock::key(id));
        if (!record) return true;  // That is told elsewhere.
        const Lock lock = Lock::decode(*record);
        if (held_.contains(id))
            ++count;
        else
            report.find(locks,
                        fmt::format("lock {} is held; by the log it has ended, or was never taken", id));
        add(drawn[{unit_of(lock), lock.account}], lock.drawn);
        return true;
    });
    if (count < held_.size())
        report.find(locks, fmt::format("{} locks are held by the log, {} of them are kept as held",
                                       held_.size(), count));
    for (const auto& [name, unit] : units_) {
        if (unit.is_settled && !unit.has_passed) continue;  // Nothing of it is paid.
        for (const auto& [account, part] : unit.parts) {
            const auto found = drawn.find({name, account});
            const Money of_locks = found == drawn.end() ? Money{} : found->second;
            const Money of_usage = difference(part.used, part.paid);
            if (of_locks != of_usage)
                report.find(locks, fmt::format("{} USD are drawn on locks of {} for {}; by its usage {}",
                                               to_usd(of_locks), account, name, to_usd(of_usage)));
        }
    }
}

}  // namespace ee::ledger

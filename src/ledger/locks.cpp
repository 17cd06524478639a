#include "ledger/locks.h"

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/terms.h"

namespace ee::ledger {
namespace {

UnitName unit_of(const Lock& lock) {
    return {.cell = lock.cell, .node = lock.node, .app = lock.app};
}

Result<void> check_cell_ahead(const Context& context, const Period& cell) {
    if (cell.end <= context.now)
        return fail("period_ended",
                    fmt::format("{} ended at {}", to_text(cell), to_text(LedgerTime{cell.end})));
    if (cell.start > context.now + context.rules.lock_ahead)
        return fail("period_too_far", fmt::format("{} starts more than {} s from now", to_text(cell),
                                                  context.rules.lock_ahead.count()));
    return {};
}

// Of one account in one unit: whoever settles it, draws on it or shows it reads them all in one step.
constexpr std::uint64_t held_locks_max = 1000;

// Most accounts hold fewer in all. What usage locks anew is not refused.
Result<void> check_count(const Batch& batch, const Account& account, const Lock& lock) {
    std::uint64_t held = 0;
    if (account.held_locks >= held_locks_max)
        batch.scan(Table::held_locks, held_lock_prefix(unit_of(lock), lock.account),
                   [&](std::string_view, std::string_view) { return ++held < held_locks_max; });
    if (held < held_locks_max) return {};
    return fail("too_many_locks", fmt::format("{} holds {} locks for this app on {} in {}: take larger ones",
                                              lock.account, held, lock.node, to_text(lock.cell)));
}

Result<void> check(const TakeLock& command) {
    if (command.amount.has_value() == command.hours.has_value())
        return fail("invalid_field:vcpu_hours", "a lock says either vcpu_hours or amount_usd");
    if (auto checked = check_app(command.app); !checked) return checked;
    return command.amount ? check_amount(*command.amount) : check_hours(*command.hours);
}

Result<Money> amount_of(const TakeLock& command, Money price) {
    if (command.amount) return *command.amount;
    const auto amount = round_half_up(exact_cost(price, *command.hours));
    if (!amount || amount->is_zero() || *amount > amount_max)
        return fail(
            "invalid_amount",
            fmt::format("{} vCPU-hours at {} USD are not above 0 and at most {} USD; amount_usd locks "
                        "what it says",
                        to_text(*command.hours), to_usd(price), to_usd(amount_max)));
    return *amount;
}

// With neither locks nor usage there is nothing to settle.
void forget_empty_unit(Batch& batch, const UnitName& name) {
    if (find_unit(batch, name)->has_usage) return;
    bool holds = false;
    batch.scan(Table::held_locks, held_lock_prefix(name), [&](std::string_view, std::string_view) {
        holds = true;
        return false;
    });
    if (holds) return;
    batch.erase(Table::units, name.key());
    close_unit(batch, name);
}

Answer answer_of(std::uint16_t status, std::uint64_t id, const Lock& lock, std::uint64_t leaf) {
    return object_answer(status, leaf, [&](JsonWriter& json) { append_lock(json, id, lock); });
}

}  // namespace

std::string unit_words(std::string_view node, std::string_view app, std::string_view cell) {
    return fmt::format("node={} app={} cell={}", node, app, cell);
}

std::string lock_memo(const Lock& lock) {
    return fmt::format("{} price={}", unit_words(lock.node, lock.app, to_text(lock.cell)),
                       to_usd(lock.price));
}

void append_lock(JsonWriter& json, std::uint64_t id, const Lock& lock) {
    json.field("lock_id", id_text(id)).field("account_id", lock.account).field("node_id", lock.node);
    json.field_or_null("app_name", lock.app);
    json.field("period", to_text(lock.cell));
    field(json, "amount_usd", lock.amount);
    field(json, "price_usd_per_vcpu_hour", lock.price);
    field(json, "drawn_usd", lock.drawn);
    json.field("state", to_word(lock.state)).field("taken_at", to_text(lock.taken_at));
    json.field_or_null("ended_at", lock.state == LockState::held ? "" : to_text(lock.ended_at));
}

std::optional<Lock> find_lock(const Batch& batch, std::uint64_t id) {
    const auto record = batch.get(Table::locks, Lock::key(id));
    if (!record) return std::nullopt;
    return Lock::decode(*record);
}

void save_lock(Batch& batch, std::uint64_t id, const Lock& lock) {
    batch.put(Table::locks, Lock::key(id), lock.encode());
}

std::optional<Unit> find_unit(const Batch& batch, const UnitName& name) {
    const auto record = batch.get(Table::units, name.key());
    if (!record) return std::nullopt;
    return Unit::decode(*record);
}

void save_unit(Batch& batch, const UnitName& name, const Unit& unit) {
    batch.put(Table::units, name.key(), unit.encode());
}

std::string UnitAccount::encode() const {
    return RecordWriter().integer(uncollected.micro()).number(draws_from).take();
}

UnitAccount UnitAccount::decode(std::string_view record) {
    RecordReader in(record);
    UnitAccount out{.uncollected = Money(in.integer())};
    if (record.size() == 8) return out;
    out.draws_from = in.number();
    in.finish();
    return out;
}

UnitAccount unit_account_of(const Batch& batch, const UnitName& unit, std::string_view account) {
    const auto record = batch.get(Table::unit_accounts, unit_account_key(unit, account));
    return record ? UnitAccount::decode(*record) : UnitAccount{};
}

void save_unit_account(Batch& batch, const UnitName& unit, std::string_view account,
                       const UnitAccount& record) {
    batch.put(Table::unit_accounts, unit_account_key(unit, account), record.encode());
}

constexpr Table part_tables[] = {Table::held_locks, Table::settled_locks, Table::unit_accounts};

bool has_part(const Batch& batch, const UnitName& unit, std::string_view account) {
    const std::string own = held_lock_prefix(unit, account);
    bool found = false;
    for (const Table table : part_tables)
        batch.scan(table, own, [&](std::string_view, std::string_view) {
            found = true;
            return false;
        });
    return found;
}

bool others_have_part(const Batch& batch, const UnitName& unit, std::string_view account) {
    const std::string whole = held_lock_prefix(unit), own = held_lock_prefix(unit, account);
    bool found = false;
    const auto look = [&](std::string_view key, std::string_view) {
        found = found || (key.starts_with(whole) && !key.starts_with(own));
        return false;
    };
    // In the order of accounts: the first of the unit, and the first behind its own.
    const std::string behind = own + std::string(9, '\xff');
    for (const Table table : part_tables) {
        batch.scan_from(table, whole, look);
        batch.scan_from(table, behind, look);
    }
    return found;
}

void for_each_lock(const Batch& batch, const UnitName& unit, std::string_view account,
                   const std::function<bool(std::uint64_t id, std::optional<std::uint64_t> leaf)>& visit) {
    const std::string prefix = account.empty() ? held_lock_prefix(unit) : held_lock_prefix(unit, account);
    bool goes_on = true;
    batch.scan(Table::settled_locks, prefix, [&](std::string_view key, std::string_view record) {
        return goes_on = visit(lock_id_of(key), number_at(record, 0));
    });
    if (!goes_on) return;
    batch.scan(Table::held_locks, prefix,
               [&](std::string_view key, std::string_view) { return visit(lock_id_of(key), std::nullopt); });
}

Unit open_unit(Batch& batch, const UnitName& name) {
    if (auto known = find_unit(batch, name)) return *std::move(known);
    save_unit(batch, name, Unit{});
    batch.put(Table::open_units, name.key(), "");
    Node node = expect_record(find_node(batch, name.node), "the node of a unit");
    ++node.open_units;
    save_node(batch, name.node, node);
    return {};
}

void close_unit(Batch& batch, const UnitName& name) {
    batch.erase(Table::open_units, name.key());
    Node node = expect_record(find_node(batch, name.node), "the node of a unit");
    --node.open_units;
    save_node(batch, name.node, node);
}

Result<void> check_unit_open(const Batch& batch, const UnitName& name) {
    const auto unit = find_unit(batch, name);
    if (!unit || !unit->is_settled()) return {};
    return fail("period_finalized", fmt::format("{} of {} is settled: {}", to_text(name.cell), name.node,
                                                to_word(unit->outcome)));
}

Result<TakenLock> take_lock(Context& context, Lock lock) {
    const std::uint64_t id = context.batch.leaf_count() + 1;
    lock.taken_at = context.now;
    const Change change[] = {
        {lock.account, checked_negate(lock.amount).value(), lock.amount, /*held_locks=*/1}};
    const auto leaf =
        post(context, {.kind = PostingKind::lock, .reference = id_text(id), .memo = lock_memo(lock)}, change);
    if (!leaf) return fail(leaf.error());
    save_lock(context.batch, id, lock);
    add_held(context.batch, lock.amount);
    context.batch.put(Table::held_locks, held_lock_key(lock, id), "");
    open_unit(context.batch, unit_of(lock));
    return TakenLock{.id = id, .leaf_index = *leaf};
}

std::uint64_t end_lock(Context& context, std::uint64_t id, Lock lock, LockState state, Money paid) {
    if (lock.state != LockState::held) throw BrokenInvariant(fmt::format("lock {} ends twice", id));
    if (paid > lock.amount)
        throw BrokenInvariant(
            fmt::format("{} USD of lock {} are paid, it holds {}", to_usd(paid), id, to_usd(lock.amount)));
    const Money back = checked_subtract(lock.amount, paid).value();
    const std::string earnings = node_account(lock.node);
    const Change changes[] = {{lock.account, back, checked_negate(lock.amount).value(), /*held_locks=*/-1},
                              {earnings, paid, {}}};
    const PostingKind kind = state == LockState::released ? PostingKind::release
                             : paid.is_zero()             ? PostingKind::refund
                                                          : PostingKind::pay;
    const auto leaf = post(context, {.kind = kind, .reference = id_text(id), .memo = lock_memo(lock)},
                           std::span(changes).first(paid.is_zero() ? 1 : 2));
    // Nothing here is the caller's fault: what was locked is there to be moved.
    if (!leaf) throw BrokenInvariant(fmt::format("lock {} can't end: {}", id, leaf.error().detail));
    context.batch.erase(Table::held_locks, held_lock_key(lock, id));
    if (state == LockState::settled) {
        std::string leaf_index;
        append_big_endian<8>(leaf_index, *leaf);
        context.batch.put(Table::settled_locks, held_lock_key(lock, id), std::move(leaf_index));
    }
    add_held(context.batch, checked_negate(lock.amount).value());
    if (!paid.is_zero()) add_earnings(context.batch, lock.node, lock.cell, paid);
    lock.state = state;
    lock.ended_at = context.now;
    save_lock(context.batch, id, lock);
    return *leaf;
}

Result<Answer> perform(Context& context, const TakeLock& command) {
    if (auto checked = check(command); !checked) return fail(checked.error());
    const auto cell = as_cell(context.rules.grid, command.period);
    if (!cell) return fail(cell.error());
    if (auto checked = check_cell_ahead(context, *cell); !checked) return fail(checked.error());
    const auto account = find_account(context.batch, command.account);
    if (type_of(command.account) != AccountType::user || !account)
        return fail("unknown_account",
                    fmt::format("no user's account is called {}", command.account.substr(0, 150)));
    const auto node = find_node(context.batch, command.node);
    if (!node) return unknown_node(command.node);
    if (node->banned) return fail("node_banned", fmt::format("{} is banned", command.node));
    // The price of that cell as it is posted now, for all draws on the lock.
    const auto terms = terms_at(context.batch, command.node, std::max(context.now, LedgerTime{cell->start}));
    if (!terms || !terms->price)
        return fail("node_price_missing",
                    fmt::format("{} has no price for {}", command.node, to_text(*cell)));
    const auto amount = amount_of(command, *terms->price);
    if (!amount) return fail(amount.error());
    Lock lock{.account = command.account,
              .node = command.node,
              .app = command.app,
              .cell = *cell,
              .amount = *amount,
              .price = *terms->price,
              .hours = command.hours.value_or(Hours{})};
    if (auto open = check_unit_open(context.batch, unit_of(lock)); !open) return fail(open.error());
    if (auto counted = check_count(context.batch, *account, lock); !counted) return fail(counted.error());
    const auto taken = take_lock(context, lock);
    if (!taken) return fail(taken.error());
    return answer_of(201, taken->id, find_lock(context.batch, taken->id).value(), taken->leaf_index);
}

Result<Answer> perform(Context& context, const ReleaseLock& command) {
    const auto lock = find_lock(context.batch, command.lock);
    // To others it does not exist.
    if (!lock || !(context.is_admin() || context.is_account(lock->account)))
        return fail("unknown_lock", fmt::format("no lock is called {}", command.lock));
    if (lock->state != LockState::held)
        return fail(lock->state == LockState::released ? "already_released" : "already_settled",
                    fmt::format("lock {} ended at {}", command.lock, to_text(lock->ended_at)));
    if (lock->cell.start <= context.now)
        return fail("cell_started",
                    fmt::format("{} has started: the lock ends with its settlement", to_text(lock->cell)));
    const std::uint64_t leaf = end_lock(context, command.lock, *lock, LockState::released, Money{});
    forget_empty_unit(context.batch, unit_of(*lock));
    return answer_of(200, command.lock, find_lock(context.batch, command.lock).value(), leaf);
}

}  // namespace ee::ledger

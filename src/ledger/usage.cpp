// Usage: compute that ran, drawn on what was locked for it.

#include <algorithm>

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/locks.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/terms.h"

namespace ee::ledger {
namespace {

constexpr std::int64_t cells_max = 31 * 24;  // a report is one transaction
constexpr std::size_t report_id_max = 128;

tl::unexpected<Error> too_large() {
    return fail("balance_too_large", "usage costs more than the ledger can count");
}

// What one cell's part of a report comes to.
struct Booked {
    Money amount;       // drawn or locked anew
    Money uncollected;  // there was nothing left for it
    std::uint64_t lock = 0;
    std::uint64_t leaf_index = 0;
};

std::string hours_key(const UnitName& unit) {
    return UnitName::prefix(unit.cell.start, unit.node);
}

Hours hours_of(const Batch& batch, const UnitName& unit) {
    const auto record = batch.get(Table::node_cells, hours_key(unit));
    return record ? Hours(static_cast<std::int64_t>(number_at(*record, 0))) : Hours{};
}

Result<void> count_hours(Context& context, const UnitName& unit, const Terms& terms, Hours hours) {
    const Hours before = hours_of(context.batch, unit), capacity = capacity_of(terms, unit.cell);
    if (hours.micro() > capacity.micro() - before.micro())
        return fail("exceeds_capacity",
                    fmt::format("{} has {} vCPU-hours in {}, {} are reported, {} are too many", unit.node,
                                to_text(capacity), to_text(unit.cell), to_text(before), to_text(hours)));
    std::string sum;
    append_big_endian<8>(sum, static_cast<std::uint64_t>(before.micro() + hours.micro()));
    context.batch.put(Table::node_cells, hours_key(unit), std::move(sum));
    return {};
}

// The cost that is still to be met, exactly, and the price it is of. Before anything is priced, the smallest
// price stands for the hours themselves: the cell's may be 0 where a lock's is not.
struct Remaining {
    Money price{1};
    ExactCost cost;

    explicit Remaining(Hours hours) : cost(exact_cost(price, hours)) {}
    Money rounded() const { return round_half_up(cost).value_or(largest_money); }
    bool is_met() const { return cost == 0; }
    // A price of 0 meets all of it, whatever comes after.
    void change_price(Money to) {
        if (!price.is_zero()) cost = at_other_price(cost, price, to);
        price = to;
    }
    // At most what it comes to; that much leaves nothing, whichever way it was rounded.
    void subtract(Money paid) {
        cost = paid == rounded() ? 0 : cost - static_cast<ExactCost>(paid.micro()) * 1'000'000;
    }
};

// What the lock pays of it, at its own price.
Money draw_on(Lock& lock, Remaining& remaining) {
    const Money left = checked_subtract(lock.amount, lock.drawn).value();
    if (left.is_zero()) return left;
    remaining.change_price(lock.price);
    const Money part = std::min(left, remaining.rounded());
    remaining.subtract(part);
    lock.drawn = checked_add(lock.drawn, part).value();
    return part;
}

// Draws on the held locks, oldest first, each at its own price, from the first one on that has something
// left: those before it never have again. What is left is `remaining`.
Money draw(Context& context, const UnitName& unit, std::string_view account, Remaining& remaining,
           std::uint64_t& first_lock) {
    UnitAccount kept = unit_account_of(context.batch, unit, account);
    const std::uint64_t began = kept.draws_from;
    const std::string prefix = held_lock_prefix(unit, account);
    const std::string first = prefix + std::string(KeyWriter().number(began));
    Money drawn;
    std::vector<std::pair<std::uint64_t, Lock>> drawn_on;
    context.batch.scan_from(Table::held_locks, first, [&](std::string_view key, std::string_view) {
        if (!key.starts_with(prefix)) return false;
        const std::uint64_t id = lock_id_of(key);
        Lock lock = expect_record(find_lock(context.batch, id), "a held lock");
        const Money part = draw_on(lock, remaining);
        drawn = checked_add(drawn, part).value();
        // One that is not drawn to its end has met all there was.
        if (lock.drawn == lock.amount) kept.draws_from = id + 1;
        if (!part.is_zero()) drawn_on.emplace_back(id, std::move(lock));
        return !remaining.is_met();
    });
    for (const auto& [id, lock] : drawn_on) save_lock(context.batch, id, lock);
    if (!drawn_on.empty() && first_lock == 0) first_lock = drawn_on.front().first;
    if (kept.draws_from != began) save_unit_account(context.batch, unit, account, kept);
    return drawn;
}

// What no lock covered: as much of it as the account has is locked now, and drawn.
Result<void> lock_anew(Context& context, const UnitName& unit, const ReportUsage& command,
                       const Remaining& remaining, Booked& booked) {
    const Money owed = remaining.rounded();
    if (owed.is_zero()) return {};
    if (context.rules.usage_requires_lock)
        return fail("lock_missing",
                    fmt::format("locks of {} for {} in {} fall short by {} USD", command.account, unit.node,
                                to_text(unit.cell), to_usd(owed)));
    const Money amount = std::min(owed, find_account(context.batch, command.account)->available);
    booked.uncollected = checked_subtract(owed, amount).value();
    if (amount.is_zero()) return {};
    const auto taken = take_lock(context, {.account = command.account,
                                           .node = unit.node,
                                           .app = unit.app,
                                           .cell = unit.cell,
                                           .amount = amount,
                                           .price = remaining.price,
                                           .drawn = amount});
    if (!taken) return fail(taken.error());
    booked.amount = checked_add(booked.amount, amount).value();
    if (booked.lock == 0) booked.lock = taken->id;
    return {};
}

Result<Booked> book_cell(Context& context, const ReportUsage& command, const UnitName& unit, Hours hours) {
    if (auto open = check_unit_open(context.batch, unit); !open) return fail(open.error());
    const auto terms = terms_of_cell(context.batch, unit.node, unit.cell);
    if (!terms || !terms->price)
        return fail("node_price_missing",
                    fmt::format("{} had no price in {}", unit.node, to_text(unit.cell)));
    if (auto counted = count_hours(context, unit, *terms, hours); !counted) return fail(counted.error());

    const Money price = *terms->price;
    if (round_half_up(exact_cost(price, hours)).value_or(largest_money) > amount_max)
        return fail("invalid_amount", fmt::format("{} vCPU-hours at {} USD cost more than {} USD",
                                                  to_text(hours), to_usd(price), to_usd(amount_max)));
    Remaining remaining(hours);
    Booked booked;
    booked.amount = draw(context, unit, command.account, remaining, booked.lock);
    // Locks had their own prices; the rest is priced by the cell's.
    remaining.change_price(price);
    if (auto locked = lock_anew(context, unit, command, remaining, booked); !locked)
        return fail(locked.error());

    Unit record = open_unit(context.batch, unit);
    record.has_usage = true;
    const auto uncollected = checked_add(record.uncollected, booked.uncollected);
    if (!uncollected) return too_large();
    record.uncollected = *uncollected;
    save_unit(context.batch, unit, record);
    if (!booked.uncollected.is_zero()) {
        UnitAccount kept = unit_account_of(context.batch, unit, command.account);
        // The unit's own sum has been checked.
        kept.uncollected = checked_add(kept.uncollected, booked.uncollected).value();
        save_unit_account(context.batch, unit, command.account, kept);
    }
    booked.leaf_index = append_leaf(context, LeafKind::usage,
                                    {command.account, unit.node, unit.app, to_text(unit.cell), hours.micro(),
                                     booked.amount.micro(), booked.uncollected.micro(), command.report_id});
    return booked;
}

Result<void> check(const ReportUsage& command) {
    if (auto checked = check_app(command.app); !checked) return checked;
    if (auto checked = check_hours(command.hours); !checked) return checked;
    return command.report_id.empty() ? Result<void>{}
                                     : check_id("report_id", command.report_id, report_id_max);
}

crypto::Sha256 digest_of(const ReportUsage& command) {
    const std::string content = RecordWriter()
                                    .text(command.account)
                                    .text(command.node)
                                    .text(command.app)
                                    .text(to_text(command.period))
                                    .integer(command.hours.micro())
                                    .take();
    return crypto::sha256(as_bytes(content));
}

std::optional<Result<Answer>> find_report(const Context& context, const ReportUsage& command) {
    if (command.report_id.empty()) return std::nullopt;
    const auto record = context.batch.get(Table::reports, Report::key(command.node, command.report_id));
    if (!record) return std::nullopt;
    Report known = Report::decode(*record);
    if (known.content != digest_of(command))
        return fail("report_conflict",
                    fmt::format("{} reported something else as {}", command.node, command.report_id));
    return Answer{
        .status = 201, .body = std::move(known.answer), .leaf_index = known.leaf_index, .replayed = true};
}

Result<std::int64_t> check_cells(const Context& context, const ReportUsage& command) {
    const auto cells = count_cells(context.rules.grid, command.period);
    if (!cells) return fail(cells.error());
    if (*cells > cells_max)
        return fail("period_too_long",
                    fmt::format("{} cells in one report, at most {} are allowed", *cells, cells_max));
    if (command.period.end - step_of(context.rules.grid) > context.now)
        return fail("period_not_started",
                    fmt::format("the last cell of {} has not started", to_text(command.period)));
    return *cells;
}

Answer answer_of(const ReportUsage& command, const Booked& total) {
    Answer answer{.status = 201, .leaf_index = total.leaf_index};
    JsonWriter json(answer.body);
    json.begin_object().field("usage_id", id_text(total.leaf_index + 1));
    json.field_or_null("report_id", command.report_id);
    json.field_or_null("lock_id", total.lock == 0 ? "" : id_text(total.lock));
    field(json, "amount_usd", total.amount);
    field(json, "uncollected_usd", total.uncollected);
    json.end_object();
    return answer;
}

}  // namespace

Result<Answer> perform(Context& context, const ReportUsage& command) {
    if (auto checked = check(command); !checked) return fail(checked.error());
    if (type_of(command.account) != AccountType::user || !find_account(context.batch, command.account))
        return fail("unknown_account",
                    fmt::format("no user's account is called {}", command.account.substr(0, 150)));
    if (!find_node(context.batch, command.node)) return unknown_node(command.node);
    if (auto known = find_report(context, command)) return *std::move(known);
    const auto cells = check_cells(context, command);
    if (!cells) return fail(cells.error());

    const auto step = step_of(context.rules.grid);
    const std::int64_t each = command.hours.micro() / *cells;
    Booked total;
    for (std::int64_t i = 0; i < *cells; ++i) {
        const Seconds start = command.period.start + i * step;
        const UnitName unit{.cell = {start, start + step}, .node = command.node, .app = command.app};
        const bool is_last = i + 1 == *cells;
        const Hours hours(is_last ? command.hours.micro() - each * (*cells - 1) : each);
        const auto booked = book_cell(context, command, unit, hours);
        if (!booked) return fail(booked.error());
        const auto amount = checked_add(total.amount, booked->amount);
        const auto uncollected = checked_add(total.uncollected, booked->uncollected);
        if (!amount || !uncollected) return too_large();
        total.amount = *amount;
        total.uncollected = *uncollected;
        if (total.lock == 0) total.lock = booked->lock;
        total.leaf_index = booked->leaf_index;
    }
    Answer answer = answer_of(command, total);
    if (!command.report_id.empty())
        context.batch.put(Table::reports, Report::key(command.node, command.report_id),
                          Report{digest_of(command), *answer.leaf_index, answer.body}.encode());
    return answer;
}

}  // namespace ee::ledger

#include "ledger/nodes.h"

#include <fmt/format.h>

#include "base/names.h"
#include "ledger/account_name.h"
#include "ledger/answers.h"
#include "ledger/audit.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/ledger.h"
#include "ledger/operations.h"
#include "ledger/slashing.h"
#include "ledger/terms.h"

namespace ee::ledger {
namespace {

constexpr std::uint64_t capacity_max = 1'000'000;  // vCPUs

void keep_token(Context& context, std::string_view id, const crypto::Sha256& token) {
    context.batch.put(Table::tokens, std::string(as_text(token)), "node:" + std::string(id));
}

void record_standing(Context& context, std::string_view id, const Node& node) {
    post_standing(context.batch, id, context.now,
                  {.staked = !stake_of(context.batch, id).is_zero(), .banned = node.banned});
}

// Takes `amount` off the parts, the last one first; what each lost.
std::vector<StakePart> take_parts(Node& node, Money amount) {
    std::vector<StakePart> taken;
    while (!amount.is_zero()) {
        if (node.stake_parts.empty()) throw BrokenInvariant("a stake has fewer parts than it holds");
        StakePart& last = node.stake_parts.back();
        const Money part = std::min(last.amount, amount);
        taken.push_back({last.source, part});
        last.amount = checked_subtract(last.amount, part).value();
        amount = checked_subtract(amount, part).value();
        if (last.amount.is_zero()) node.stake_parts.pop_back();
    }
    return taken;
}

// A source has one part, however often it pays; what was paid last returns first.
void add_part(Node& node, const std::string& source, Money amount) {
    for (const StakePart& part : node.stake_parts)
        if (part.source == source) amount = checked_add(amount, part.amount).value();
    std::erase_if(node.stake_parts, [&](const StakePart& part) { return part.source == source; });
    node.stake_parts.push_back({source, amount});
}

Result<void> raise_stake(Context& context, std::string_view id, Node& node, Money by) {
    const std::string source = node.owner.empty() ? std::string(issued_account) : node.owner;
    if (source == issued_account && !context.is_admin())
        return fail("forbidden",
                    "only the admin declares stake from outside; name an owner_account that pays");
    if (source == issued_account && !find_account(context.batch, issued_account))
        open_account(context, issued_account, std::nullopt);
    const auto moved = move(context, {.kind = PostingKind::stake, .reference = "from=" + source}, source,
                            stake_account(id), by);
    if (!moved) return fail(moved.error());
    add_part(node, source, by);
    return {};
}

Result<void> lower_stake(Context& context, std::string_view id, Node& node, Money by) {
    if (node.open_units > 0)
        return fail("stake_in_use", fmt::format("{} cells of {} with locks or usage are not settled yet",
                                                node.open_units, id));
    if (!context.is_admin()) {
        const Money kept = proposed_of(context.batch, id);
        if (checked_subtract(stake_of(context.batch, id), by).value() < kept)
            return fail("stake_in_use",
                        fmt::format("slashings of {} USD are proposed for {}: the admin decides "
                                    "first, or lowers the stake",
                                    to_usd(kept), id));
    }
    for (const StakePart& part : take_parts(node, by)) {
        const auto returned = move(context, {.kind = PostingKind::unstake, .reference = "to=" + part.source},
                                   stake_account(id), part.source, part.amount);
        if (!returned) return fail(returned.error());
    }
    return {};
}

Result<void> set_stake(Context& context, std::string_view id, Node& node, Money target) {
    const Money now = stake_of(context.batch, id);
    if (target > now) return raise_stake(context, id, node, checked_subtract(target, now).value());
    if (target < now) return lower_stake(context, id, node, checked_subtract(now, target).value());
    return {};
}

// Owner and stake are the admin's, or the node's with the token of the account that pays.
Result<void> check_owner(const Context& context, const RegisterNode& command, const Node& node) {
    const std::string owner = command.owner.value_or(node.owner);
    if (command.owner && (type_of(owner) != AccountType::user || !find_account(context.batch, owner)))
        return fail("unknown_account", fmt::format("no user's account is called {}", owner.substr(0, 150)));
    if (context.is_admin() || (!command.owner && !command.stake)) return {};
    if (command.owner_token && !owner.empty() &&
        principal_of(context.batch, *command.owner_token) == "account:" + owner)
        return {};
    return fail("forbidden",
                "a node sets owner and stake with the X-EE-Owner-Token of the account that pays");
}

Result<void> check_terms(const Context& context, const RegisterNode& command,
                         const std::optional<Terms>& known) {
    if (!known && !command.capacity_vcpus)
        return fail("invalid_field:capacity_vcpus", "a node that registers says how many vCPUs it has");
    if (command.capacity_vcpus && (*command.capacity_vcpus == 0 || *command.capacity_vcpus > capacity_max))
        return fail("invalid_field:capacity_vcpus", fmt::format("1 to {}", capacity_max));
    if (!context.is_admin() && known && command.capacity_vcpus &&
        *command.capacity_vcpus > known->capacity_vcpus)
        return fail("forbidden",
                    fmt::format("a node lowers its capacity only; it is {}", known->capacity_vcpus));
    if (auto checked = check_amount_or_zero(command.price.value_or(Money{})); !checked) return checked;
    return check_amount_or_zero(command.stake.value_or(Money{}));
}

// What is left out of the command stays as it is at `from`.
void change_terms(Context& context, const RegisterNode& command, LedgerTime from) {
    const auto known = terms_at(context.batch, command.node, from);
    Terms terms = known.value_or(Terms{});
    if (command.capacity_vcpus) terms.capacity_vcpus = *command.capacity_vcpus;
    if (command.price) terms.price = command.price;
    if (command.tier) terms.tier = *command.tier;
    if (known && terms.capacity_vcpus == known->capacity_vcpus && terms.price == known->price &&
        terms.tier == known->tier)
        return;
    terms.posted_at = context.now;
    post_terms(context.batch, command.node, from, terms);
}

LedgerTime next_cell(const Context& context) {
    return LedgerTime{cell_at(context.rules.grid, context.now).end};
}

void post_new_terms(Context& context, const RegisterNode& command) {
    // Its own changes begin with the next cell, so that nobody's running cell becomes another one. The
    // admin's begin now, and hold beyond what the node has announced for the next cell.
    if (context.is_admin()) change_terms(context, command, context.now);
    change_terms(context, command, next_cell(context));
}

// The newest there are, in force or not yet.
std::optional<Terms> newest_terms(const Context& context, std::string_view id) {
    return terms_at(context.batch, id, next_cell(context));
}

void issue_token(Context& context, const RegisterNode& command, Node& node) {
    context.batch.erase(Table::tokens, std::string(as_text(node.token)));
    node.token = command.token;
    keep_token(context, command.node, node.token);
}

void append_terms(JsonWriter& json, const Terms& terms) {
    json.field("capacity_vcpus", terms.capacity_vcpus);
    field(json, "price_usd_per_vcpu_hour", terms.price);
    json.field("stake_tier", to_word(terms.tier));
}

}  // namespace

std::optional<Node> find_node(const Batch& batch, std::string_view id) {
    const auto record = batch.get(Table::nodes, id);
    if (!record) return std::nullopt;
    return Node::decode(*record);
}

void save_node(Batch& batch, std::string_view id, const Node& node) {
    batch.put(Table::nodes, std::string(id), node.encode());
}

tl::unexpected<Error> unknown_node(std::string_view id) {
    return fail("unknown_node", fmt::format("no node is called {}", id.substr(0, 150)));
}

Money stake_of(const Batch& batch, std::string_view id) {
    const auto account = find_account(batch, stake_account(id));
    return account ? account->available : Money{};
}

Result<Money> slash_stake(Context& context, std::string_view id, Node& node, Money amount,
                          std::string_view reference) {
    const Money slashed = std::min(amount, stake_of(context.batch, id));
    if (slashed.is_zero())
        return fail("no_stake", fmt::format("{} USD are to be taken, {} has {} USD staked", to_usd(amount),
                                            id, to_usd(stake_of(context.batch, id))));
    if (!find_account(context.batch, slashed_account)) open_account(context, slashed_account, std::nullopt);
    take_parts(node, slashed);
    const auto taken = move(context, {.kind = PostingKind::slash, .reference = std::string(reference)},
                            stake_account(id), slashed_account, slashed);
    if (!taken) return fail(taken.error());
    record_standing(context, id, node);
    return slashed;
}

void ban_node(Context& context, std::string_view id, Node& node, std::string_view reason) {
    node.banned = true;
    node.ban_reason = reason;
    record_standing(context, id, node);
}

void add_earnings(Batch& batch, std::string_view id, const Period& cell, Money amount) {
    std::string key = KeyWriter().text(id).time(cell.start.time_since_epoch().count());
    const auto record = batch.get(Table::earnings, key);
    const Money before = record ? Money(static_cast<std::int64_t>(number_at(*record, 0))) : Money{};
    std::string sum;
    // The same money may be earned again and again within a cell.
    append_big_endian<8>(
        sum, static_cast<std::uint64_t>(checked_add(before, amount).value_or(largest_money).micro()));
    batch.put(Table::earnings, std::move(key), std::move(sum));
}

Money earnings_of(const Batch& batch, std::string_view id, LedgerTime now, std::chrono::seconds length) {
    const Seconds from = std::chrono::floor<std::chrono::seconds>(now) - length;
    const std::string prefix = KeyWriter().text(id);
    const std::string first = KeyWriter().text(id).time(from.time_since_epoch().count());
    Money sum;
    batch.scan_from(Table::earnings, first, [&](std::string_view key, std::string_view record) {
        if (!key.starts_with(prefix)) return false;
        sum =
            checked_add(sum, Money(static_cast<std::int64_t>(number_at(record, 0)))).value_or(largest_money);
        return true;
    });
    return sum;
}

void append_node(JsonWriter& json, const Batch& batch, std::string_view id, const Node& node,
                 LedgerTime now) {
    const auto terms = terms_at(batch, id, now);
    json.field("node_id", id);
    // A node that has just registered itself again may have its first terms ahead.
    append_terms(json, terms.value_or(Terms{}));
    json.key("next_terms");
    if (const auto next = announced_terms(batch, id, now)) {
        json.begin_object().field("effective_at", to_text(next->from));
        append_terms(json, next->terms);
        json.end_object();
    } else {
        json.null();
    }
    field(json, "stake_amount_usd", stake_of(batch, id));
    json.field_or_null("owner_account", node.owner);
    json.field("banned", node.banned);
    json.field_or_null("ban_reason", node.ban_reason);
    const auto earnings = find_account(batch, node_account(id));
    field(json, "available_usd", earnings ? earnings->available : Money{});
    json.field("registered_at", to_text(node.registered_at)).field("open_units", node.open_units);
}

Result<Answer> perform(Context& context, const RegisterNode& command) {
    if (!is_node_id(command.node))
        return fail("invalid_field:node_id", "an id is 1 to 128 of [A-Za-z0-9._:-]");
    auto known = find_node(context.batch, command.node);
    const auto terms = newest_terms(context, command.node);
    if (auto checked = check_terms(context, command, terms); !checked) return fail(checked.error());
    Node node = known.value_or(Node{.registered_at = context.now});
    if (auto checked = check_owner(context, command, node); !checked) return fail(checked.error());

    if (!known) {
        open_account(context, node_account(command.node), std::nullopt);
        open_account(context, stake_account(command.node), std::nullopt);
    }
    if (command.owner) node.owner = *command.owner;
    post_new_terms(context, command);
    if (command.stake)
        if (auto set = set_stake(context, command.node, node, *command.stake); !set) return fail(set.error());
    const bool issues_token = !known || command.rotate_token;
    if (issues_token) issue_token(context, command, node);
    save_node(context.batch, command.node, node);
    record_standing(context, command.node, node);
    append_call(context);

    Answer answer{.status = static_cast<std::uint16_t>(known ? 200 : 201),
                  .secret = issues_token ? "node_token" : ""};
    JsonWriter json(answer.body);
    json.begin_object().key("node").begin_object();
    append_node(json, context.batch, command.node, node, context.now);
    json.end_object().end_object();
    return answer;
}

Result<Answer> perform(Context& context, const Unstake& command) {
    auto node = find_node(context.batch, command.node);
    if (!node) return unknown_node(command.node);
    const Money stake = stake_of(context.batch, command.node);
    if (stake.is_zero()) return fail("no_stake", fmt::format("{} has no stake", command.node));
    if (auto lowered = set_stake(context, command.node, *node, Money{}); !lowered)
        return fail(lowered.error());
    save_node(context.batch, command.node, *node);
    record_standing(context, command.node, *node);
    append_call(context);
    Answer answer{.status = 200};
    JsonWriter json(answer.body);
    json.begin_object().field("node_id", command.node);
    field(json, "returned_usd", stake);
    json.end_object();
    return answer;
}

Result<Answer> perform(Context& context, const Ban& command) {
    auto node = find_node(context.batch, command.node);
    if (!node) return unknown_node(command.node);
    ban_node(context, command.node, *node, command.reason);
    save_node(context.batch, command.node, *node);
    append_call(context);
    Answer answer{.status = 200};
    JsonWriter json(answer.body);
    json.begin_object().key("node").begin_object();
    append_node(json, context.batch, command.node, *node, context.now);
    json.end_object().end_object();
    return answer;
}

}  // namespace ee::ledger

#include "model.h"

#include <algorithm>

namespace ee::simulation {
namespace {

constexpr Int most = Int(1'000'000'000) * 1'000'000;  // an amount
constexpr Int int64_max = INT64_MAX;

std::int64_t seconds(ledger::Seconds time) {
    return time.time_since_epoch().count();
}
bool is_user(const std::string& name) {
    return !name.empty() && name.find_first_of(":@") == std::string::npos;
}
bool is_holder(const std::string& name) {
    return is_user(name) || name.starts_with("node:");
}
bool is_amount(Int amount) {
    return amount > 0 && amount <= most;
}
bool is_app(const std::string& app) {
    return app.empty() ||
           (app.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
}

Expected refused(std::set<std::string> codes) {
    return {.refusals = std::move(codes)};
}

// "409, what the books say": remembered under the key.
const std::set<std::string> business = {
    "abuse_pending",       "account_exists",    "already_decided",   "already_released", "already_settled",
    "already_slashed",     "already_dismissed", "balance_too_large", "cell_started",     "event_conflict",
    "insufficient_credit", "lock_missing",      "no_stake",          "node_banned",      "node_price_missing",
    "not_inconclusive",    "payment_ref_used",  "period_finalized",  "period_open",      "report_conflict",
    "stake_in_use",        "too_many_locks",    "too_many_reports"};

}  // namespace

std::string usd(Int micro) {
    const bool negative = micro < 0;
    if (negative) micro = -micro;
    std::string digits = std::to_string(static_cast<std::uint64_t>(micro % 1'000'000));
    digits.insert(0, 6 - digits.size(), '0');
    while (!digits.empty() && digits.back() == '0') digits.pop_back();
    std::string out = negative ? "-" : "";
    out += std::to_string(static_cast<std::uint64_t>(micro / 1'000'000));
    return digits.empty() ? out : out + "." + digits;
}

std::int64_t Model::cell_of(std::int64_t time_us) const {
    const std::int64_t s = time_us / 1'000'000;
    return s - s % rules_.step_s;
}

bool Model::is_on_grid(const ledger::Period& period) const {
    return seconds(period.start) % rules_.step_s == 0 && seconds(period.end) % rules_.step_s == 0;
}

// ---- Who may, and keys

bool Model::may(const ledger::Command& command) const {
    using namespace ledger;
    const bool admin = is("admin"), server = is("server");
    if (const auto* c = std::get_if<RotateToken>(&command)) return admin || is("account:" + c->account);
    if (const auto* c = std::get_if<Transfer>(&command))
        return admin || is("account:" + c->from) || (c->from.starts_with("node:") && is(c->from));
    if (const auto* c = std::get_if<TakeLock>(&command)) return admin || is("account:" + c->account);
    if (std::holds_alternative<ReleaseLock>(command)) return admin || principal_.starts_with("account:");
    if (std::holds_alternative<ReportUsage>(command)) return admin || is("uptime");
    if (const auto* c = std::get_if<RegisterNode>(&command)) return admin || is("node:" + c->node);
    if (std::holds_alternative<Observe>(command)) return is("uptime");
    if (std::holds_alternative<FileAbuse>(command)) return is("launcher");
    if (std::holds_alternative<Finalize>(command)) return admin || server;
    if (std::holds_alternative<RecordSlots>(command) || std::holds_alternative<RecordOutage>(command) ||
        std::holds_alternative<ProposeFraud>(command) || std::holds_alternative<RecordLeaf>(command) ||
        std::holds_alternative<SettleMore>(command))
        return server;
    if (std::holds_alternative<RecordCall>(command)) return !server;
    return admin;
}

Expected Model::apply(const Step& step) {
    using ledger::Role;
    switch (step.role) {
        case Role::admin: principal_ = "admin"; break;
        case Role::launcher: principal_ = "launcher"; break;
        case Role::uptime: principal_ = "uptime"; break;
        case Role::auditor: principal_ = "auditor"; break;
        case Role::server: principal_ = "server"; break;
        case Role::app: principal_ = "app"; break;
        case Role::holder: {
            const auto known = tokens.find(step.token);
            if (known == tokens.end()) return refused({"unauthorized"});
            principal_ = known->second;
        }
    }
    if (!may(step.command)) return refused({"forbidden"});
    if (step.key.empty()) {
        const auto* bought = std::get_if<ledger::Purchase>(&step.command);
        const auto* burnt = std::get_if<ledger::Redeem>(&step.command);
        const auto* used = std::get_if<ledger::ReportUsage>(&step.command);
        if ((bought != nullptr && bought->payment_ref.empty()) ||
            (burnt != nullptr && burnt->payment_ref.empty()) ||
            (used != nullptr && used->report_id.empty()) ||
            std::holds_alternative<ledger::Transfer>(step.command) ||
            std::holds_alternative<ledger::TakeLock>(step.command))
            return refused({"idempotency_key_required"});
    } else if (const auto known = keys_.find({principal_, step.key}); known != keys_.end()) {
        if (known->second.text != step.text) return refused({"idempotency_key_reused"});
        if (!known->second.code.empty()) return refused({known->second.code});
        return {.replayed = true, .body = known->second.body};
    }
    return std::visit([this](const auto& command) { return perform(command); }, step.command);
}

void Model::conclude(const Step& step, const std::string& code, const std::string& body, std::uint64_t id) {
    if (code.empty() && id != 0) {
        if (std::holds_alternative<ledger::TakeLock>(step.command) && locks.back().id == 0)
            locks.back().id = id;
        if (std::holds_alternative<ledger::FileAbuse>(step.command) && abuse.back().id == 0)
            abuse.back().id = id;
    }
    if (step.key.empty() || code == "unauthorized" || code == "forbidden" || code == "idempotency_key_reused")
        return;
    if (code.empty() || business.contains(code))
        keys_.try_emplace({principal_, step.key}, step.text, code, body);
}

// ---- Accounts

void Model::move(const std::string& from, const std::string& to, Int amount) {
    accounts[from].available -= amount;
    accounts[to].available += amount;
}

Expected Model::perform(const ledger::OpenAccount& command) {
    if (!is_user(command.account)) return refused({"invalid_field:account_id"});
    if (accounts.contains(command.account)) return refused({"account_exists"});
    accounts[command.account];
    const std::string token(as_text(command.token));
    tokens[token] = "account:" + command.account;
    token_of_account[command.account] = token;
    return {.members = {{"available_usd", "0"}}};
}

Expected Model::perform(const ledger::RotateToken& command) {
    if (!is_user(command.account) || !accounts.contains(command.account)) return refused({"unknown_account"});
    tokens.erase(token_of_account[command.account]);
    const std::string token(as_text(command.token));
    tokens[token] = "account:" + command.account;
    token_of_account[command.account] = token;
    return {};
}

Expected Model::pay(const std::string& kind, const std::string& account, const ledger::Money& money,
                    const std::string& ref) {
    const Int amount = money.micro();
    std::set<std::string> codes;
    if (!is_amount(amount)) codes.insert("invalid_amount");
    if (!accounts.contains(account)) codes.insert("unknown_account");
    if (const auto known = payments_.find({kind, ref}); !ref.empty() && known != payments_.end()) {
        if (known->second.account != account || known->second.amount != amount)
            codes.insert("payment_ref_used");
        if (codes.empty()) return {.replayed = true};
        return refused(codes);
    }
    if (kind == "redeem" && codes.empty() && accounts[account].available < amount)
        codes.insert("insufficient_credit");
    if (!codes.empty()) return refused(codes);
    if (kind == "redeem")
        move(account, "@issued", amount);
    else
        move("@issued", account, amount);
    if (!ref.empty()) payments_[{kind, ref}] = {account, amount};
    return {.members = {{"available_usd", usd(accounts[account].available)}, {"amount_usd", usd(amount)}}};
}

Expected Model::perform(const ledger::Purchase& command) {
    if (!is_user(command.account)) return refused({"invalid_field:account_id"});
    return pay("purchase", command.account, command.amount, command.payment_ref);
}

Expected Model::perform(const ledger::Redeem& command) {
    if (!is_holder(command.account)) return refused({"invalid_field:account_id"});
    return pay("redeem", command.account, command.amount, command.payment_ref);
}

Expected Model::perform(const ledger::Transfer& command) {
    std::set<std::string> codes;
    if (!is_holder(command.from)) codes.insert("invalid_field:from_account");
    if (!is_holder(command.to) || command.from == command.to) codes.insert("invalid_field:to_account");
    if (!is_amount(command.amount.micro())) codes.insert("invalid_amount");
    if (!accounts.contains(command.from) || !accounts.contains(command.to)) codes.insert("unknown_account");
    if (codes.empty() && accounts[command.from].available < command.amount.micro())
        codes.insert("insufficient_credit");
    if (!codes.empty()) return refused(codes);
    move(command.from, command.to, command.amount.micro());
    return {.members = {{"available_usd", usd(accounts[command.from].available)}}};
}

// ---- Nodes

Int Model::stake_of(const std::string& node) const {
    Int sum = 0;
    for (const auto& [source, amount] : nodes.at(node).stake) sum += amount;
    return sum;
}

std::uint64_t Model::open_units(const std::string& node) const {
    return static_cast<std::uint64_t>(std::ranges::count_if(units, [&](const auto& unit) {
        return std::get<1>(unit.first) == node && unit.second.outcome != Outcome::pass &&
               unit.second.outcome != Outcome::fail;
    }));
}

const Model::Terms* Model::terms_at(const Node& node, std::int64_t time) const {
    const Terms* found = nullptr;
    for (const Terms& terms : node.terms)
        if (terms.from <= time) found = &terms;
    return found;
}

// At its start, or the first in it; the price alike.
std::optional<Model::Terms> Model::terms_of_cell(const Node& node, std::int64_t start) const {
    std::optional<Terms> found;
    if (const Terms* at_start = terms_at(node, start * 1'000'000)) found = *at_start;
    for (const Terms& terms : node.terms) {
        if (terms.from <= start * 1'000'000 || terms.from >= (start + rules_.step_s) * 1'000'000) continue;
        if (!found) found = terms;
        if (!found->price) found->price = terms.price;
    }
    return found;
}

// Sets what the command names from a time on, whatever was announced for later.
void Model::change_terms(Node& node, const ledger::RegisterNode& command, std::int64_t from) {
    const auto set = [&](Terms terms) {
        if (command.price) terms.price = command.price->micro();
        if (command.capacity_vcpus) terms.capacity = static_cast<Int>(*command.capacity_vcpus);
        if (command.tier) terms.tier = "?pse"[static_cast<int>(*command.tier)];
        return terms;
    };
    Terms first = terms_at(node, from) != nullptr ? *terms_at(node, from) : Terms{};
    first.from = from;
    for (Terms& terms : node.terms)
        if (terms.from > from) terms = set(terms);
    const auto place = std::ranges::find_if(node.terms, [&](const Terms& t) { return t.from > from; });
    node.terms.insert(place, set(first));
}

void Model::record_standing(const std::string& name) {
    Node& node = nodes[name];
    const bool good = stake_of(name) > 0 && !node.banned;
    node.standing.push_back({now, good});
}

bool Model::held_standing(const Node& node, std::int64_t start) const {
    std::optional<bool> at_start;
    for (const Standing& standing : node.standing) {
        if (standing.from >= (start + rules_.step_s) * 1'000'000) break;
        if (standing.from <= start * 1'000'000)
            at_start = standing.good;
        else if (!standing.good)
            return false;
    }
    return at_start.value_or(false);
}

Expected Model::perform(const ledger::RegisterNode& command) {
    std::set<std::string> codes;
    const bool known = nodes.contains(command.node), admin = is("admin");
    const Node before = known ? nodes[command.node] : Node{};
    const std::int64_t next_cell = (cell_of(now) + rules_.step_s) * 1'000'000;
    const Terms* newest = terms_at(before, next_cell);
    if (!known && !command.capacity_vcpus) codes.insert("invalid_field:capacity_vcpus");
    if (command.capacity_vcpus && (*command.capacity_vcpus == 0 || *command.capacity_vcpus > 1'000'000))
        codes.insert("invalid_field:capacity_vcpus");
    if (!admin && command.capacity_vcpus && newest != nullptr &&
        static_cast<Int>(*command.capacity_vcpus) > newest->capacity)
        codes.insert("forbidden");
    const std::string owner = command.owner.value_or(before.owner);
    if (command.owner && (!is_user(owner) || !accounts.contains(owner))) codes.insert("unknown_account");
    if (!admin && (command.owner || command.stake)) {
        const auto payer =
            command.owner_token ? tokens.find(std::string(as_text(*command.owner_token))) : tokens.end();
        if (owner.empty() || payer == tokens.end() || payer->second != "account:" + owner)
            codes.insert("forbidden");
    }
    const Int stake = known ? stake_of(command.node) : 0;
    const Int wanted = command.stake ? Int(command.stake->micro()) : stake;
    const std::string source = owner.empty() ? "@issued" : owner;
    if (wanted > stake && source == "@issued" && !admin) codes.insert("forbidden");
    if (wanted > stake && source != "@issued" && accounts.contains(source) &&
        accounts[source].available < wanted - stake)
        codes.insert("insufficient_credit");
    if (wanted < stake && open_units(command.node) > 0) codes.insert("stake_in_use");
    if (wanted < stake && !admin && wanted < std::min(stake, proposed(command.node)))
        codes.insert("stake_in_use");
    if (!codes.empty()) return refused(codes);

    Node& node = nodes[command.node];
    accounts["node:" + command.node];
    accounts["stake:" + command.node];
    node.owner = owner;
    change_terms(node, command, admin ? now : next_cell);
    if (wanted > stake) {
        move(source, "stake:" + command.node, wanted - stake);
        // All of a source's money lies together, on top.
        Int of_source = wanted - stake;
        for (const auto& [from, amount] : node.stake)
            if (from == source) of_source += amount;
        std::erase_if(node.stake, [&](const auto& part) { return part.first == source; });
        node.stake.emplace_back(source, of_source);
    }
    for (Int left = stake - wanted; left > 0;) {
        auto& [from, amount] = node.stake.back();
        const Int part = std::min(left, amount);
        move("stake:" + command.node, from, part);
        left -= part;
        amount -= part;
        if (amount == 0) node.stake.pop_back();
    }
    if (!known || command.rotate_token) {
        tokens.erase(node.token);
        node.token = std::string(as_text(command.token));
        tokens[node.token] = "node:" + command.node;
    }
    record_standing(command.node);
    return {.members = {{"stake_amount_usd", usd(wanted)}}};
}

Expected Model::perform(const ledger::Unstake& command) {
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    const Int stake = stake_of(command.node);
    if (stake == 0) return refused({"no_stake"});
    if (open_units(command.node) > 0) return refused({"stake_in_use"});
    for (const auto& [source, amount] : nodes[command.node].stake)
        move("stake:" + command.node, source, amount);
    nodes[command.node].stake.clear();
    record_standing(command.node);
    return {.members = {{"returned_usd", usd(stake)}}};
}

Expected Model::perform(const ledger::Ban& command) {
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    nodes[command.node].banned = true;
    record_standing(command.node);
    return {};
}

// ---- Locks and usage

Expected Model::perform(const ledger::TakeLock& command) {
    std::set<std::string> codes;
    if (command.hours.has_value() == command.amount.has_value()) return refused({"invalid_field:vcpu_hours"});
    if (!is_app(command.app)) codes.insert("invalid_field:app_name");
    const std::int64_t start = seconds(command.period.start), end = seconds(command.period.end);
    if (!is_on_grid(command.period) || end - start != rules_.step_s) codes.insert("period_not_on_grid");
    if (end * 1'000'000 <= now) codes.insert("period_ended");
    if (start * 1'000'000 > now + rules_.lock_ahead_s * 1'000'000) codes.insert("period_too_far");
    if (!is_user(command.account) || !accounts.contains(command.account)) codes.insert("unknown_account");
    Int price = 0;
    if (!nodes.contains(command.node)) {
        codes.insert("unknown_node");
    } else {
        const Node& node = nodes[command.node];
        if (node.banned) codes.insert("node_banned");
        const Terms* terms = terms_at(node, std::max(now, start * 1'000'000));
        price = terms != nullptr ? terms->price.value_or(0) : 0;
        if (terms == nullptr || !terms->price) codes.insert("node_price_missing");
    }
    const Int amount = command.amount ? Int(command.amount->micro())
                                      : (price * command.hours->micro() + 500'000) / 1'000'000;
    if (!is_amount(amount)) codes.insert("invalid_amount");
    if (command.hours && command.hours->micro() <= 0) codes.insert("invalid_hours");
    const UnitKey unit{start, command.node, command.app};
    if (std::ranges::count_if(locks, [&](const Lock& lock) {
            return lock.state == 'h' && lock.account == command.account && lock.unit == unit;
        }) >= 1000)
        codes.insert("too_many_locks");
    if (codes.empty() && accounts[command.account].available < amount) codes.insert("insufficient_credit");
    if (!codes.empty()) return refused(codes);
    accounts[command.account].available -= amount;
    accounts[command.account].locked += amount;
    locks.push_back({.account = command.account, .unit = unit, .amount = amount, .price = price});
    units[unit];
    return {.members = {{"amount_usd", usd(amount)}, {"state", "held"}}};
}

Expected Model::perform(const ledger::ReleaseLock& command) {
    const auto lock = std::ranges::find(locks, command.lock, &Lock::id);
    // Locks that usage took have a number too, which the model does not know. Their cells have started.
    if (lock == locks.end() && std::ranges::count(locks, UINT64_MAX, &Lock::id) > 0)
        return refused({"unknown_lock", "cell_started", "already_settled"});
    if (command.lock == 0 || lock == locks.end() || !(is("admin") || is("account:" + lock->account)))
        return refused({"unknown_lock"});
    if (lock->state == 'r') return refused({"already_released"});
    if (lock->state == 's') return refused({"already_settled"});
    if (std::get<0>(lock->unit) * 1'000'000 <= now) return refused({"cell_started"});
    accounts[lock->account].locked -= lock->amount;
    accounts[lock->account].available += lock->amount;
    lock->state = 'r';
    if (!units[lock->unit].has_usage && std::ranges::none_of(locks, [&](const Lock& other) {
            return other.state == 'h' && other.unit == lock->unit;
        }))
        units.erase(lock->unit);
    return {.members = {{"state", "released"}}};
}

// A refusal, or empty. What is changed by a refused report, the caller takes back.
std::string Model::book_cell(const ledger::ReportUsage& command, const UnitKey& unit, Int hours, Int& amount,
                             Int& uncollected) {
    const auto& [start, node, app] = unit;
    if (const auto known = units.find(unit);
        known != units.end() &&
        (known->second.outcome == Outcome::pass || known->second.outcome == Outcome::fail))
        return "period_finalized";
    const auto terms = terms_of_cell(nodes[node], start);
    if (!terms || !terms->price) return "node_price_missing";
    Int& sum = hours_[{start, node}];
    sum += hours;
    if (sum > terms->capacity * rules_.step_s * 1'000'000 / 3600) return "exceeds_capacity";

    if ((*terms->price * hours + 500'000) / 1'000'000 > most) return "invalid_amount";
    // Millionths of a micro-USD at `price`; what is left after each lock. At first the hours, priced 1.
    Int cost = hours, price = 1;
    const auto whole = [&] { return (cost + 500'000) / 1'000'000; };
    const auto change_price = [&](Int to) {
        if (price > 0) cost = cost * to / price;
        price = to;
    };
    for (Lock& lock : locks) {
        if (lock.state != 'h' || lock.unit != unit || lock.account != command.account) continue;
        if (cost == 0) break;
        if (lock.drawn == lock.amount) continue;
        change_price(lock.price);
        const Int part = std::min(lock.amount - lock.drawn, whole());
        cost = part == whole() ? 0 : cost - part * 1'000'000;
        lock.drawn += part;
        amount += part;
    }
    change_price(*terms->price);
    Unit& kept = units[unit];
    kept.has_usage = true;
    if (whole() == 0) return "";
    if (rules_.usage_requires_lock) return "lock_missing";
    Account& account = accounts[command.account];
    const Int anew = std::min(whole(), account.available);
    uncollected += whole() - anew;
    kept.uncollected += whole() - anew;
    amount += anew;
    if (anew == 0) return "";
    account.available -= anew;
    account.locked += anew;
    // Not a lock that a caller knows by its id.
    locks.push_back({.account = command.account,
                     .unit = unit,
                     .amount = anew,
                     .price = *terms->price,
                     .drawn = anew,
                     .id = UINT64_MAX});
    return "";
}

Expected Model::book(const ledger::ReportUsage& command) {
    const std::int64_t start = seconds(command.period.start);
    const std::int64_t cells = (seconds(command.period.end) - start) / rules_.step_s;
    Int amount = 0, uncollected = 0, left = command.hours.micro();
    for (std::int64_t i = 0; i < cells; ++i) {
        const Int hours = i + 1 == cells ? left : Int(command.hours.micro()) / cells;
        left -= hours;
        const std::string code = book_cell(command, {start + i * rules_.step_s, command.node, command.app},
                                           hours, amount, uncollected);
        if (!code.empty()) return refused({code});
    }
    return {.members = {{"amount_usd", usd(amount)}, {"uncollected_usd", usd(uncollected)}}};
}

Expected Model::perform(const ledger::ReportUsage& command) {
    std::set<std::string> codes;
    if (!is_app(command.app)) codes.insert("invalid_field:app_name");
    if (command.hours.micro() <= 0) codes.insert("invalid_hours");
    if (!is_user(command.account) || !accounts.contains(command.account)) codes.insert("unknown_account");
    if (!nodes.contains(command.node)) codes.insert("unknown_node");
    const std::string content =
        command.account + "/" + command.app + "/" + std::to_string(seconds(command.period.start)) + "/" +
        std::to_string(seconds(command.period.end)) + "/" + std::to_string(command.hours.micro());
    if (codes.empty() && !command.report_id.empty())
        if (const auto known = reports_.find({command.node, command.report_id}); known != reports_.end())
            return known->second == content ? Expected{.replayed = true} : refused({"report_conflict"});
    if (!is_on_grid(command.period)) codes.insert("period_not_on_grid");
    if ((seconds(command.period.end) - rules_.step_s) * 1'000'000 > now) codes.insert("period_not_started");
    if (!codes.empty()) return refused(codes);

    // All of it, or nothing.
    const auto saved = std::make_tuple(accounts, locks, units, hours_);
    Expected expected = book(command);
    if (!expected.refusals.empty())
        std::tie(accounts, locks, units, hours_) = saved;
    else if (!command.report_id.empty())
        reports_[{command.node, command.report_id}] = content;
    return expected;
}

}  // namespace ee::simulation

#include "workload.h"

#include <array>

namespace ee::simulation {
namespace {

using namespace ledger;

// Names that begin alike.
constexpr std::array users{"a", "ab", "b"};
constexpr std::array nodes{"n", "n1", "n1x"};
constexpr std::array apps{"", "x", "xy"};
constexpr std::array<std::int64_t, 9> amounts{1,         2,          400'000,    1'000'000, 2'500'000,
                                              7'000'001, 30'000'000, 90'000'000, 0};
constexpr std::array<std::int64_t, 10> hour_counts{1,         400'000,   500'000,   999'999,   1'500'000,
                                                   2'000'000, 3'333'333, 4'000'000, 9'000'001, 0};
constexpr std::array<std::int64_t, 8> prices{1, 3, 50'000, 333'333, 1'000'000, 2'000'000, 2'999'999, 0};
constexpr std::array<const char*, 6> event_names{"e1", "e2", "e3", "e4", "e5", "e6"};

}  // namespace

// Each seed has its favourites, so that much happens to them; and some names are nobody's.
std::string Workload::user() {
    return chance(30) ? "nobody" : chance(2) ? users[favourite_ % users.size()] : pick(users);
}
std::string Workload::node() {
    return chance(30) ? "nowhere" : chance(2) ? nodes[favourite_ / 3 % nodes.size()] : pick(nodes);
}
std::string Workload::app() {
    return chance(2) ? apps[favourite_ / 9 % apps.size()] : pick(apps);
}
Money Workload::amount() {
    return Money(amounts[below(chance(8) ? amounts.size() : amounts.size() - 1)]);
}
Hours Workload::hours() {
    return Hours(hour_counts[below(chance(8) ? hour_counts.size() : hour_counts.size() - 1)]);
}

// One cell, `first` to `last` cells from the running one.
Period Workload::cell(const Model& model, std::int64_t first, std::int64_t last) {
    const std::int64_t step = model.rules().step_s;
    const std::int64_t place =
        first + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(last - first + 1)));
    const Seconds start{std::chrono::seconds{model.cell_of(model.now) + place * step}};
    return {start, start + std::chrono::seconds{step}};
}

// Mostly one cell; sometimes some, or off the grid.
Period Workload::period(const Model& model, std::int64_t first, std::int64_t last) {
    Period out = cell(model, first, last);
    if (chance(4))
        out.end += std::chrono::seconds{model.rules().step_s * static_cast<std::int64_t>(1 + below(3))};
    if (chance(25)) out.start += std::chrono::seconds{60};
    return out;
}

LedgerTime Workload::moment(const Model& model) {
    return from_us(model.now - static_cast<std::int64_t>(below(9000)) * 1'000'000);
}

crypto::Sha256 Workload::new_token() {
    const std::string text = "token " + std::to_string(++tokens_);
    return crypto::sha256(as_bytes(text));
}

std::string Workload::holder_token(const Model& model, const std::string& principal) {
    for (const auto& [token, holder] : model.tokens)
        if (holder == principal) return token;
    return "of nobody";
}

Step Workload::by_admin(Command command) {
    return {.role = chance(60) ? static_cast<Role>(1 + below(3)) : Role::admin,
            .command = std::move(command)};
}
Step Workload::by(Role role, Command command) {
    return {.role = chance(60) ? static_cast<Role>(below(4)) : role, .command = std::move(command)};
}
Step Workload::by_holder(const Model& model, const std::string& principal, Command command) {
    return {.role = Role::holder, .token = holder_token(model, principal), .command = std::move(command)};
}

std::optional<Step> Workload::opening() {
    constexpr std::array<const char*, 3> names{"a", "ab", "b"}, node_names{"n", "n1", "n1x"};
    const std::uint64_t number = opened_++;
    if (number < 3) return Step{.command = OpenAccount{.account = names[number], .token = new_token()}};
    if (number < 6)
        return Step{.command = Purchase{.account = names[number - 3], .amount = Money(50'000'000)}};
    if (number < 9) {
        RegisterNode command{.node = node_names[number - 6], .token = new_token()};
        command.capacity_vcpus = 1 + below(8);
        if (!chance(8)) command.price = Money(prices[below(prices.size())]);
        if (!chance(4)) command.stake = Money(5'000'000);
        command.tier = static_cast<Tier>(1 + below(3));
        return Step{.command = command};
    }
    return std::nullopt;
}

Step Workload::money(const Model& model) {
    const std::string account = chance(6) ? "node:" + node() : user();
    const std::string ref = chance(3) ? "p" + std::to_string(below(4)) : "";
    switch (below(6)) {
        case 0: return by_admin(Purchase{.account = account, .amount = amount(), .payment_ref = ref});
        case 1: return by_admin(Redeem{.account = account, .amount = amount(), .payment_ref = ref});
        case 2: {
            const std::string who = user();
            return by_holder(model, "account:" + (chance(4) ? user() : who),
                             RotateToken{.account = who, .token = new_token()});
        }
        case 3:
            if (chance(3))
                return by_admin(OpenAccount{.account = chance(2) ? user() : "@issued", .token = new_token()});
            [[fallthrough]];
        default: {
            const std::string from = chance(3) ? "node:" + node() : user();
            const std::string to = chance(4) ? "node:" + node() : chance(20) ? "stake:" + node() : user();
            const Transfer transfer{.from = from, .to = to, .amount = amount(), .memo = "m"};
            if (chance(3)) return by_admin(transfer);
            const std::string holder = chance(9) ? user() : from;
            return by_holder(model, (holder.starts_with("node:") ? "" : "account:") + holder, transfer);
        }
    }
}

Step Workload::lock(const Model& model) {
    TakeLock command{
        .account = user(), .node = node(), .app = app(), .period = cell(model, chance(9) ? -1 : 0, 3)};
    if (chance(20)) command.period = period(model, 0, 30);
    if (chance(2))
        command.hours = hours();
    else
        command.amount = amount();
    if (chance(40)) command.hours = hours();
    if (chance(2)) return by_admin(command);
    return by_holder(model, "account:" + (chance(9) ? user() : command.account), command);
}

Step Workload::release(const Model& model) {
    ReleaseLock command{.lock = 1 + below(40)};
    for (int i = 0; i < 4 && !model.locks.empty(); ++i) {
        const Lock& lock = model.locks[below(model.locks.size())];
        if (lock.id != 0 && lock.id != UINT64_MAX) command.lock = lock.id;
        if (lock.state == 'h' && std::get<0>(lock.unit) * 1'000'000 > model.now) break;
    }
    if (chance(2)) return by_admin(command);
    return by_holder(model, "account:" + user(), command);
}

Step Workload::use(const Model& model) {
    ReportUsage command{.account = user(), .node = node(), .app = app(), .hours = hours()};
    command.period = period(model, -2, 0);
    if (!model.locks.empty() && !chance(4)) {
        Lock lock = model.locks[below(model.locks.size())];
        for (int i = 0; i < 4 && std::get<0>(lock.unit) * 1'000'000 > model.now; ++i)
            lock = model.locks[below(model.locks.size())];
        const auto& [start, on, of] = lock.unit;
        command.account = lock.account;
        command.node = on;
        command.app = of;
        command.period = {Seconds{std::chrono::seconds{start}},
                          Seconds{std::chrono::seconds{start + model.rules().step_s}}};
    }
    if (!chance(3)) command.report_id = "r" + std::to_string(below(60));
    return by(Role::uptime, command);
}

Step Workload::node_change(const Model& model) {
    RegisterNode command{.node = node(), .token = new_token()};
    if (chance(2)) command.price = Money(prices[below(prices.size())]);
    if (chance(3)) command.capacity_vcpus = below(9);
    if (chance(4)) command.tier = static_cast<Tier>(1 + below(3));
    if (chance(3)) command.stake = Money(static_cast<std::int64_t>(below(4)) * 3'000'000);
    if (chance(2)) command.owner = user();
    command.rotate_token = chance(5);
    if (chance(12)) return by_admin(Unstake{.node = command.node, .reason = "r"});
    if (chance(40)) return by_admin(Ban{.node = command.node, .reason = "r"});
    if (chance(2)) return by_admin(command);
    if (chance(2)) {
        const auto known = model.nodes.find(command.node);
        const bool is_owners = known != model.nodes.end() && !known->second.owner.empty() && !chance(9);
        if (is_owners) command.owner.reset();
        const std::string token =
            holder_token(model, "account:" + (is_owners ? known->second.owner : user()));
        command.owner_token.emplace();
        if (token.size() == command.owner_token->size())
            std::copy(token.begin(), token.end(), command.owner_token->begin());
    }
    return by_holder(model, "node:" + (chance(9) ? node() : command.node), command);
}

// What the tunnel side saw in a cell: mostly good.
Step Workload::slots(const Model& model) {
    RecordSlots command{.cell = cell(model, -1, 0)};
    std::string on = chance(2) ? "n1" : "n", of = "x";
    for (const auto& [key, unit] : model.units) {
        if (unit.outcome == Outcome::pass || unit.outcome == Outcome::fail || !chance(2)) continue;
        const Seconds start{std::chrono::seconds{std::get<0>(key)}};
        if (LedgerTime{start} > from_us(model.now)) continue;
        command.cell = {start, start + std::chrono::seconds{model.rules().step_s}};
        on = std::get<1>(key);
        of = std::get<2>(key).empty() ? "x" : std::get<2>(key);
    }
    for (std::uint64_t left = 1 + below(2); left > 0; --left) {
        Slot slot{.attested_at = LedgerTime{command.cell.start}, .window_s = window_s_};
        if (chance(6)) slot.attested_at += std::chrono::seconds{below(3600)};
        const std::int64_t windows = command.cell.length().count() / window_s_ + 2;
        const bool is_good = !chance(3);
        for (std::int64_t i = 0; i < windows; ++i)
            slot.windows +=
                static_cast<char>(is_good || !chance(4) ? Window::pass : static_cast<Window>(below(5)));
        if (chance(6)) slot.windows.resize(below(4));
        if (chance(12)) {  // Only of a challenge.
            slot.window_s = 0;
            slot.windows.clear();
        }
        slot.challenges_passed = static_cast<std::uint32_t>(below(2));
        slot.challenges_missed = chance(20) ? 1 : 0;
        slot.challenges_inconclusive = chance(20) ? 1 : 0;
        if (chance(6)) slot.drained_at = LedgerTime{command.cell.start} + std::chrono::seconds{below(4000)};
        command.seen.push_back({.node = chance(5) ? "n1x" : on,
                                .app = chance(5) ? "xy" : of,
                                .agent = chance(2) ? "g1" : "g2",
                                .slot = std::move(slot),
                                .resolved = chance(10) ? 1U : 0U,
                                .came_back = chance(4)});
    }
    return by(Role::server, command);
}

Step Workload::evidence(const Model& model) {
    if (chance(6)) {
        Outage outage{.from = moment(model), .to = std::nullopt, .cause = "c"};
        outage.from = from_us(to_us(outage.from) / 600'000'000 * 600'000'000);
        if (!chance(6)) outage.to = outage.from + std::chrono::seconds{1 + below(900)};
        return by(Role::server, RecordOutage{.outage = outage});
    }
    if (chance(2)) return slots(model);
    Observe command{
        .node = node(), .event_id = pick(event_names) + (chance(2) ? "b" : ""), .observation = {}};
    const LedgerTime from = moment(model);
    command.observation = {.type = static_cast<ObservationType>(chance(2) ? 1 : 1 + below(4)),
                           .app = app(),
                           .from = from,
                           .to = from + std::chrono::seconds{below(8000)}};
    return by(Role::uptime, command);
}

Step Workload::abuse(const Model& model) {
    if (!model.abuse.empty() && chance(2)) {
        DecideAbuse command{.report = model.abuse[below(model.abuse.size())].id, .authorize = chance(2)};
        if (chance(20)) command.report = 1;
        command.decided_by = "owner";
        return by_admin(command);
    }
    FileAbuse command{.node = node(), .app = app(), .reason = "r"};
    if (!chance(4)) command.period = period(model, -3, chance(9) ? 1 : 0);
    return by(Role::launcher, command);
}

Step Workload::slash(const Model& model) {
    if (chance(5))
        return by(
            Role::server,
            ProposeFraud{.node = node(), .event_id = pick(event_names), .reason = "r", .evidence = "{}"});
    if (!model.slashings.empty() && chance(3)) {
        const std::uint64_t known = model.slashings[below(model.slashings.size())].id;
        return by_admin(DismissSlashing{.slashing = chance(20) ? 1 : known, .reason = "r"});
    }
    Slash command{
        .node = node(), .cause = pick(std::array{"downtime_migration", "other", "abuse"}), .reason = "r"};
    if (chance(25)) command.cause = "attestation_fraud";
    command.event_ids = {pick(event_names)};
    if (!model.slashings.empty() && !chance(3)) {
        const auto& known = model.slashings[below(model.slashings.size())];
        command.node = known.node;
        command.cause = known.cause;
        command.event_ids.assign(known.events.begin(), known.events.end());
    }
    if (chance(6)) command.event_ids.push_back(pick(event_names));
    if (chance(3)) command.amount = Money(1 + static_cast<std::int64_t>(below(4'000'000)));
    return by_admin(command);
}

Step Workload::settle(const Model& model) {
    if (chance(8)) {
        Resolve command{.period = cell(model, -4, -1),
                        .node = node(),
                        .app = app(),
                        .pass = chance(2),
                        .allow_pending = chance(2),
                        .reason = "r"};
        for (const auto& [key, unit] : model.units) {
            if (unit.outcome != (chance(9) ? Outcome::pass : Outcome::inconclusive) || !chance(2)) continue;
            const Seconds start{std::chrono::seconds{std::get<0>(key)}};
            command.period = {start, start + std::chrono::seconds{model.rules().step_s}};
            command.node = std::get<1>(key);
            command.app = std::get<2>(key);
        }
        return by_admin(command);
    }
    Finalize command{.period = period(model, -6, -1), .allow_pending = chance(2)};
    for (const auto& [key, unit] : model.units) {
        const std::int64_t start = std::get<0>(key);
        if (unit.outcome == Outcome::pass || unit.outcome == Outcome::fail || !chance(2)) continue;
        if ((start + model.rules().step_s) * 1'000'000 > model.now) break;
        command.period.start = Seconds{std::chrono::seconds{start}};
        command.period.end = command.period.start + std::chrono::seconds{model.rules().step_s};
    }
    if (chance(3)) command.node = node();
    if (chance(12)) command.recorded_until = moment(model);
    return by_admin(command);
}

Step Workload::next(const Model& model) {
    switch (below(20)) {
        case 0:
        case 1:
        case 2: return money(model);
        case 3:
        case 4:
        case 5:
        case 6: return lock(model);
        case 7: return release(model);
        case 8:
        case 9:
        case 10: return use(model);
        case 11: return node_change(model);
        case 12:
        case 13: return slots(model);
        case 14: return evidence(model);
        case 15: return abuse(model);
        case 16: return chance(2) ? slash(model) : evidence(model);
        default: return settle(model);
    }
}

std::int64_t Workload::clock_step() {
    switch (below(40)) {
        case 0: return -static_cast<std::int64_t>(below(3'600'000'000));  // back: the ledger stands still
        case 1: return 3'600'000'000LL * static_cast<std::int64_t>(below(30));
        case 2: return chance(4) ? 31LL * 86'400'000'000 : 0;
        case 3: return 1;
        default: return chance(2) ? 0 : static_cast<std::int64_t>(below(2'000'000'000));
    }
}

}  // namespace ee::simulation

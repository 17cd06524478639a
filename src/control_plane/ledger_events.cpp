#include "control_plane/ledger_events.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "base/json_writer.h"
#include "ledger/leaf.h"

namespace ee::control_plane {
namespace {

using events::Event;
using ledger::Table;

constexpr std::size_t inconclusive_max = 10'000;

using Data = std::initializer_list<std::pair<std::string_view, std::optional<std::string_view>>>;

std::string data_of(Data fields) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    for (const auto& [name, value] : fields) json.field(name, value);
    json.end_object();
    return out;
}

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
    return out;
}

// Most leaves are of other kinds, and there are many: not all of each is read.
bool is_settlement(std::string_view leaf) {
    return leaf.size() > 1 && leaf[1] == static_cast<char>(ledger::LeafKind::settlement);
}

Event settled(const ledger::Leaf& leaf) {
    return {.at = ledger::to_wall(ledger::from_us(leaf.time_us)),
            .kind = "settled",
            .app_name = std::string(leaf.text("app")),
            .node_id = std::string(leaf.text("node")),
            .code = std::string(leaf.text("outcome")),
            .detail = std::string(leaf.text("reasons")),
            .data = data_of({{"period", leaf.text("cell")},
                             {"paid_usd", to_usd(ledger::Money(leaf.i64("paid")))},
                             {"returned_usd", to_usd(ledger::Money(leaf.i64("returned")))}})};
}

Event undecided(const ledger::UnitName& name, const std::vector<std::string>& reasons, WallTime now) {
    return {.at = now,
            .kind = "settled",
            .app_name = name.app,
            .node_id = name.node,
            .code = "inconclusive",
            .detail = join(reasons),
            .data = data_of({{"period", to_text(name.cell)}})};
}

Event abuse(std::string kind, std::uint64_t id, const ledger::AbuseReport& report) {
    return {.kind = std::move(kind),
            .app_name = report.app,
            .node_id = report.node,
            .detail = report.reason,
            .data = data_of({{"report_id", std::to_string(id)}, {"period", to_text(report.period)}})};
}

void add_abuse(std::vector<Event>& out, std::uint64_t id, const ledger::AbuseReport& report) {
    const bool is_decided = report.state != ledger::AbuseState::pending;
    // Both within one commit leave one record.
    if (!is_decided || report.decided_at == report.filed_at) {
        out.push_back(abuse("abuse_filed", id, report));
        out.back().at = ledger::to_wall(report.filed_at);
    }
    if (!is_decided) return;
    out.push_back(abuse("abuse_decided", id, report));
    out.back().at = ledger::to_wall(report.decided_at);
    out.back().code = to_word(report.state);
}

std::string slashing_kind(ledger::SlashingState state) {
    switch (state) {
        case ledger::SlashingState::proposed: break;
        case ledger::SlashingState::done: return "slashed";
        case ledger::SlashingState::dismissed: return "slashing_dismissed";
    }
    return "slashing_proposed";
}

Event slashing(std::uint64_t id, const ledger::Slashing& slashing) {
    const bool is_proposed = slashing.state == ledger::SlashingState::proposed;
    return {.at = ledger::to_wall(is_proposed ? slashing.proposed_at : slashing.done_at),
            .kind = slashing_kind(slashing.state),
            .node_id = slashing.node,
            .code = slashing.cause,
            .detail = slashing.reason,
            .data = data_of({{"slashing_id", std::to_string(id)}, {"amount_usd", to_usd(slashing.amount)}})};
}

std::string terms_data(const ledger::Terms& terms, ledger::LedgerTime from) {
    const auto price = terms.price ? std::optional(to_usd(*terms.price)) : std::nullopt;
    return data_of({{"price_usd_per_vcpu_hour", price},
                    {"capacity_vcpus", std::to_string(terms.capacity_vcpus)},
                    {"stake_tier", to_word(terms.tier)},
                    {"from", ledger::to_text(from)}});
}

}  // namespace

std::vector<Event> LedgerEvents::in(const ledger::Changes& changes, WallTime now) {
    std::vector<Event> out;
    for (const auto& [key, record] : changes.of(Table::abuse))
        if (record) add_abuse(out, ledger::KeyReader(key).number(), ledger::AbuseReport::decode(*record));
    for (const std::string& encoded : changes.leaves) {
        if (!is_settlement(encoded)) continue;
        if (const auto leaf = ledger::decode_leaf(as_bytes(encoded))) out.push_back(settled(*leaf));
    }
    for (const auto& [key, record] : changes.of(Table::units)) {
        if (!record) continue;
        const ledger::Unit unit = ledger::Unit::decode(*record);
        if (unit.outcome != ledger::Outcome::inconclusive) {
            inconclusive_.erase(key);
            continue;
        }
        const auto known = inconclusive_.find(key);
        if (known != inconclusive_.end() && known->second == unit.reasons) continue;
        if (inconclusive_.size() >= inconclusive_max) inconclusive_.erase(inconclusive_.begin());
        inconclusive_.insert_or_assign(key, unit.reasons);
        const ledger::UnitName name = ledger::UnitName::from_key(key, grid_);
        out.push_back(undecided(name, unit.reasons, now));
    }
    for (const auto& [key, record] : changes.of(Table::slashings))
        if (record)
            out.push_back(slashing(ledger::KeyReader(key).number(), ledger::Slashing::decode(*record)));
    return out;
}

std::vector<Event> node_events(const NodeDirectory& before, const NodeChanges& changes, WallTime now) {
    std::vector<Event> out;
    const auto add = [&](const std::string& id, std::string kind, std::string detail, std::string data) {
        out.push_back({.at = now,
                       .kind = std::move(kind),
                       .node_id = id,
                       .detail = std::move(detail),
                       .data = std::move(data)});
    };
    for (const auto& [id, record] : changes.nodes) {
        if (!record) continue;
        const ledger::Node node = ledger::Node::decode(*record);
        const std::string stake = to_usd(node.stake());
        const crypto::Sha256* token = before.token_of(id);
        const registry::Node* known = before.find(id);
        if (token == nullptr || known == nullptr) {
            add(id, "node_registered", "", data_of({{"owner_account", node.owner}, {"stake_usd", stake}}));
            continue;
        }
        if (node.token != *token) add(id, "node_token", "", "");
        if (node.banned && !known->is_banned()) add(id, "node_banned", node.ban_reason, "");
        if (stake != to_usd(ledger::Money(known->stake())))
            add(id, "node_stake", "", data_of({{"stake_usd", stake}}));
    }
    std::set<std::pair<std::string, ledger::LedgerTime>> told;
    for (const auto& [key, record] : changes.terms) {
        if (!record) continue;
        const std::string id = ledger::KeyReader(key).text();
        const ledger::LedgerTime from = ledger::Terms::from_key(key);
        // Of several for one moment the first record is the newest.
        if (told.emplace(id, from).second)
            add(id, "node_terms", "", terms_data(ledger::Terms::decode(*record), from));
    }
    return out;
}

Event standstill_event(const ledger::Standstill& why, WallTime now) {
    return {.at = now, .kind = "ledger_standstill", .code = why.code, .detail = why.detail};
}

}  // namespace ee::control_plane

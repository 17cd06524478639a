#include "control_plane/node_directory.h"

#include <set>

#include <fmt/format.h>

#include "ledger/log.h"

namespace ee::control_plane {
namespace {

using ledger::Changes;
using ledger::Table;

registry::NodeTier tier_of(ledger::Tier tier) {
    switch (tier) {
        case ledger::Tier::premium: return registry::NodeTier::premium;
        case ledger::Tier::standard: return registry::NodeTier::standard;
        case ledger::Tier::economy: return registry::NodeTier::economy;
    }
    return registry::NodeTier::standard;
}

// Of `held_locks`: cell, node, app, account, lock id.
struct NamedLock {
    std::string node;
    registry::HeldLock lock;
};
NamedLock lock_of(std::string_view key) {
    ledger::KeyReader in(key);
    NamedLock out;
    out.lock.cell = ledger::Seconds{std::chrono::seconds{in.time()}};
    out.node = in.text();
    out.lock.app = in.text();
    out.lock.account = in.text();
    out.lock.id = in.number();
    return out;
}

// The ledger stamps its leaves.
std::optional<ledger::LedgerTime> time_of(const Result<ledger::Leaf>& leaf) {
    return leaf ? std::optional(ledger::from_us(leaf->time_us)) : std::nullopt;
}

}  // namespace

NodeChanges node_changes_in(const Changes& changes, WindowCounts& counts) {
    NodeChanges out{.nodes = changes.of(Table::nodes),
                    .terms = changes.of(Table::terms),
                    .held_locks = changes.of(Table::held_locks),
                    .abuse = changes.of(Table::abuse),
                    .slashings = changes.of(Table::slashings),
                    .windows = counts.apply(changes)};
    if (!out.is_empty() && !changes.leaves.empty())
        out.at = time_of(ledger::decode_leaf(as_bytes(changes.leaves.back())));
    return out;
}

NodeChanges all_nodes(const ledger::Store& store, WindowCounts& counts, ledger::LedgerTime windows_from) {
    NodeChanges out;
    const auto collect = [&](Table table, Changes::Records& records) {
        store.scan(table, "", [&](std::string_view key, std::string_view record) {
            records.emplace_back(std::string(key), std::string(record));
            return true;
        });
    };
    collect(Table::nodes, out.nodes);
    collect(Table::terms, out.terms);
    collect(Table::held_locks, out.held_locks);
    collect(Table::abuse, out.abuse);
    collect(Table::slashings, out.slashings);
    out.windows = counts.load(store, windows_from);
    out.at = time_of(ledger::last_leaf(store, store.leaf_count()));
    return out;
}

std::vector<NodeDirectory::Lost> NodeDirectory::apply(const NodeChanges& changes, Moment now) {
    std::vector<Lost> lost;
    if (changes.at) known_.told_at(ledger::to_wall(*changes.at));
    apply_nodes(changes.nodes, lost);
    apply_terms(changes.terms);
    apply_locks(changes.held_locks);
    apply_abuse(changes.abuse);
    const WallTime lived = known_.at(now).lived;
    for (const CellWindows& windows : changes.windows)
        known_.of(windows.node).set_windows(windows.cell, windows.expected, windows.passed, lived);
    return lost;
}

void NodeDirectory::apply_nodes(const Changes::Records& nodes, std::vector<Lost>& lost) {
    for (const auto& [id, record] : nodes) {
        if (!record) continue;  // Nodes are never erased.
        const ledger::Node now = ledger::Node::decode(*record);
        const auto [token, is_new] = tokens_.try_emplace(id, now.token);
        registry::Node& node = known_.of(id);
        if (!is_new && now.banned && !node.is_banned())
            lost.push_back({.node = id, .banned = true});
        else if (!is_new && now.token != token->second)
            lost.push_back({.node = id});
        token->second = now.token;
        node.set_banned(now.banned);
        node.set_stake(now.stake().micro());
    }
}

// Of terms for one moment, as routing tells moments apart, the first record is the newest, and newer than
// what is known.
void NodeDirectory::apply_terms(const Changes::Records& terms) {
    std::set<std::pair<std::string, WallTime>> told;
    for (const auto& [key, record] : terms) {
        if (!record) continue;
        std::string id = ledger::KeyReader(key).text();
        const WallTime from = ledger::to_wall(ledger::Terms::from_key(key));
        const ledger::Terms posted = ledger::Terms::decode(*record);
        registry::Node& node = known_.of(id);
        if (!told.emplace(std::move(id), from).second) continue;
        registry::NodeTerms now{.tier = tier_of(posted.tier)};
        if (posted.price) now.price = posted.price->micro();
        node.set_terms(from, now);
    }
}

void NodeDirectory::apply_locks(const Changes::Records& held_locks) {
    for (const auto& [key, record] : held_locks) {
        const NamedLock named = lock_of(key);
        if (record)
            known_.of(named.node).hold(named.lock);
        else
            known_.of(named.node).let_go(named.lock);
    }
}

void NodeDirectory::apply_abuse(const Changes::Records& abuse) {
    for (const auto& [key, record] : abuse) {
        if (!record) continue;
        const ledger::AbuseReport report = ledger::AbuseReport::decode(*record);
        if (report.state == ledger::AbuseState::authorized)
            known_.of(report.node)
                .add_abuse(ledger::KeyReader(key).number(), ledger::to_wall(report.decided_at));
    }
}

bool NodeDirectory::is_banned(std::string_view id) const {
    const registry::Node* node = known_.find(id);
    return node != nullptr && node->is_banned();
}

const crypto::Sha256* NodeDirectory::token_of(std::string_view id) const {
    const auto found = tokens_.find(id);
    return found == tokens_.end() ? nullptr : &found->second;
}

Result<void> NodeDirectory::check(std::string_view id, const std::optional<Secret>& token) const {
    if (!token)
        return fail("node_token_invalid",
                    fmt::format("the agent says that it runs on {}, and its answer has no node_token", id));
    const auto known = tokens_.find(id);
    if (known == tokens_.end())
        return fail("node_token_invalid", fmt::format("the agent says that it runs on {}: no node of this "
                                                      "ledger is called so",
                                                      id));
    // Of hashes: how long it takes tells nothing of the token.
    if (crypto::sha256(as_bytes(token->reveal())) != known->second)
        return fail("node_token_invalid",
                    fmt::format("the node_token is not the one that {} was given last", id));
    if (is_banned(id)) return fail("node_banned", fmt::format("{} is banned", id));
    return {};
}

}  // namespace ee::control_plane

#include "control_plane/node_directory.h"

#include <set>

#include <fmt/format.h>

namespace ee::control_plane {
namespace {

const ledger::Changes::Records& records_of(const ledger::Changes& changes, ledger::Table table) {
    return changes.records[static_cast<std::size_t>(table)];
}

ledger::Money stake_in(const ledger::Node& record) {
    ledger::Money sum;
    for (const ledger::StakePart& part : record.stake_parts)
        sum = ledger::checked_add(sum, part.amount).value();
    return sum;
}

}  // namespace

NodeChanges node_changes_in(const ledger::Changes& changes) {
    return {.nodes = records_of(changes, ledger::Table::nodes),
            .terms = records_of(changes, ledger::Table::terms)};
}

NodeChanges all_nodes(const ledger::Store& store) {
    NodeChanges out;
    const auto collect = [&](ledger::Table table, ledger::Changes::Records& records) {
        store.scan(table, "", [&](std::string_view key, std::string_view record) {
            records.emplace_back(std::string(key), std::string(record));
            return true;
        });
    };
    collect(ledger::Table::nodes, out.nodes);
    collect(ledger::Table::terms, out.terms);
    return out;
}

std::vector<NodeDirectory::Lost> NodeDirectory::apply(const NodeChanges& changes) {
    std::vector<Lost> lost;
    for (const auto& [id, record] : changes.nodes) {
        if (!record) continue;  // Nodes are never erased.
        const ledger::Node now = ledger::Node::decode(*record);
        auto [place, is_new] = nodes_.try_emplace(id);
        Node& node = place->second;
        if (!is_new && now.banned && !node.banned)
            lost.push_back({.node = id, .banned = true});
        else if (!is_new && now.token != node.token)
            lost.push_back({.node = id});
        node.token = now.token;
        node.banned = now.banned;
        node.stake = stake_in(now);
    }
    // Of terms for one moment the first record is the newest, and newer than what is known.
    std::set<std::pair<std::string, ledger::LedgerTime>> told;
    for (const auto& [key, record] : changes.terms) {
        if (!record) continue;
        const std::string id = ledger::KeyReader(key).text();
        const ledger::LedgerTime from = ledger::Terms::from_key(key);
        if (told.emplace(id, from).second)
            nodes_[id].prices.insert_or_assign(from, ledger::Terms::decode(*record).price);
    }
    return lost;
}

const NodeDirectory::Node* NodeDirectory::find(std::string_view node) const {
    const auto found = nodes_.find(node);
    return found == nodes_.end() ? nullptr : &found->second;
}

bool NodeDirectory::is_banned(std::string_view node) const {
    const Node* known = find(node);
    return known != nullptr && known->banned;
}

Result<void> NodeDirectory::check(std::string_view id, const std::optional<Secret>& token) const {
    if (!token)
        return fail("node_token_invalid",
                    fmt::format("the agent says that it runs on {}, and its answer has no node_token", id));
    const Node* node = find(id);
    if (node == nullptr)
        return fail("node_token_invalid", fmt::format("the agent says that it runs on {}: no node of this "
                                                      "ledger is called so",
                                                      id));
    // Of hashes: how long it takes tells nothing of the token.
    if (crypto::sha256(as_bytes(token->reveal())) != node->token)
        return fail("node_token_invalid",
                    fmt::format("the node_token is not the one that {} was given last", id));
    if (node->banned) return fail("node_banned", fmt::format("{} is banned", id));
    return {};
}

std::optional<ledger::Money> NodeDirectory::price_at(std::string_view id, ledger::LedgerTime at) const {
    const Node* node = find(id);
    if (node == nullptr) return std::nullopt;
    const auto after = node->prices.upper_bound(at);
    if (after == node->prices.begin()) return std::nullopt;
    const ledger::Money price = std::prev(after)->second;
    if (price.is_zero()) return std::nullopt;
    return price;
}

}  // namespace ee::control_plane

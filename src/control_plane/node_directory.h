#pragma once
// The ledger's nodes as tunnels and routing need them, in memory: whose token is whose, who is banned, who
// has staked, what they ask for. Kept by what each commit of the ledger has changed. One thread; reads no
// clock.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "ledger/node_records.h"
#include "ledger/store.h"

namespace ee::control_plane {

// Records of the ledger that speak of nodes, as they are after a commit.
struct NodeChanges {
    ledger::Changes::Records nodes{};
    ledger::Changes::Records terms{};

    bool is_empty() const { return nodes.empty() && terms.empty(); }
};
NodeChanges node_changes_in(const ledger::Changes& changes);
// Everything there is. Throws StoreFailure.
NodeChanges all_nodes(const ledger::Store& store);

class NodeDirectory {
public:
    struct Node {
        crypto::Sha256 token{};  // its SHA-256
        bool banned = false;
        ledger::Money stake{};
        std::map<ledger::LedgerTime, ledger::Money> prices{};  // of a vCPU-hour, by when they come into force
    };

    // What a change means for tunnels that are open.
    struct Lost {
        std::string node;
        bool banned = false;  // else it has another token now
    };
    std::vector<Lost> apply(const NodeChanges& changes);

    // Whether `token`, which came with an answer, is the node's: `node_token_invalid`, `node_banned`.
    Result<void> check(std::string_view node, const std::optional<Secret>& token) const;
    bool is_banned(std::string_view node) const;

    // nullptr: there is none. Valid until the next apply().
    const Node* find(std::string_view node) const;
    // What it asks at `at`; nullopt: nothing.
    std::optional<ledger::Money> price_at(std::string_view node, ledger::LedgerTime at) const;
    std::size_t size() const { return nodes_.size(); }

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    std::unordered_map<std::string, Node, TextHash, std::equal_to<>> nodes_;
};

}  // namespace ee::control_plane

#pragma once
// The ledger's nodes as tunnels and routing need them, in memory: whose token is whose, and, for the
// registry, who is banned, who has staked, what they ask for, who has locked credits for them, and their
// record. Kept by what each commit of the ledger has changed. One thread; reads no clock.

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/text_hash.h"
#include "control_plane/window_counts.h"
#include "ledger/node_records.h"
#include "ledger/store.h"
#include "registry/nodes.h"

namespace ee::control_plane {

// Records of the ledger that speak of nodes, as they are after a commit.
struct NodeChanges {
    ledger::Changes::Records nodes{};
    ledger::Changes::Records terms{};
    ledger::Changes::Records held_locks{};
    ledger::Changes::Records abuse{};
    ledger::Changes::Records slashings{};
    std::vector<CellWindows> windows{};
    std::optional<ledger::LedgerTime> at{};  // what the ledger's clock said; nullopt: it has said nothing

    bool is_empty() const {
        return nodes.empty() && terms.empty() && held_locks.empty() && abuse.empty() && slashings.empty() &&
               windows.empty();
    }
};
// `counts` follows.
NodeChanges node_changes_in(const ledger::Changes& changes, WindowCounts& counts);
// Everything there is, windows of cells from `windows_from` on. Throws StoreFailure and DamagedRecord.
NodeChanges all_nodes(const ledger::Store& store, WindowCounts& counts, ledger::LedgerTime windows_from);

class NodeDirectory {
public:
    // Tells `known` of them; it outlives this object.
    explicit NodeDirectory(registry::Nodes& known) : known_(known) {}

    // What a change means for tunnels that are open.
    struct Lost {
        std::string node;
        bool banned = false;  // else it has another token now
    };
    // Throws DamagedRecord.
    std::vector<Lost> apply(const NodeChanges& changes, Moment now);

    // Whether `token`, which came with an answer, is the node's: `node_token_invalid`, `node_banned`.
    Result<void> check(std::string_view node, const std::optional<Secret>& token) const;
    bool is_banned(std::string_view node) const;
    // The hash of its token; nullptr: no node is called so. Valid until the next apply().
    const crypto::Sha256* token_of(std::string_view node) const;
    const registry::Node* find(std::string_view node) const { return known_.find(node); }
    std::size_t size() const { return tokens_.size(); }

private:
    void apply_nodes(const ledger::Changes::Records& nodes, std::vector<Lost>& lost);
    void apply_terms(const ledger::Changes::Records& terms);
    void apply_locks(const ledger::Changes::Records& held_locks);
    void apply_abuse(const ledger::Changes::Records& abuse);

    registry::Nodes& known_;
    std::unordered_map<std::string, crypto::Sha256, TextHash, std::equal_to<>> tokens_;  // hashed
};

}  // namespace ee::control_plane

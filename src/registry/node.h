#pragma once
// A node as routing goes by it: what it has staked, what it asks for, who has locked credits for it, and its
// record. Kept by whoever follows the ledger; reads no clock.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "registry/node_windows.h"
#include "router/trust.h"

namespace ee::registry {

enum class NodeTier : std::uint8_t { premium, standard, economy };
inline constexpr std::size_t node_tiers = 3;
std::string_view to_word(NodeTier tier);

struct NodeTerms {
    std::optional<std::int64_t> price{};  // micro-USD of a vCPU-hour; nullopt: none is posted
    NodeTier tier = NodeTier::standard;
};

// Credits of an account that are held for a node in one cell.
struct HeldLock {
    std::string account{};
    std::string app{};  // empty: for whatever the node does
    WallTime cell{};    // its start
    std::uint64_t id = 0;
};

// What a network asks of the nodes that serve on it.
struct NodeRules {
    bool stake_required = false;
    bool price_required = false;
    bool funded_required = false;
    std::array<std::int64_t, node_tiers> stake_min{};  // micro-USD, by tier; counts where stake is required

    bool ask_nothing() const { return !stake_required && !price_required && !funded_required; }
};

// The times a node is judged at.
struct NodeTime {
    WallTime ledger{};  // by which prices are in force and cells begin: never before what the ledger has said
    WallTime cell{};    // start of the cell that `ledger` lies in
    WallTime cell_end{};  // of the next one
    WallTime lived{};     // by which what was counted grows old: no step of a clock moves it
};

// From when until when (excluded) what was found of a node stays so, while nothing of it changes.
struct NodeSpan {
    WallTime ledger_from = WallTime::min();
    WallTime ledger_until = WallTime::max();
    WallTime lived_from = WallTime::min();
    WallTime lived_until = WallTime::max();

    bool contains(const NodeTime& time) const {
        return ledger_from <= time.ledger && time.ledger < ledger_until && lived_from <= time.lived &&
               time.lived < lived_until;
    }
};

inline constexpr std::chrono::days abuse_counts_for{90};

class Node {
public:
    Node() = default;
    // `version` becomes another one with each change; it outlives this object.
    explicit Node(std::uint64_t& version) : version_(&version) {}

    bool is_banned() const { return banned_; }
    void set_banned(bool banned);
    std::int64_t stake() const { return stake_; }  // micro-USD
    void set_stake(std::int64_t stake);

    // In force from `from` until the next ones.
    void set_terms(WallTime from, const NodeTerms& terms);
    // Before the first ones: no price.
    NodeTerms terms_at(WallTime ledger) const;

    void hold(const HeldLock& lock);
    void let_go(const HeldLock& lock);
    // Whether the account holds a lock for the cell, for this app or for any.
    bool is_funded(std::string_view account, std::string_view app, WallTime cell) const;

    // See NodeWindows::set.
    void set_windows(WallTime cell, std::uint32_t expected, std::uint32_t passed, WallTime lived);
    // An abuse report was authorized then.
    void add_abuse(std::uint64_t report, WallTime authorized_at);
    router::NodeRecord record_at(WallTime lived) const;

    // nullptr: changes are not counted.
    const std::uint64_t* version() const { return version_; }
    // Around `time`: how long terms, record and the cell are those of then.
    NodeSpan span_around(const NodeTime& time) const;

private:
    using Payer = std::pair<std::string, std::string>;  // account, app
    using PayerView = std::pair<std::string_view, std::string_view>;
    struct PayerHash {
        using is_transparent = void;
        std::size_t operator()(const PayerView& payer) const {
            const std::hash<std::string_view> hash;
            return hash(payer.first) * 31 + hash(payer.second);
        }
        std::size_t operator()(const Payer& payer) const { return (*this)(PayerView(payer)); }
    };
    struct PayerEqual {
        using is_transparent = void;
        bool operator()(const PayerView& a, const PayerView& b) const { return a == b; }
    };
    // Ids of the locks of one payer.
    using Payers = std::unordered_map<Payer, std::set<std::uint64_t>, PayerHash, PayerEqual>;

    void changed() {
        if (version_ != nullptr) ++*version_;
    }

    std::uint64_t* version_ = nullptr;
    bool banned_ = false;
    std::int64_t stake_ = 0;
    std::vector<std::pair<WallTime, NodeTerms>> terms_;  // by when they come into force
    std::map<WallTime, Payers> locks_;                   // by cell
    NodeWindows windows_;
    std::vector<std::pair<std::uint64_t, WallTime>> abuse_;
};

// What a node lacks; the last of several that it does.
enum class NodeLack { nothing, funding, price, stake, standing };
// `unfunded`, `no_price`, `no_stake`, `banned`; empty for nothing.
std::string_view to_word(NodeLack lack);
// What an agent is chosen by.
struct Offer {
    std::optional<std::int64_t> price{};  // Of its node: micro-USD of a vCPU-hour; nullopt: none is posted.
    router::NodeRecord record{};          // All zero without a node.
    router::Trust trust{};
};

// `node`: nullptr for an agent without one, which has none of what a node may have. The account is the one
// that pays for the app.
NodeLack lack_of(const Node* node, const NodeRules& rules, std::string_view account, std::string_view app,
                 const NodeTime& now);

}  // namespace ee::registry

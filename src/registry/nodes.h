#pragma once
// Every node that routing knows, and the times they are judged at. One thread; reads no clock.

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/text_hash.h"
#include "registry/node.h"

namespace ee::registry {

class Nodes {
public:
    // `cell`: the step of the ledger's grid.
    explicit Nodes(std::chrono::seconds cell) : cell_(cell) {}
    Nodes(const Nodes&) = delete;
    Nodes& operator=(const Nodes&) = delete;

    // The node of this id, for as long as this object lives: an agent may come before the ledger has said
    // anything of its node.
    Node& of(std::string_view id);
    // nullptr: nobody has asked for it.
    const Node* find(std::string_view id) const;
    std::size_t size() const { return nodes_.size(); }

    // The ledger has said something at this time of its own clock, which never goes back.
    void told_at(WallTime ledger) { told_ = std::max(told_, ledger); }
    // From now on what was counted of nodes grows old by the monotonic clock; until then, by the wall clock.
    void begin(Moment now) { born_ = now; }
    NodeTime at(Moment now) const;

private:
    const std::chrono::seconds cell_;
    // Apart from the nodes, so that those of many nodes lie together: each request looks at some.
    std::deque<std::uint64_t> versions_;
    std::unordered_map<std::string, Node, TextHash, std::equal_to<>> nodes_;
    WallTime told_ = WallTime::min();
    Moment born_{.mono = {}, .wall = WallTime::min()};
};

}  // namespace ee::registry

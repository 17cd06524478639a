#pragma once
// Nodes of a hash map that are used again: what comes and goes all the time allocates nothing.

#include <cstddef>
#include <utility>
#include <vector>

namespace ee {

template <class Map>
class SpareNodes {
public:
    explicit SpareNodes(std::size_t nodes_max) : nodes_max_(nodes_max) {}

    // The key's value, which is what it was when its node was kept, or new. The key must not be there.
    typename Map::mapped_type& insert(Map& map, const typename Map::key_type& key) {
        if (nodes_.empty()) return map.try_emplace(key).first->second;
        nodes_.back().key() = key;
        auto& value = map.insert(std::move(nodes_.back())).position->second;
        nodes_.pop_back();
        return value;
    }
    void keep(typename Map::node_type node) {
        if (nodes_.size() < nodes_max_) nodes_.push_back(std::move(node));
    }

private:
    std::vector<typename Map::node_type> nodes_;
    std::size_t nodes_max_;
};

}  // namespace ee

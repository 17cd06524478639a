#include "registry/nodes.h"

namespace ee::registry {

Node& Nodes::of(std::string_view id) {
    const auto found = nodes_.find(id);
    if (found != nodes_.end()) return found->second;
    return nodes_.try_emplace(std::string(id), versions_.emplace_back(1)).first->second;
}

const Node* Nodes::find(std::string_view id) const {
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : &found->second;
}

NodeTime Nodes::at(Moment now) const {
    NodeTime out{.ledger = std::max(now.wall, told_), .cell = {}, .cell_end = {}, .lived = now.wall};
    const auto since_epoch = out.ledger.time_since_epoch();
    // Cells begin at whole steps since the epoch; wall clocks may be before it.
    const auto rest = since_epoch % cell_;
    out.cell = out.ledger - (rest.count() < 0 ? rest + cell_ : rest);
    out.cell_end = out.cell + cell_;
    if (born_.wall != WallTime::min())
        out.lived = born_.wall + std::chrono::floor<WallTime::duration>(now.mono - born_.mono);
    return out;
}

}  // namespace ee::registry

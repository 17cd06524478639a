#include "ledger/memory_store.h"

#include "base/check.h"

namespace ee::ledger {

std::optional<std::string> MemoryStore::get(Table table, std::string_view key) const {
    const auto& records = tables_[static_cast<std::size_t>(table)];
    const auto found = records.find(key);
    if (found == records.end()) return std::nullopt;
    return found->second;
}

void MemoryStore::scan(Table table, std::string_view from, const Visit& visit) const {
    const auto& records = tables_[static_cast<std::size_t>(table)];
    for (auto record = records.lower_bound(from); record != records.end(); ++record)
        if (!visit(record->first, record->second)) return;
}

std::optional<std::string> MemoryStore::leaf(std::uint64_t index) const {
    if (index >= leaves_.size()) return std::nullopt;
    return leaves_[index];
}

std::optional<std::string> MemoryStore::tile(unsigned level, std::uint64_t index) const {
    const auto found = tiles_.find({level, index});
    if (found == tiles_.end()) return std::nullopt;
    return found->second;
}

void MemoryStore::commit(const Changes& changes) {
    EE_CHECK(changes.leaves.empty() || changes.first_leaf == leaves_.size());
    for (std::size_t table = 0; table < table_count; ++table)
        for (const auto& [key, record] : changes.records[table]) {
            if (record)
                tables_[table].insert_or_assign(key, *record);
            else
                tables_[table].erase(key);
        }
    leaves_.insert(leaves_.end(), changes.leaves.begin(), changes.leaves.end());
    for (const NewTile& tile : changes.tiles) tiles_[{tile.level, tile.index}] = tile.hashes;
}

}  // namespace ee::ledger

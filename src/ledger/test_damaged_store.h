#pragma once
// A memory whose records, leaves and tiles can be damaged: for tests.

#include <map>
#include <memory>
#include <set>

#include "ledger/memory_store.h"

namespace ee::ledger {

// What a memory holds, but for what is damaged of it.
class DamagedStore final : public Store {
public:
    explicit DamagedStore(std::shared_ptr<MemoryStore> memory) : memory_(std::move(memory)) {}
    std::optional<std::string> get(Table table, std::string_view key) const override {
        const auto found = records.find({table, std::string(key)});
        if (read != nullptr) read->emplace(table, std::string(key));
        return found == records.end() ? memory_->get(table, key) : found->second;
    }
    void scan(Table table, std::string_view from, const Visit& visit) const override {
        memory_->scan(table, from, [&](std::string_view key, std::string_view) {
            const auto record = get(table, key);
            return !record || visit(key, *record);
        });
    }
    std::uint64_t leaf_count() const override { return memory_->leaf_count(); }
    std::optional<std::string> leaf(std::uint64_t index) const override {
        ++leaves_read;
        const auto found = leaves.find(index);
        return found == leaves.end() ? memory_->leaf(index) : found->second;
    }
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override {
        auto tile = memory_->tile(level, index);
        if (tile && damaged_tile == std::pair{level, index}) tile->front() ^= 1;
        return tile;
    }
    void commit(const Changes& changes) override { memory_->commit(changes); }

    std::map<std::pair<Table, std::string>, std::optional<std::string>> records;
    std::map<std::uint64_t, std::optional<std::string>> leaves;
    std::optional<std::pair<unsigned, std::uint64_t>> damaged_tile;
    mutable std::uint64_t leaves_read = 0;
    std::set<std::pair<Table, std::string>>* read = nullptr;  // what is read, also by a scan

private:
    std::shared_ptr<MemoryStore> memory_;
};

}  // namespace ee::ledger

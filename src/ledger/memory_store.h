#pragma once
// A store that forgets: for tests, simulations and dry runs.

#include <array>
#include <map>
#include <vector>

#include "ledger/store.h"

namespace ee::ledger {

class MemoryStore final : public Store {
public:
    std::optional<std::string> get(Table table, std::string_view key) const override;
    void scan(Table table, std::string_view from, const Visit& visit) const override;
    std::uint64_t leaf_count() const override { return leaves_.size(); }
    std::optional<std::string> leaf(std::uint64_t index) const override;
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override;
    void commit(const Changes& changes) override;

private:
    std::array<std::map<std::string, std::string, std::less<>>, table_count> tables_;
    std::vector<std::string> leaves_;
    std::map<std::pair<unsigned, std::uint64_t>, std::string> tiles_;
};

}  // namespace ee::ledger

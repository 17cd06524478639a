#pragma once
// What a store should hold, kept in the plainest way, and histories to try it with.

#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "ledger/store.h"

namespace ee::ledger {

struct StoreModel {
    std::array<std::map<std::string, std::string>, table_count> tables;
    std::vector<std::string> leaves;
    std::map<std::pair<unsigned, std::uint64_t>, std::string> tiles;

    void apply(const Changes& changes);
    friend bool operator==(const StoreModel&, const StoreModel&) = default;
};

// Of a table that is appended to.
std::string appended_key(Table table, std::uint64_t number);

// All that the store holds, by scans and by reads of each leaf; tiles are those at `tile_places`.
StoreModel read_all(const Store& store,
                    const std::map<std::pair<unsigned, std::uint64_t>, std::string>& tile_places);

// Changes that may follow what `model` holds: puts in place of records and beside them, erasures of what is
// there and what is not, keys that are beginnings of others or hold any byte, new entries, leaves and tiles.
Changes random_changes(std::mt19937_64& random, const StoreModel& model, std::size_t size);

}  // namespace ee::ledger

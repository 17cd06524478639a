#include "ledger/sqlite/store_model.h"

#include <algorithm>

#include "base/big_endian.h"

namespace ee::ledger {
namespace {

constexpr auto entries = static_cast<std::size_t>(Table::entries);

std::string random_bytes(std::mt19937_64& random, std::size_t size_max) {
    std::string bytes(random() % (size_max + 1), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

// Few enough that the same ones come again.
std::string random_key(std::mt19937_64& random) {
    constexpr std::string_view letters(
        "\x00\x01"
        "ab\xff",
        5);
    std::string key(random() % 5, '\0');
    for (char& letter : key) letter = letters[random() % letters.size()];
    return key;
}

}  // namespace

std::string appended_key(Table table, std::uint64_t number) {
    std::string key;
    append_big_endian<8>(key, table == Table::audit ? ~number : number);
    return key;
}

void StoreModel::apply(const Changes& changes) {
    for (std::size_t table = 0; table < table_count; ++table)
        for (const auto& [key, record] : changes.records[table]) {
            if (record)
                tables[table][key] = *record;
            else
                tables[table].erase(key);
        }
    leaves.insert(leaves.end(), changes.leaves.begin(), changes.leaves.end());
    for (const NewTile& tile : changes.tiles) tiles[{tile.level, tile.index}] = tile.hashes;
}

StoreModel read_all(const Store& store,
                    const std::map<std::pair<unsigned, std::uint64_t>, std::string>& tile_places) {
    StoreModel out;
    for (std::size_t table = 0; table < table_count; ++table)
        store.scan(static_cast<Table>(table), "", [&](std::string_view key, std::string_view record) {
            out.tables[table].emplace(key, record);
            return true;
        });
    for (std::uint64_t index = 0; index < store.leaf_count(); ++index)
        out.leaves.push_back(store.leaf(index).value_or("missing"));
    for (const auto& [place, hashes] : tile_places)
        if (auto tile = store.tile(place.first, place.second)) out.tiles[place] = std::move(*tile);
    return out;
}

Changes random_changes(std::mt19937_64& random, const StoreModel& model, std::size_t size) {
    std::array<std::map<std::string, std::optional<std::string>>, table_count> records;
    Changes changes;
    changes.first_leaf = model.leaves.size();
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t table = random() % table_count;
        std::string key = random_key(random);
        if (is_appended(static_cast<Table>(table))) {
            key = appended_key(static_cast<Table>(table), model.tables[table].size() + records[table].size());
            records[table][key] = random_bytes(random, 100);
        } else if (table == entries) {
            key += std::to_string(random());
            if (!model.tables[entries].contains(key)) records[entries][key] = random_bytes(random, 100);
        } else if (random() % 4 == 0) {
            records[table][key] = std::nullopt;
        } else {
            records[table][key] = random_bytes(random, random() % 50 == 0 ? 20000 : 100);
        }
        if (random() % 3 == 0) changes.leaves.push_back(random_bytes(random, 300));
    }
    for (std::size_t table = 0; table < table_count; ++table)
        changes.records[table].assign(records[table].begin(), records[table].end());
    const NewTile tile{.level = static_cast<unsigned>(random() % 3),
                       .index = model.tiles.size(),
                       .hashes = std::string(256 * 32, static_cast<char>(random()))};
    if (random() % 4 == 0) changes.tiles.push_back(tile);
    return changes;
}

}  // namespace ee::ledger

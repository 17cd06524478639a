#pragma once
// The records of Table::meta, one of a kind each.

#include <optional>
#include <string>

#include "ledger/encoding.h"
#include "ledger/period.h"
#include "ledger/store.h"

namespace ee::ledger {

// Of a record that is one number.
inline std::uint64_t decode_number(std::string_view record) {
    RecordReader in(record);
    const std::uint64_t number = in.number();
    in.finish();
    return number;
}

// Which cells the ledger's units are of; a ledger has it from its first start on.
inline constexpr std::string_view grid_key = "grid";
inline Grid decode_grid(std::string_view record) {
    for (const Grid grid : {Grid::hour, Grid::day})
        if (record == to_word(grid)) return grid;
    throw DamagedRecord("'grid': a word that there is not");
}

// What `decode` makes of the record, in a store or a batch; nullopt: there is none. Throws DamagedRecord.
template <class Books, class Decode>
auto meta_record(const Books& books, std::string_view key, const Decode& decode)
    -> std::optional<decltype(decode(std::string_view()))> {
    const auto record = books.get(Table::meta, key);
    if (!record) return std::nullopt;
    return decode(std::string_view(*record));
}

}  // namespace ee::ledger

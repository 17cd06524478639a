#pragma once
// Tables that are appended to have the number in their keys as SQLite's row number: such a table's inner
// pages hold numbers alone, and its pages are filled one after another.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ledger/encoding.h"
#include "ledger/store.h"

namespace ee::ledger {

// Keys of these descend, and row numbers ascend as those of the others.
constexpr bool is_newest_first(Table table) {
    return table == Table::audit;
}

constexpr std::string_view key_column(Table table) {
    return is_appended(table) ? "number" : "key";
}

// nullopt: no record of the table has such a key.
inline std::optional<std::int64_t> row_of(Table table, std::string_view key) {
    if (key.size() != appended_key_bytes) return std::nullopt;
    const std::uint64_t number = number_at(key, 0);
    const std::uint64_t row = is_newest_first(table) ? ~number : number;
    return row <= INT64_MAX ? std::optional(static_cast<std::int64_t>(row)) : std::nullopt;
}

inline std::string key_of(Table table, std::int64_t row) {
    const auto number = static_cast<std::uint64_t>(row);
    return KeyWriter().number(is_newest_first(table) ? ~number : number);
}

// Of the first key that may be there and is not before `from`; nullopt: there is none.
inline std::optional<std::int64_t> first_row_of(Table table, std::string_view from) {
    std::string start(from.substr(0, appended_key_bytes));
    start.resize(appended_key_bytes, '\0');
    std::uint64_t number = number_at(start, 0);
    if (from.size() > appended_key_bytes && ++number == 0) return std::nullopt;
    const std::uint64_t row = is_newest_first(table) ? std::min<std::uint64_t>(~number, INT64_MAX) : number;
    return row <= INT64_MAX ? std::optional(static_cast<std::int64_t>(row)) : std::nullopt;
}

}  // namespace ee::ledger

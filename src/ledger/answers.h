#pragma once
// The bodies of answers.

#include <optional>
#include <string>

#include "base/json_writer.h"
#include "ledger/context.h"
#include "ledger/node_records.h"

namespace ee::ledger {

inline JsonWriter& field(JsonWriter& json, std::string_view name, Money money) {
    return json.field(name, to_usd(money));
}
// Null where there is none.
inline JsonWriter& field(JsonWriter& json, std::string_view name, const std::optional<Money>& money) {
    return json.field(name, money ? std::optional(to_usd(*money)) : std::nullopt);
}
// Ids are the numbers of the leaves they began with.
inline std::string id_text(std::uint64_t id) {
    return std::to_string(id);
}

// Of one object, whose fields `append` writes. The receipt is for `leaf`.
template <class Append>
Answer object_answer(std::uint16_t status, std::optional<std::uint64_t> leaf, const Append& append) {
    Answer answer{.status = status, .leaf_index = leaf};
    JsonWriter json(answer.body);
    json.begin_object();
    append(json);
    json.end_object();
    return answer;
}

void append_lock(JsonWriter& json, std::uint64_t id, const Lock& lock);

void append_slashing(JsonWriter& json, std::uint64_t id, const Slashing& slashing);
void append_abuse(JsonWriter& json, std::uint64_t id, const AbuseReport& report);
void append_unit(JsonWriter& json, const UnitName& name, const Unit& unit);

}  // namespace ee::ledger

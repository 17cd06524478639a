#pragma once
// Nodes: what they offer, whose they are, what they have staked, and what they earned.

#include <optional>
#include <string_view>

#include "base/json_writer.h"
#include "ledger/batch.h"
#include "ledger/context.h"
#include "ledger/node_records.h"

namespace ee::ledger {

std::optional<Node> find_node(const Batch& batch, std::string_view id);
void save_node(Batch& batch, std::string_view id, const Node& node);
tl::unexpected<Error> unknown_node(std::string_view id);

Money stake_of(const Batch& batch, std::string_view id);

// Takes `amount` of the stake to @slashed: at most all of it. The slashed amount, and what is told of the
// node from now on.
Result<Money> slash_stake(Context& context, std::string_view id, Node& node, Money amount,
                          std::string_view reference);
void ban_node(Context& context, std::string_view id, Node& node, std::string_view reason);

void add_earnings(Batch& batch, std::string_view id, const Period& cell, Money amount);
// Settled earnings of cells that started within `length` before `now`.
Money earnings_of(const Batch& batch, std::string_view id, LedgerTime now, std::chrono::seconds length);

// The members of its object.
void append_node(JsonWriter& json, const Batch& batch, std::string_view id, const Node& node, LedgerTime now);

}  // namespace ee::ledger

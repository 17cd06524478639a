#pragma once
// Settling: each ended unit gets its outcome once, in one transaction; its transfers follow.

#include <string>
#include <string_view>
#include <vector>

#include "ledger/context.h"
#include "ledger/outcome.h"

namespace ee::ledger {

// As a settlement's leaf has them.
std::string reasons_text(const std::vector<std::string>& reasons);

// Judges open units of ended cells in the period (of `node`, where it is not empty), from the key `from` on,
// at most `units_max`, and writes the outcomes of those that can be decided. The key to go on from; empty:
// there are no more.
std::string judge_units(Context& context, const Period& period, std::string_view node,
                        SettleMore::Pending pending, std::string_view from, std::size_t units_max);

// Of those units the ones that nobody has judged yet, at most `most`: they came meanwhile.
std::vector<UnitName> unjudged_units(const Context& context, const Period& period, std::string_view node,
                                     std::size_t most);
// So many of them a finalize that was judged step by step judges at its end.
inline constexpr std::size_t unjudged_at_end_max = 64;

// The next transfers of decided units: at most `locks_max`. Whether there are more.
bool move_decided(Context& context, std::size_t locks_max);

}  // namespace ee::ledger

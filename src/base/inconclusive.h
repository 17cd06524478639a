#pragma once
// The refusals that are nobody's fault.

#include <algorithm>
#include <iterator>
#include <string_view>

namespace ee {

// Whether a refusal of an attestation says that nobody could judge, rather than that the agent is wrong: such
// a verdict takes nothing from an agent that was admitted before. What follows a ':' says of what.
constexpr bool is_inconclusive(std::string_view code) {
    constexpr std::string_view words[] = {"collateral_unavailable", "collateral_expired",
                                          "collateral_not_yet_valid", "allowlist_unavailable"};
    return std::ranges::find(words, code.substr(0, code.find(':'))) != std::end(words);
}

}  // namespace ee

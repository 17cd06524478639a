#pragma once
// The names of accounts. Users', nodes' and the ledger's own never meet: a user's name has no ':' and no '@'.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ee::ledger {

enum class AccountType : std::uint8_t { user, node, stake, issued, slashed };

inline constexpr std::string_view issued_account = "@issued";
inline constexpr std::string_view slashed_account = "@slashed";

// 1-64 of [A-Za-z0-9._-].
bool is_user_name(std::string_view text);
// nullopt: no account can be called that.
std::optional<AccountType> type_of(std::string_view name);

std::string node_account(std::string_view node_id);
std::string stake_account(std::string_view node_id);
// The id in "node:<id>" or "stake:<id>"; empty for other accounts.
std::string_view node_id_of(std::string_view name);

// Only @issued may: it is what all other accounts together hold, negated.
constexpr bool may_be_negative(AccountType type) {
    return type == AccountType::issued;
}

}  // namespace ee::ledger

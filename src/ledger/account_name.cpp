#include "ledger/account_name.h"

#include <algorithm>

#include "base/names.h"

namespace ee::ledger {
namespace {

constexpr std::string_view node_prefix = "node:";
constexpr std::string_view stake_prefix = "stake:";
constexpr std::size_t user_name_max = 64;

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

bool is_user_name(std::string_view text) {
    return !text.empty() && text.size() <= user_name_max && std::ranges::all_of(text, is_name_character);
}

std::optional<AccountType> type_of(std::string_view name) {
    if (is_user_name(name)) return AccountType::user;
    if (name == issued_account) return AccountType::issued;
    if (name == slashed_account) return AccountType::slashed;
    if (name.starts_with(node_prefix) && is_node_id(name.substr(node_prefix.size())))
        return AccountType::node;
    if (name.starts_with(stake_prefix) && is_node_id(name.substr(stake_prefix.size())))
        return AccountType::stake;
    return std::nullopt;
}

std::string node_account(std::string_view node_id) {
    return std::string(node_prefix) += node_id;
}

std::string stake_account(std::string_view node_id) {
    return std::string(stake_prefix) += node_id;
}

std::string_view node_id_of(std::string_view name) {
    if (name.starts_with(node_prefix)) return name.substr(node_prefix.size());
    if (name.starts_with(stake_prefix)) return name.substr(stake_prefix.size());
    return {};
}

}  // namespace ee::ledger

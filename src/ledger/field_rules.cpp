#include "ledger/field_rules.h"

#include <fmt/format.h>

#include "base/names.h"
#include "base/utf8.h"

namespace ee::ledger {
namespace {

constexpr Hours hours_max{10'000'000'000'000'000};  // below 10^10

tl::unexpected<Error> invalid(std::string_view field, std::string detail) {
    return fail("invalid_field:" + std::string(field), std::move(detail));
}

}  // namespace

Result<void> check_text(std::string_view field, std::string_view text, std::size_t most) {
    if (text.size() > most) return invalid(field, fmt::format("at most {} bytes, not {}", most, text.size()));
    if (!is_utf8(text)) return invalid(field, "it is no UTF-8");
    return {};
}

Result<void> check_some_text(std::string_view field, std::string_view text, std::size_t most) {
    if (text.empty()) return invalid(field, fmt::format("1 to {} bytes, not none", most));
    return check_text(field, text, most);
}

Result<void> check_id(std::string_view field, std::string_view text, std::size_t most) {
    if (text.find('\0') != std::string_view::npos) return invalid(field, "it contains a NUL");
    return check_some_text(field, text, most);
}

Result<void> check_app(std::string_view app) {
    if (app.empty() || is_app_name(app)) return {};
    return invalid("app_name", "an app's name is a DNS label in lower case");
}

Result<void> check_amount(Money amount) {
    if (amount <= Money{}) return fail("invalid_amount", "an amount is above 0, not " + to_usd(amount));
    return check_amount_or_zero(amount);
}

Result<void> check_amount_or_zero(Money amount) {
    if (!amount.is_negative() && amount <= amount_max) return {};
    return fail("invalid_amount", fmt::format("an amount is at most {} USD and not negative, this one is {}",
                                              to_usd(amount_max), to_usd(amount)));
}

Result<void> check_hours(Hours hours) {
    if (hours > Hours{} && hours < hours_max) return {};
    return fail("invalid_hours", fmt::format("vCPU-hours are above 0 and below {}, not {}",
                                             to_text(hours_max), to_text(hours)));
}

}  // namespace ee::ledger

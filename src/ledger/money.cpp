#include "ledger/money.h"

#include <limits>

#include <fmt/format.h>

#include "base/check.h"

namespace ee::ledger {
namespace {

constexpr std::int64_t one = 1'000'000;
constexpr std::size_t whole_digits_max = 10;
constexpr std::size_t total_digits_max = 13;  // of the largest there is
constexpr std::size_t fraction_digits_max = 6;

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::size_t count_digits(std::string_view text) {
    std::size_t count = 0;
    while (count < text.size() && is_digit(text[count])) ++count;
    return count;
}

// Millionths; nullopt where the text is no such decimal.
std::optional<std::int64_t> parse_decimal(std::string_view text, std::size_t digits_max = whole_digits_max) {
    const std::size_t whole_digits = count_digits(text);
    if (whole_digits == 0 || whole_digits > digits_max) return std::nullopt;
    if (text[0] == '0' && whole_digits > 1) return std::nullopt;
    std::int64_t value = 0;
    for (std::size_t i = 0; i < whole_digits; ++i) value = value * 10 + (text[i] - '0');
    // 13 digits may be more than 64 bits of millionths.
    if (__builtin_mul_overflow(value, one, &value)) return std::nullopt;
    if (whole_digits == text.size()) return value;

    const std::string_view fraction = text.substr(whole_digits + 1);
    if (text[whole_digits] != '.' || fraction.empty() || fraction.size() > fraction_digits_max ||
        count_digits(fraction) != fraction.size())
        return std::nullopt;
    std::int64_t millionths = 0;
    for (std::size_t i = 0; i < fraction_digits_max; ++i)
        millionths = millionths * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
    if (__builtin_add_overflow(value, millionths, &value)) return std::nullopt;
    return value;
}

std::string format_decimal(std::int64_t micro) {
    const bool negative = micro < 0;
    const std::uint64_t size =
        negative ? ~static_cast<std::uint64_t>(micro) + 1 : static_cast<std::uint64_t>(micro);
    std::string text = fmt::format("{}{}", negative ? "-" : "", size / one);
    std::uint64_t fraction = size % one;
    if (fraction == 0) return text;
    std::string digits = fmt::format("{:06}", fraction);
    while (digits.back() == '0') digits.pop_back();
    return text + "." + digits;
}

}  // namespace

std::optional<Money> checked_add(Money a, Money b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a.micro(), b.micro(), &sum)) return std::nullopt;
    return Money(sum);
}

std::optional<Money> checked_subtract(Money a, Money b) {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a.micro(), b.micro(), &difference)) return std::nullopt;
    return Money(difference);
}

std::optional<Money> checked_negate(Money a) {
    return checked_subtract(Money{}, a);
}

Result<Money> parse_amount_or_zero(std::string_view text) {
    const auto micro = parse_decimal(text);
    if (!micro)
        return fail("invalid_amount",
                    "an amount is a decimal in USD with at most 6 decimals, such as \"12.5\"");
    if (Money(*micro) > amount_max)
        return fail("invalid_amount",
                    "an amount is at most 1000000000 USD, this one is " + format_decimal(*micro));
    return Money(*micro);
}

Result<Money> parse_amount(std::string_view text) {
    auto amount = parse_amount_or_zero(text);
    if (amount && amount->is_zero()) return fail("invalid_amount", "an amount is above 0");
    return amount;
}

std::optional<Money> parse_total(std::string_view text) {
    const auto micro = parse_decimal(text, total_digits_max);
    if (!micro) return std::nullopt;
    return Money(*micro);
}

std::string to_usd(Money amount) {
    return format_decimal(amount.micro());
}

Result<Hours> parse_hours(std::string_view text) {
    const auto micro = parse_decimal(text);
    if (!micro || *micro == 0)
        return fail("invalid_hours",
                    "vCPU-hours are a decimal above 0 with at most 6 decimals, such as \"0.25\"");
    return Hours(*micro);
}

std::string to_text(Hours hours) {
    return format_decimal(hours.micro());
}

std::optional<Money> round_half_up(ExactCost cost) {
    EE_CHECK(cost >= 0);
    const ExactCost rounded = (cost + one / 2) / one;
    if (rounded > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return Money(static_cast<std::int64_t>(rounded));
}

ExactCost at_other_price(ExactCost cost, Money from, Money to) {
    EE_CHECK(from.micro() > 0);
    // Whole hours and the fraction apart: their product at once would not fit 128 bits.
    return cost / from.micro() * to.micro() + cost % from.micro() * to.micro() / from.micro();
}

}  // namespace ee::ledger

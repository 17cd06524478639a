#pragma once
// Money and vCPU-hours: whole millionths, never floating point (spec: ledger, "Money").

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::ledger {

// Micro-USD. Sums are checked: nothing wraps.
class Money {
public:
    constexpr Money() = default;
    constexpr explicit Money(std::int64_t micro) : micro_(micro) {}

    constexpr std::int64_t micro() const { return micro_; }
    constexpr bool is_zero() const { return micro_ == 0; }
    constexpr bool is_negative() const { return micro_ < 0; }

    friend constexpr auto operator<=>(Money, Money) = default;

private:
    std::int64_t micro_ = 0;
};

inline constexpr Money amount_max{1'000'000'000'000'000};  // 1,000,000,000 USD
inline constexpr Money largest_money{INT64_MAX};           // where a sum that only informs would be more

// nullopt where the result does not fit 64 bits.
std::optional<Money> checked_add(Money a, Money b);
std::optional<Money> checked_subtract(Money a, Money b);
// The smallest int64 has no negative: nullopt.
std::optional<Money> checked_negate(Money a);

// "12.5": ^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$, above zero, at most `amount_max`; else `invalid_amount`.
Result<Money> parse_amount(std::string_view text);
// The same, but zero is an amount too: prices and stakes.
Result<Money> parse_amount_or_zero(std::string_view text);
// A sum of amounts as to_usd() writes it, not negative; nullopt: it is none.
std::optional<Money> parse_total(std::string_view text);
// Canonical: no needless zeros, "-" where negative. Any value.
std::string to_usd(Money amount);

// Millionths of a vCPU-hour.
class Hours {
public:
    constexpr Hours() = default;
    constexpr explicit Hours(std::int64_t micro) : micro_(micro) {}

    constexpr std::int64_t micro() const { return micro_; }
    friend constexpr auto operator<=>(Hours, Hours) = default;

private:
    std::int64_t micro_ = 0;
};

// The grammar of amounts, above zero; else `invalid_hours`.
Result<Hours> parse_hours(std::string_view text);
std::string to_text(Hours hours);

// A price times hours before rounding: millionths of a micro-USD. Amounts and hours in range fit by far.
__extension__ using ExactCost = __int128;
constexpr ExactCost exact_cost(Money price_per_hour, Hours hours) {
    return static_cast<ExactCost>(price_per_hour.micro()) * hours.micro();
}
// Half up; nullopt where it does not fit 64 bits. `cost` is not negative.
std::optional<Money> round_half_up(ExactCost cost);
// What the same hours cost at `to` when they cost `cost` at `from`. `from` is above zero, both are amounts.
ExactCost at_other_price(ExactCost cost, Money from, Money to);

}  // namespace ee::ledger

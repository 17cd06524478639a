#pragma once
// What a request's texts may be before they reach keys and leaves: a key ends a text with NUL, a leaf takes
// UTF-8 only.

#include <string_view>

#include "base/result.h"
#include "ledger/money.h"

namespace ee::ledger {

// At most `most` bytes of UTF-8; else `invalid_field:<field>`.
Result<void> check_text(std::string_view field, std::string_view text, std::size_t most);
// The same, not empty.
Result<void> check_some_text(std::string_view field, std::string_view text, std::size_t most);
// The same, not empty and without NUL: part of a key.
Result<void> check_id(std::string_view field, std::string_view text, std::size_t most);
// Empty, or a DNS label in lower case.
Result<void> check_app(std::string_view app);

// Above 0 and at most `amount_max`; else `invalid_amount`.
Result<void> check_amount(Money amount);
// The same, but zero is one too: prices and stakes.
Result<void> check_amount_or_zero(Money amount);
// Above 0, and what parse_hours() can give; else `invalid_hours`.
Result<void> check_hours(Hours hours);

}  // namespace ee::ledger

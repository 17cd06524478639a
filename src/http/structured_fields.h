#pragma once
// Structured field values for HTTP (RFC 9651): dictionaries, read strictly and written canonically.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::http {

struct SfDecimal {
    std::int64_t thousandths = 0;
    auto operator<=>(const SfDecimal&) const = default;
};
struct SfToken {
    std::string text{};
    auto operator<=>(const SfToken&) const = default;
};
struct SfDate {
    std::int64_t unix_s = 0;
    auto operator<=>(const SfDate&) const = default;
};
// Integer, Decimal, String, Token, Byte Sequence, Boolean, Date. Display Strings are not read.
using SfBareItem = std::variant<std::int64_t, SfDecimal, std::string, SfToken, Bytes, bool, SfDate>;

struct SfParameter {
    std::string key{};
    SfBareItem value = true;
    bool operator==(const SfParameter&) const = default;
};
using SfParameters = std::vector<SfParameter>;

struct SfItem {
    SfBareItem value = true;
    SfParameters parameters{};
    bool operator==(const SfItem&) const = default;
};
struct SfInnerList {
    std::vector<SfItem> items{};
    SfParameters parameters{};
    bool operator==(const SfInnerList&) const = default;
};

struct SfMember {
    std::string key{};
    std::variant<SfItem, SfInnerList> value{};
    bool operator==(const SfMember&) const = default;
};
// In the order they came in.
using SfDictionary = std::vector<SfMember>;

// Members of a dictionary, of an inner list, and parameters of one item, at most.
inline constexpr std::size_t sf_members_max = 64;

// RFC 9651 section 4.2, of a field's lines joined by ", ". A key that comes twice is refused, where the RFC
// lets the later one win: who says a thing twice may mean either. Refusal: `invalid_structured_field`, with
// the place.
Result<SfDictionary> parse_sf_dictionary(std::string_view text);

// RFC 9651 section 4.1: one spelling for one value.
std::string to_string(const SfDictionary& dictionary);

}  // namespace ee::http

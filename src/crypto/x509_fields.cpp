#include "crypto/x509_fields.h"

#include <algorithm>

#include "base/utf8.h"

namespace ee::crypto {
namespace {

constexpr ByteArray<3> common_name_oid = {0x55, 0x04, 0x03};  // 2.5.4.3

// An OBJECT IDENTIFIER's content: arcs in their shortest form, the last one complete.
bool is_oid(ByteSpan content) {
    bool begins = true;
    for (const std::uint8_t byte : content) {
        if (begins && byte == 0x80) return false;
        begins = (byte & 0x80) == 0;
    }
    return !content.empty() && begins;
}

// The value of an attribute: text in UTF-8, or in one octet a character. The wide types of X.520 are refused.
bool is_text(const DerElement& value) {
    constexpr std::uint8_t numeric_string = 0x12, t61_string = 0x14;
    switch (value.tag) {
        case der_tag::utf8_string: return is_utf8(as_text(value.content));
        case der_tag::printable_string:
        case der_tag::ia5_string:
        case numeric_string:
        case t61_string: return true;
        default: return false;
    }
}

// nullopt: in characters that it would take a table to understand.
std::optional<std::string> text_of(const DerElement& value) {
    const std::string_view text = as_text(value.content);
    const bool understood =
        value.tag == der_tag::utf8_string ||
        std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) > 0; });
    if (understood) return std::string(text);
    return std::nullopt;
}

std::optional<int> number(ByteSpan digits) {
    int value = 0;
    for (const std::uint8_t digit : digits) {
        if (digit < '0' || digit > '9') return std::nullopt;
        value = value * 10 + (digit - '0');
    }
    return value;
}

}  // namespace

std::optional<NameField> take_name(DerReader& reader) {
    const auto name = reader.take_any();
    if (!name || name->tag != der_tag::sequence) return std::nullopt;
    NameField out{.der = name->whole, .common_name = {}};
    int common_names = 0;
    DerReader parts(name->content);
    while (!parts.at_end()) {
        const auto part = parts.take(der_tag::set);
        if (!part || part->empty()) return std::nullopt;
        for (DerReader attributes(*part); !attributes.at_end();) {
            auto attribute = attributes.take_sequence();
            const auto type = attribute ? attribute->take(der_tag::oid) : std::nullopt;
            const auto value = type ? attribute->take_any() : std::nullopt;
            if (!value || !is_oid(*type) || !is_text(*value) || !attribute->at_end()) return std::nullopt;
            if (!std::ranges::equal(*type, common_name_oid)) continue;
            out.common_name = ++common_names == 1 ? text_of(*value) : std::nullopt;
        }
    }
    return out;
}

std::optional<WallTime> take_time(DerReader& reader) {
    const auto time = reader.take_any();
    if (!time) return std::nullopt;
    const bool is_utc = time->tag == der_tag::utc_time;
    const std::size_t year_digits = is_utc ? 2 : 4;
    if ((!is_utc && time->tag != der_tag::generalized_time) || time->content.size() != year_digits + 11 ||
        time->content.back() != 'Z') {
        return std::nullopt;
    }
    const auto read_year = number(time->content.first(year_digits));
    std::array<int, 5> rest{};  // month, day, hour, minute, second
    for (std::size_t i = 0; i < rest.size(); ++i) {
        const auto value = number(time->content.subspan(year_digits + 2 * i, 2));
        if (!value) return std::nullopt;
        rest[i] = *value;
    }
    if (!read_year || rest[2] > 23 || rest[3] > 59 || rest[4] > 59) return std::nullopt;
    // RFC 5280 section 4.1.2.5.1: two digits are of 1950 to 2049.
    const int year = !is_utc ? *read_year : *read_year + (*read_year >= 50 ? 1900 : 2000);
    const std::chrono::year_month_day date(std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(rest[0])),
                                           std::chrono::day(static_cast<unsigned>(rest[1])));
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days(date) + std::chrono::hours(rest[2]) + std::chrono::minutes(rest[3]) +
           std::chrono::seconds(rest[4]);
}

std::optional<ByteSpan> take_algorithm(DerReader& reader) {
    const auto algorithm = reader.take_any();
    if (!algorithm || algorithm->tag != der_tag::sequence) return std::nullopt;
    DerReader content(algorithm->content);
    const auto oid = content.take(der_tag::oid);
    if (!oid || !is_oid(*oid)) return std::nullopt;
    if (content.at_end()) return algorithm->whole;
    // Parameters: NULL, a curve's name, or a structure that only who knows the algorithm can judge.
    const auto parameters = content.take_any();
    const bool known = parameters && ((parameters->tag == der_tag::null && parameters->content.empty()) ||
                                      (parameters->tag == der_tag::oid && is_oid(parameters->content)) ||
                                      parameters->tag == der_tag::sequence);
    if (!known || !content.at_end()) return std::nullopt;
    return algorithm->whole;
}

std::optional<ExtensionField> take_extension(DerReader& reader) {
    auto extension = reader.take_sequence();
    const auto oid = extension ? extension->take(der_tag::oid) : std::nullopt;
    if (!oid || !is_oid(*oid)) return std::nullopt;
    ExtensionField out{.oid = *oid, .critical = false, .value = {}};
    if (extension->next_is(der_tag::boolean)) {
        // DER leaves a default out, and false is the default.
        if (extension->take_boolean() != true) return std::nullopt;
        out.critical = true;
    }
    const auto value = extension->take(der_tag::octet_string);
    if (!value || !extension->at_end()) return std::nullopt;
    out.value = *value;
    return out;
}

std::optional<SignedField> read_signed(ByteSpan der) {
    DerReader outside(der);
    auto whole = outside.take_sequence();
    if (!whole || !outside.at_end()) return std::nullopt;
    const auto content = whole->take_any();
    if (!content || content->tag != der_tag::sequence) return std::nullopt;
    const auto algorithm = take_algorithm(*whole);
    const auto signature = algorithm ? whole->take_bit_octets() : std::nullopt;
    if (!signature || !whole->at_end()) return std::nullopt;
    return SignedField{.content = *content, .algorithm = *algorithm, .signature = *signature};
}

}  // namespace ee::crypto

#include "protocol/field_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "protocol/limits.h"

namespace ee::protocol {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;

// What was given, short enough for a log line.
std::string excerpt(element value) {
    std::string_view text;
    if (value.get_string().get(text) != SUCCESS) return "something other than a string";
    if (text.size() <= 64) return fmt::format("\"{}\"", text);
    return fmt::format("a string of {} bytes", text.size());
}

struct HeadRoom {
    std::size_t fields_max, bytes_max;
    std::size_t bytes = 0;
};

std::optional<std::string> add_header(std::string_view name, element value, HeaderFields& out,
                                      HeadRoom& room) {
    std::string_view text;
    if (value.get_string().get(text) != SUCCESS)
        return "a header value is neither a string nor a list of strings";
    if (!is_field_value(text)) return "a header value holds CR, LF or NUL";
    room.bytes += name.size() + text.size();
    if (out.size() == room.fields_max || room.bytes > room.bytes_max)
        return fmt::format("a head has at most {} fields and {} bytes", room.fields_max, room.bytes_max);
    out.push_back({std::string(name), std::string(text)});
    return std::nullopt;
}

}  // namespace

std::optional<std::string> read_headers(element value, HeaderFields& out, std::size_t fields_max,
                                        std::size_t bytes_max) {
    simdjson::dom::object fields;
    if (value.get_object().get(fields) != SUCCESS) return "headers is not an object";
    HeadRoom room{.fields_max = fields_max, .bytes_max = bytes_max};
    out.reserve(std::min(fields.size(), fields_max));
    for (const auto field : fields) {
        if (!is_token(field.key)) return "a header name is not a token";
        simdjson::dom::array list;
        if (field.value.get_array().get(list) != SUCCESS) {
            if (auto why = add_header(field.key, field.value, out, room)) return why;
            continue;
        }
        for (const element item : list)
            if (auto why = add_header(field.key, item, out, room)) return why;
    }
    return std::nullopt;
}

std::optional<element> FieldReader::find(std::string_view name) const {
    element value;
    if (object_.at_key(name).get(value) != SUCCESS) return std::nullopt;
    return value;
}

std::optional<element> FieldReader::require(std::string_view name) {
    auto value = find(name);
    if (!value) missing_ += fmt::format("{}{}", missing_.empty() ? "" : ", ", name);
    return value;
}

void FieldReader::refuse(std::string_view name, std::string detail) {
    if (!invalid_) invalid_ = Error{fmt::format("invalid_field:{}", name), std::move(detail)};
}

std::string FieldReader::text(std::string_view name, const Rule& rule) {
    const auto value = require(name);
    std::string_view content;
    if (!value) return {};
    if (value->get_string().get(content) == SUCCESS && rule.holds(content)) return std::string(content);
    refuse(name, fmt::format("{} must be {}, not {}", name, rule.text, excerpt(*value)));
    return {};
}

std::optional<std::string> FieldReader::optional_text(std::string_view name, const Rule& rule) {
    const auto value = find(name);
    if (!value || value->is_null()) return std::nullopt;
    return text(name, rule);
}

std::uint64_t FieldReader::integer(std::string_view name, std::uint64_t min, std::uint64_t max) {
    const auto value = require(name);
    std::uint64_t number = 0;
    // A float and a boolean are no integers, whatever their value.
    if (!value || (value->get_uint64().get(number) == SUCCESS && number >= min && number <= max))
        return number;
    refuse(name, fmt::format("{} must be an integer from {} to {}", name, min, max));
    return min;
}

std::optional<std::uint64_t> FieldReader::optional_integer(std::string_view name, std::uint64_t min,
                                                           std::uint64_t max) {
    const auto value = find(name);
    if (!value || value->is_null()) return std::nullopt;
    return integer(name, min, max);
}

void FieldReader::hex(std::string_view name, std::span<std::uint8_t> out) {
    const auto value = require(name);
    std::string_view content;
    if (!value) return;
    if (value->get_string().get(content) == SUCCESS && content.size() == out.size() * 2) {
        if (const auto bytes = from_hex(content)) {
            std::copy(bytes->begin(), bytes->end(), out.begin());
            return;
        }
    }
    refuse(name,
           fmt::format("{} must be {} hexadecimal digits, not {}", name, out.size() * 2, excerpt(*value)));
}

Bytes FieldReader::decode_base64(element value, std::string_view name, std::size_t bytes_max) {
    std::string_view content;
    if (value.get_string().get(content) == SUCCESS && content.size() <= base64_size(bytes_max)) {
        if (auto bytes = from_base64(content); bytes && bytes->size() <= bytes_max) return std::move(*bytes);
    }
    refuse(name, fmt::format("{} must be the base64 of at most {} bytes", name, bytes_max));
    return {};
}

Bytes FieldReader::base64(std::string_view name, std::size_t bytes_max) {
    const auto value = require(name);
    return value ? decode_base64(*value, name, bytes_max) : Bytes{};
}

Bytes FieldReader::optional_base64(std::string_view name, std::size_t bytes_max) {
    const auto value = find(name);
    return value && !value->is_null() ? decode_base64(*value, name, bytes_max) : Bytes{};
}

Claims FieldReader::claims(std::string_view name, std::size_t bytes_max) {
    Claims out;
    const auto value = require(name);
    if (!value) return out;
    simdjson::dom::object fields;
    if (value->get_object().get(fields) != SUCCESS) {
        refuse(name, fmt::format("{} must be an object of strings, booleans and nulls", name));
        return out;
    }
    std::size_t bytes = 0;
    for (const auto field : fields) {
        Claim claim = nullptr;
        std::string_view content;
        if (field.value.get_string().get(content) == SUCCESS)
            claim = std::string(content);
        else if (field.value.is_bool())
            claim = static_cast<bool>(field.value.get_bool().value_unsafe());
        else if (!field.value.is_null()) {
            refuse(name, fmt::format("{} holds something other than strings, booleans and nulls", name));
            return out;
        }
        bytes += field.key.size() + content.size();
        // An escaped lone surrogate parses, but has no UTF-8 form that could be hashed (RFC 8785
        // section 3.2.2.2).
        if (bytes > bytes_max || !is_utf8(field.key) || !is_utf8(content)) {
            refuse(name, fmt::format("{} must be at most {} bytes of valid Unicode", name, bytes_max));
            return out;
        }
        if (!out.emplace(std::string(field.key), std::move(claim)).second) {
            refuse(name, fmt::format("{} names a key twice", name));
            return out;
        }
    }
    return out;
}

HeaderFields FieldReader::headers(std::string_view name) {
    HeaderFields out;
    if (const auto value = require(name)) {
        if (auto why = read_headers(*value, out, head_fields_max, head_bytes_max))
            refuse(name, std::move(*why));
    }
    return out;
}

std::string FieldReader::body(std::string_view name) {
    std::string out;
    const auto value = require(name);
    std::string_view content;
    if (!value) return out;
    if (value->get_string().get(content) != SUCCESS || !append_from_base64(out, content))
        refuse(name, fmt::format("{} must be base64", name));
    return out;
}

std::optional<Error> FieldReader::refusal() const {
    if (!missing_.empty()) return Error{"missing_fields", fmt::format("{} lacks {}", message_, missing_)};
    return invalid_;
}

}  // namespace ee::protocol

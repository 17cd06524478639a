#pragma once
// Takes the fields of one message, and remembers what is missing and which one is wrong first.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/claims.h"
#include "base/result.h"
#include "protocol/header_field.h"
#include "protocol/json_document.h"

namespace ee::protocol {

// Adds the fields of a `headers` object: its values are strings or lists of strings. On refusal says why.
std::optional<std::string> read_headers(simdjson::dom::element element, HeaderFields& out,
                                        std::size_t fields_max, std::size_t bytes_max);

class FieldReader {
public:
    FieldReader(simdjson::dom::object object, std::string_view message)
        : object_(object), message_(message) {}

    // What a field must be: the check, and its words.
    struct Rule {
        bool (*holds)(std::string_view text);
        std::string_view text;
    };

    std::string text(std::string_view name, const Rule& rule);
    // Absent and null are the same.
    std::optional<std::string> optional_text(std::string_view name, const Rule& rule);
    std::optional<std::uint64_t> optional_integer(std::string_view name, std::uint64_t min,
                                                  std::uint64_t max);
    std::uint64_t integer(std::string_view name, std::uint64_t min, std::uint64_t max);
    Bytes base64(std::string_view name, std::size_t bytes_max);
    Bytes optional_base64(std::string_view name, std::size_t bytes_max);
    Claims claims(std::string_view name, std::size_t bytes_max);
    HeaderFields headers(std::string_view name);
    std::string body(std::string_view name);

    template <std::size_t N>
    ByteArray<N> hex(std::string_view name) {
        ByteArray<N> out{};
        hex(name, out);
        return out;
    }

    // `missing_fields` or `invalid_field:<name>`, once everything was taken.
    std::optional<Error> refusal() const;

private:
    std::optional<simdjson::dom::element> find(std::string_view name) const;
    std::optional<simdjson::dom::element> require(std::string_view name);
    void refuse(std::string_view name, std::string detail);
    void hex(std::string_view name, std::span<std::uint8_t> out);
    Bytes decode_base64(simdjson::dom::element element, std::string_view name, std::size_t bytes_max);

    simdjson::dom::object object_;
    std::string_view message_;
    std::string missing_;
    std::optional<Error> invalid_;
};

}  // namespace ee::protocol

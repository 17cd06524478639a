#include "protocol/json_document.h"

#include "base/check.h"
#include "protocol/limits.h"

namespace ee::protocol {
namespace {

// A parser keeps about fourteen bytes a byte of the largest text it has seen.
constexpr std::size_t kept_text_bytes_max = 512 * kib;

// simdjson counts the document itself as a level.
constexpr std::size_t parser_depth_max = json_depth_max + 1;

}  // namespace

static_assert(text_padding >= simdjson::SIMDJSON_PADDING);

Result<simdjson::dom::object> Decoder::Json::parse(PaddedText text) {
    simdjson::dom::parser& parser = text.size() <= kept_text_bytes_max ? kept_ : large_.emplace();
    if (parser.capacity() < text.size()) {  // It has read nothing yet.
        const std::size_t capacity = text.size() <= kept_text_bytes_max ? kept_text_bytes_max : text.size();
        if (const auto no_memory = parser.allocate(capacity, parser_depth_max); no_memory)
            return fail("invalid_json", simdjson::error_message(no_memory));
    }
    simdjson::dom::element root;
    if (const auto refused = parser.parse(text.data(), text.size(), false).get(root); refused)
        return fail("invalid_json", simdjson::error_message(refused));
    simdjson::dom::object object;
    if (root.get_object().get(object) != simdjson::SUCCESS)
        return fail("invalid_json", "a message is a JSON object");
    return object;
}

std::optional<std::string_view> string_member(simdjson::dom::object object, std::string_view name) {
    std::string_view text;
    if (object.at_key(name).get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
    return text;
}

Decoder::Decoder() : json_(std::make_unique<Json>()) {}
Decoder::~Decoder() = default;

}  // namespace ee::protocol

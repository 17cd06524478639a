#include "protocol/json_document.h"

#include <algorithm>

#include "protocol/limits.h"

namespace ee::protocol {
namespace {

// A parser keeps about fourteen bytes a byte of the largest text it has seen.
constexpr std::size_t kept_text_bytes_max = 512 * kib;

// Whether a text is one long string and little else. What the parser makes of a string is as long as that; of
// other text it is many times as much, and takes as much longer. What is long has no quotation mark in it:
// the body of a message is base64.
bool is_one_long_string(std::string_view text, std::size_t rest_bytes_max) {
    std::size_t longest = 0, rest = 0;
    bool in_string = false;
    while (!text.empty() && rest <= rest_bytes_max) {
        const std::string_view run = text.substr(0, text.find('"'));
        const std::size_t backslashes = run.size() - (run.find_last_not_of('\\') + 1);
        const std::size_t long_one = in_string ? run.size() : 0;
        const std::size_t size = std::min(run.size() + 1, text.size());
        rest += size - long_one + std::min(longest, long_one);
        longest = std::max(longest, long_one);
        if (backslashes % 2 == 0) in_string = !in_string;  // Outside, too: so does the parser.
        text.remove_prefix(size);
    }
    return rest <= rest_bytes_max;
}

// simdjson counts the document itself as a level.
constexpr std::size_t parser_depth_max = json_depth_max + 1;

}  // namespace

static_assert(text_padding >= simdjson::SIMDJSON_PADDING);

Result<simdjson::dom::object> Decoder::Json::parse(PaddedText text) {
    if (text.size() > kept_text_bytes_max && !is_one_long_string(text.view(), kept_text_bytes_max))
        return fail("invalid_json", "a message of over 512 KiB is one long string and little else");
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

#include "attestation/collateral_json.h"

#include <fmt/format.h>

#include "attestation/json_pointer.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

constexpr std::size_t json_depth_max = 32;
// Looking for repeated keys takes the square of their number.
constexpr std::size_t key_count_max = 64;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string_view> repeated_key(const simdjson::dom::object& object) {
    std::size_t at = 0;
    for (const auto field : object) {
        std::size_t before = 0;
        for (const auto other : object) {
            if (before++ == at) break;
            if (other.key == field.key) return field.key;
        }
        ++at;
    }
    return std::nullopt;
}

}  // namespace

CollateralJson::CollateralJson(std::string_view part, std::string_view text, std::size_t size_max)
    : part_(part) {
    if (text.size() > size_max) {
        refuse("", fmt::format("{} bytes, at most {} are taken", text.size(), size_max));
    } else if (parser_.allocate(text.size(), json_depth_max) != simdjson::SUCCESS ||
               parser_.parse(text.data(), text.size()).get(root_) != simdjson::SUCCESS) {
        refuse("", "not JSON, or deeper than 32");
    }
}

void CollateralJson::refuse(std::string_view pointer, std::string_view detail) {
    if (refusal_) return;
    refusal_ = Error{fmt::format("collateral_malformed:{}", part_),
                     fmt::format("{}: {}", pointer.empty() ? "/" : pointer, detail)};
}

CollateralJson::Object::Object(CollateralJson& document, simdjson::dom::element element, const Step& step)
    : document_(document), step_(step) {
    if (document_.refusal_) return;
    simdjson::dom::object object;
    if (element.get_object().get(object) != simdjson::SUCCESS) {
        document_.refuse(pointer(step_), "not an object");
    } else if (object.size() > key_count_max) {
        document_.refuse(pointer(step_),
                         fmt::format("{} keys, at most {} are taken", object.size(), key_count_max));
    } else if (const auto twice = repeated_key(object)) {
        refuse(*twice, "the key is there twice");
    } else {
        object_ = object;
    }
}

std::string CollateralJson::Object::pointer(const Step& step) {
    if (step.above == nullptr) return {};
    if (step.index) return fmt::format("{}/{}", pointer(*step.above), *step.index);
    return json_pointer_child(pointer(*step.above), step.key);
}

void CollateralJson::Object::refuse(std::string_view key, std::string_view detail) const {
    if (!document_.refusal_) document_.refuse(json_pointer_child(pointer(step_), key), detail);
}

std::optional<simdjson::dom::element> CollateralJson::Object::find(std::string_view key) const {
    simdjson::dom::element value;
    if (!object_ || object_->at_key(key).get(value) != simdjson::SUCCESS) return std::nullopt;
    return value;
}

bool CollateralJson::Object::has(std::string_view key) const {
    return find(key).has_value();
}

simdjson::dom::element CollateralJson::Object::require(std::string_view key) const {
    const auto value = find(key);
    if (!value) refuse(key, "missing");
    return value.value_or(document_.root_);
}

std::string_view CollateralJson::Object::text(std::string_view key) const {
    std::string_view text;
    const simdjson::dom::element value = require(key);
    if (document_.refusal_) return {};
    if (value.get_string().get(text) != simdjson::SUCCESS) refuse(key, "not a string");
    return text;
}

std::uint64_t CollateralJson::Object::number(std::string_view key, std::uint64_t max) const {
    std::uint64_t number = 0;
    const simdjson::dom::element value = require(key);
    if (document_.refusal_) return 0;
    if (value.get_uint64().get(number) != simdjson::SUCCESS || number > max) {
        refuse(key, fmt::format("not a whole number up to {}", max));
        return 0;
    }
    return number;
}

WallTime CollateralJson::Object::time(std::string_view key) const {
    const std::string_view written = text(key);
    const auto time = from_rfc3339(written);
    if (!time) refuse(key, fmt::format("\"{}\" is no RFC 3339 time in UTC", written.substr(0, 40)));
    return time.value_or(WallTime{});
}

void CollateralJson::Object::read_hex(std::string_view key, std::span<std::uint8_t> out) const {
    const std::string_view digits = text(key);
    if (document_.refusal_) return;
    bool held = digits.size() == 2 * out.size();
    for (std::size_t i = 0; held && i < out.size(); ++i) {
        const int high = hex_digit(digits[2 * i]), low = hex_digit(digits[2 * i + 1]);
        held = high >= 0 && low >= 0;
        if (held) out[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    if (!held) refuse(key, fmt::format("not {} hex characters", 2 * out.size()));
}

CollateralJson::Object CollateralJson::Object::object(std::string_view key) const {
    return {document_, require(key), {&step_, key, std::nullopt}};
}

std::optional<simdjson::dom::array> CollateralJson::Object::array(std::string_view key, std::size_t count_min,
                                                                  std::size_t count_max) const {
    simdjson::dom::array array;
    const simdjson::dom::element value = require(key);
    if (document_.refusal_) return std::nullopt;
    if (value.get_array().get(array) != simdjson::SUCCESS) {
        refuse(key, "not an array");
        return std::nullopt;
    }
    if (array.size() < count_min || array.size() > count_max) {
        refuse(key, fmt::format("{} elements, {} to {} are taken", array.size(), count_min, count_max));
        return std::nullopt;
    }
    return array;
}

std::vector<std::string> CollateralJson::Object::texts(std::string_view key, std::size_t count_max) const {
    std::vector<std::string> out;
    if (!has(key)) return out;
    const auto elements = array(key, 0, count_max);
    if (!elements) return out;
    for (const simdjson::dom::element element : *elements) {
        std::string_view text;
        if (element.get_string().get(text) != simdjson::SUCCESS) {
            refuse(key, "an element that is not a string");
            return {};
        }
        out.emplace_back(text);
    }
    return out;
}

}  // namespace ee::attestation

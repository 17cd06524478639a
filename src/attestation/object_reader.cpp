#include "attestation/object_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "attestation/json_pointer.h"

namespace ee::attestation {

void Findings::add(std::string_view pointer, std::string detail) {
    if (!first_) first_ = Error{fmt::format("{}:{}", code_, pointer), std::move(detail)};
}

ObjectReader::ObjectReader(simdjson::dom::element element, std::string pointer, Findings& findings)
    : pointer_(std::move(pointer)), findings_(findings) {
    simdjson::dom::object object;
    if (element.get_object().get(object) == simdjson::SUCCESS)
        object_ = object;
    else
        findings_.add(pointer_.empty() ? "/" : pointer_, "not an object");
}

std::string ObjectReader::pointer_of(std::string_view name) const {
    return json_pointer_child(pointer_, name);
}

void ObjectReader::refuse(std::string_view name, std::string detail) {
    findings_.add(pointer_of(name), std::move(detail));
}

std::optional<simdjson::dom::element> ObjectReader::element(std::string_view name) {
    simdjson::dom::element found;
    if (!object_) return std::nullopt;
    if (object_->at_key(name).get(found) != simdjson::SUCCESS) {
        refuse(name, "the member is missing");
        return std::nullopt;
    }
    taken_.push_back(name);
    return found;
}

bool ObjectReader::is_null(std::string_view name) {
    simdjson::dom::element found;
    if (!object_ || object_->at_key(name).get(found) != simdjson::SUCCESS || !found.is_null()) return false;
    taken_.push_back(name);
    return true;
}

std::string ObjectReader::text(std::string_view name) {
    const auto found = element(name);
    std::string_view text;
    if (found && found->get_string().get(text) != simdjson::SUCCESS) refuse(name, "not a string");
    return std::string(text);
}

bool ObjectReader::flag(std::string_view name) {
    const auto found = element(name);
    bool flag = false;
    if (found && found->get_bool().get(flag) != simdjson::SUCCESS) refuse(name, "neither true nor false");
    return flag;
}

std::uint64_t ObjectReader::number(std::string_view name) {
    const auto found = element(name);
    std::uint64_t number = 0;
    if (found && found->get_uint64().get(number) != simdjson::SUCCESS) refuse(name, "not a whole number");
    return number;
}

std::vector<std::string> ObjectReader::texts(std::string_view name) {
    std::vector<std::string> out;
    const auto found = element(name);
    simdjson::dom::array list;
    if (!found) return out;
    if (found->get_array().get(list) != simdjson::SUCCESS) {
        refuse(name, "not a list");
        return out;
    }
    for (const simdjson::dom::element item : list) {
        std::string_view text;
        if (item.get_string().get(text) != simdjson::SUCCESS) refuse(name, "not a list of strings");
        out.emplace_back(text);
    }
    return out;
}

std::string ObjectReader::hex_text(std::string_view name, std::size_t bytes) {
    std::string out = text(name);
    const auto read = from_hex(out);
    if (read && read->size() == bytes && to_hex(*read) == out) return out;
    refuse(name, fmt::format("not {} bytes in lower-case hexadecimal", bytes));
    return {};
}

Bytes ObjectReader::hex(std::string_view name) {
    const std::string given = text(name);
    auto read = from_hex(given);
    if (read && !read->empty() && to_hex(*read) == given) return std::move(*read);
    refuse(name, "not bytes in lower-case hexadecimal");
    return {};
}

Bytes ObjectReader::base64(std::string_view name) {
    auto read = from_base64(text(name));
    if (read && !read->empty()) return std::move(*read);
    refuse(name, "not bytes in base64");
    return {};
}

Claims ObjectReader::claims(std::string_view name) {
    Claims out;
    const auto found = element(name);
    simdjson::dom::object object;
    if (!found) return out;
    if (found->get_object().get(object) != simdjson::SUCCESS) {
        refuse(name, "not an object");
        return out;
    }
    for (const auto field : object) {
        bool flag = false;
        std::string_view text;
        Claim claim = nullptr;
        if (field.value.get_bool().get(flag) == simdjson::SUCCESS)
            claim = flag;
        else if (field.value.get_string().get(text) == simdjson::SUCCESS)
            claim = std::string(text);
        else if (!field.value.is_null())
            refuse(name, "a claim is neither a string, a boolean nor null");
        if (!out.emplace(std::string(field.key), std::move(claim)).second)
            refuse(name, fmt::format("the claim \"{}\" is there twice", field.key));
    }
    return out;
}

void ObjectReader::finish() {
    if (!object_) return;
    std::vector<std::string_view> seen;
    for (const auto field : *object_) {
        if (std::find(seen.begin(), seen.end(), field.key) != seen.end())
            refuse(field.key, "the member is there twice");
        if (std::find(taken_.begin(), taken_.end(), field.key) == taken_.end())
            refuse(field.key, "this program knows no such member");
        seen.push_back(field.key);
    }
}

}  // namespace ee::attestation

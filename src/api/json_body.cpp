#include "api/json_body.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <simdjson.h>

namespace ee::api {
namespace {

constexpr std::size_t depth_max = 32;
constexpr std::size_t name_shown_max = 64;
// No endpoint takes as many, and each is looked for among those before it.
constexpr std::size_t members_max = 64;

std::string trimmed(std::string_view token) {
    const std::size_t end = token.find_last_not_of(" \t\r\n");
    return std::string(token.substr(0, end == std::string_view::npos ? 0 : end + 1));
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 8259 section 6.
bool is_number(std::string_view text) {
    const auto take_digits = [&text] {
        std::size_t count = 0;
        while (count < text.size() && is_digit(text[count])) ++count;
        text.remove_prefix(count);
        return count != 0;
    };
    const auto take = [&text](std::string_view any_of) {
        const bool is_there = !text.empty() && any_of.find(text.front()) != std::string_view::npos;
        if (is_there) text.remove_prefix(1);
        return is_there;
    };
    take("-");
    if (!take("0") && !take_digits()) return false;
    if (take(".") && !take_digits()) return false;
    if (take("eE")) {
        take("+-");
        if (!take_digits()) return false;
    }
    return text.empty();
}

// The same document with 0 for each number: how large one may be is for who takes it to say, and the checker
// would refuse what no machine number holds.
std::string without_numbers(std::string_view json) {
    constexpr std::string_view number_letters = "+-.0123456789eE";
    std::string out(json);
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i] == '"') in_string = !in_string;
        if (in_string && json[i] == '\\') ++i;
        if (in_string || number_letters.find(json[i]) == std::string_view::npos) continue;
        const std::size_t end = std::min(json.find_first_not_of(number_letters, i), json.size());
        if (is_number(json.substr(i, end - i))) {
            out[i] = '0';
            std::fill(out.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                      out.begin() + static_cast<std::ptrdiff_t>(end), ' ');
        }
        i = end - 1;
    }
    return out;
}

}  // namespace

JsonBody::JsonBody(std::string_view json) {
    if (!json.empty()) parse(json);
}

// The whole document is checked first; the second reading keeps numbers as they are spelled.
void JsonBody::parse(std::string_view json) {
    const simdjson::padded_string padded(json), checked(without_numbers(json));
    simdjson::dom::parser checker;
    simdjson::dom::element whole;
    if (checker.allocate(std::max<std::size_t>(json.size(), 64), depth_max) != simdjson::SUCCESS ||
        checker.parse(checked).get(whole) != simdjson::SUCCESS || !whole.is_object()) {
        refuse("invalid_json", "the body must be a JSON object, nested at most 32 deep");
        return;
    }
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    // What was checked reads without errors.
    if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS)
        return refuse("invalid_json", "the body must be a JSON object");
    for (auto field : object) {
        if (members_.size() == members_max)
            return refuse("invalid_json", fmt::format("the body has more than {} members", members_max));
        std::string_view name;
        simdjson::ondemand::value value;
        simdjson::ondemand::json_type type{};
        if (field.unescaped_key().get(name) != simdjson::SUCCESS ||
            field.value().get(value) != simdjson::SUCCESS || value.type().get(type) != simdjson::SUCCESS)
            return refuse("invalid_json", "the body must be a JSON object");
        Member member{.name = std::string(name), .kind = Kind::null, .text = {}};
        std::string_view text;
        simdjson::ondemand::array array;
        simdjson::ondemand::object inner;
        std::string_view raw;
        switch (type) {
            case simdjson::ondemand::json_type::string:
                member.kind = Kind::text;
                if (value.get_string().get(text) == simdjson::SUCCESS) member.text = text;
                break;
            case simdjson::ondemand::json_type::number:
                member.kind = Kind::number;
                member.text = trimmed(value.raw_json_token());
                break;
            case simdjson::ondemand::json_type::boolean:
                member.kind = Kind::flag;
                member.flag = value.get_bool().value();
                break;
            case simdjson::ondemand::json_type::null: break;
            case simdjson::ondemand::json_type::object:
                member.kind = Kind::object;
                if (value.get_object().get(inner) == simdjson::SUCCESS &&
                    inner.raw_json().get(raw) == simdjson::SUCCESS)
                    member.text = raw;
                break;
            case simdjson::ondemand::json_type::array:
                member.kind = Kind::list;
                if (value.get_array().get(array) != simdjson::SUCCESS) break;
                for (auto item : array) {
                    if (item.get_string().get(text) == simdjson::SUCCESS)
                        member.list.emplace_back(text);
                    else
                        member.lists_only_texts = false;
                }
                break;
        }
        if (std::ranges::find(members_, member.name, &Member::name) != members_.end())
            refuse("invalid_field:" + member.name.substr(0, name_shown_max), "it is there twice");
        members_.push_back(std::move(member));
    }
}

bool JsonBody::has(std::string_view name) const {
    return std::ranges::any_of(
        members_, [&](const Member& member) { return member.name == name && member.kind != Kind::null; });
}

void JsonBody::refuse(std::string code, std::string detail) {
    if (!refusal_) refusal_ = Error{std::move(code), std::move(detail)};
}

void JsonBody::refuse_kind(const Member& member, std::string_view expected) {
    refuse("invalid_field:" + member.name, fmt::format("{} must be {}", member.name, expected));
}

JsonBody::Member* JsonBody::take(std::string_view name) {
    const auto member = std::ranges::find(members_, name, &Member::name);
    if (member == members_.end()) return nullptr;
    member->taken = true;
    return member->kind == Kind::null ? nullptr : &*member;
}

JsonBody::Member* JsonBody::require(std::string_view name) {
    Member* member = take(name);
    if (member == nullptr) missing_.append(missing_.empty() ? "" : ", ").append(name);
    return member;
}

std::string JsonBody::text(std::string_view name) {
    const Member* member = require(name);
    if (member == nullptr) return {};
    if (member->kind != Kind::text) refuse_kind(*member, "a string");
    return member->text;
}

std::optional<std::string> JsonBody::optional_text(std::string_view name) {
    const Member* member = take(name);
    if (member == nullptr) return std::nullopt;
    if (member->kind != Kind::text) refuse_kind(*member, "a string");
    return member->text;
}

std::string JsonBody::optional_name(std::string_view name) {
    auto text = optional_text(name);
    if (text && text->empty()) refuse(fmt::format("invalid_field:{}", name), "it is empty");
    return std::move(text).value_or("");
}

bool JsonBody::flag_or(std::string_view name, bool otherwise) {
    const Member* member = take(name);
    if (member == nullptr) return otherwise;
    if (member->kind != Kind::flag) refuse_kind(*member, "true or false");
    return member->flag;
}

std::optional<std::uint64_t> JsonBody::optional_integer(std::string_view name) {
    const Member* member = take(name);
    if (member == nullptr) return std::nullopt;
    const auto out = integer_in(*member);
    if (!out) refuse_kind(*member, "a whole number, not negative");
    return out.value_or(0);
}

std::optional<std::uint64_t> JsonBody::integer_in(const Member& member) {
    std::uint64_t out = 0;
    const char* const end = member.text.data() + member.text.size();
    const auto [stop, error] = std::from_chars(member.text.data(), end, out);
    if (member.kind != Kind::number || error != std::errc{} || stop != end) return std::nullopt;
    return out;
}

std::vector<std::pair<std::string, std::uint64_t>> JsonBody::integers(std::string_view name) {
    const Member* member = require(name);
    if (member == nullptr) return {};
    std::vector<std::pair<std::string, std::uint64_t>> out;
    JsonBody inner(member->kind == Kind::object ? std::string_view(member->text) : std::string_view());
    bool is_good = member->kind == Kind::object && !inner.refusal_;
    for (const Member& each : inner.members_) {
        const auto number = integer_in(each);
        is_good = is_good && number;
        out.emplace_back(each.name, number.value_or(0));
    }
    if (is_good) return out;
    refuse_kind(*member, "an object of whole numbers, not negative, each name once");
    return {};
}

std::optional<std::vector<std::string>> JsonBody::texts_or_null(std::string_view name) {
    const auto member = std::ranges::find(members_, name, &Member::name);
    if (member == members_.end()) {
        require(name);
        return std::nullopt;
    }
    const bool is_null = member->kind == Kind::null;
    auto out = texts(name);
    return is_null ? std::nullopt : std::optional(std::move(out));
}

std::vector<std::string> JsonBody::texts(std::string_view name) {
    const Member* member = take(name);
    if (member == nullptr) return {};
    if (member->kind != Kind::list || !member->lists_only_texts) refuse_kind(*member, "a list of strings");
    return member->list;
}

template <class Value, class Read>
std::optional<Value> JsonBody::decimal(std::string_view name, std::string_view other, Read read) {
    Member* member = take(name);
    Member* second = other.empty() ? nullptr : take(other);
    if (member != nullptr && second != nullptr)
        refuse("invalid_field:" + std::string(other), fmt::format("{} is there too", name));
    if (member == nullptr) member = second;
    if (member == nullptr) return std::nullopt;
    if (member->kind != Kind::text && member->kind != Kind::number) {
        refuse_kind(*member, "a decimal, as a string or a number");
        return std::nullopt;
    }
    auto value = read(member->text);
    if (value) return *value;
    refuse(value.error().code, fmt::format("{}: {}", member->name, value.error().detail));
    return std::nullopt;
}

ledger::Money JsonBody::amount(std::string_view name, std::string_view other) {
    const auto amount = optional_amount(name, other);
    if (!amount) missing_.append(missing_.empty() ? "" : ", ").append(name);
    return amount.value_or(ledger::Money{});
}

std::optional<ledger::Money> JsonBody::optional_amount(std::string_view name, std::string_view other) {
    return decimal<ledger::Money>(name, other, ledger::parse_amount);
}

std::optional<ledger::Money> JsonBody::optional_amount_or_zero(std::string_view name,
                                                               std::string_view other) {
    return decimal<ledger::Money>(name, other, ledger::parse_amount_or_zero);
}

ledger::Hours JsonBody::hours(std::string_view name) {
    const auto hours = optional_hours(name);
    if (!hours) missing_.append(missing_.empty() ? "" : ", ").append(name);
    return hours.value_or(ledger::Hours{});
}

std::optional<ledger::Hours> JsonBody::optional_hours(std::string_view name) {
    return decimal<ledger::Hours>(name, {}, ledger::parse_hours);
}

std::optional<ledger::Period> JsonBody::optional_period() {
    const auto whole = optional_text("period"), start = optional_text("period_start"),
               end = optional_text("period_end");
    if (!whole && !start && !end) return std::nullopt;
    if (whole ? (start || end) : (!start || !end)) {
        refuse("invalid_field:period", "a period is `period`, or both `period_start` and `period_end`");
        return std::nullopt;
    }
    const auto period = whole ? ledger::parse_period(*whole) : ledger::parse_period(*start, *end);
    if (period) return *period;
    refuse(period.error().code, period.error().detail);
    return std::nullopt;
}

ledger::Period JsonBody::period() {
    const auto period = optional_period();
    if (!period) missing_.append(missing_.empty() ? "" : ", ").append("period");
    return period.value_or(ledger::Period{});
}

std::optional<Error> JsonBody::refusal() {
    if (refusal_) return refusal_;
    if (!missing_.empty()) return Error{"missing_fields", "the body must have " + missing_};
    for (const Member& member : members_)
        if (!member.taken)
            return Error{"unknown_field:" + member.name.substr(0, name_shown_max),
                         "this endpoint knows no such field"};
    return std::nullopt;
}

}  // namespace ee::api

#include "http/structured_fields.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/base64.h"

namespace ee::http {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_alpha(char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool begins_key(char c) {
    return is_lower(c) || c == '*';
}
bool is_in_key(char c) {
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}
// RFC 9110 section 5.6.2, and what RFC 9651 adds to it.
bool is_in_token(char c) {
    return is_alpha(c) || is_digit(c) ||
           std::string_view("!#$%&'*+-.^_`|~:/").find(c) != std::string_view::npos;
}

// The algorithms of RFC 9651 section 4.2, one function each.
class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<SfDictionary> dictionary() {
        SfDictionary out;
        skip(" ");
        // Trailing spaces are no part of it (4.2, step 6).
        while (!text_.empty() && text_.back() == ' ') text_.remove_suffix(1);
        while (!at_end()) {
            auto key = this->key();
            if (!key) return fail(std::move(key.error()));
            if (std::ranges::find(out, *key, &SfMember::key) != out.end())
                return refuse("\"" + *key + "\" comes twice");
            if (out.size() == sf_members_max) return refuse("too many members");
            auto member = this->member(std::move(*key));
            if (!member) return fail(std::move(member.error()));
            out.push_back(std::move(*member));
            skip(" \t");
            if (at_end()) return out;
            if (!take(',')) return refuse("a comma belongs here");
            skip(" \t");
            if (at_end()) return refuse("it ends in a comma");
        }
        return out;
    }

private:
    bool at_end() const { return at_ == text_.size(); }
    // No character that means anything at the end.
    char here() const { return at_end() ? '\0' : text_[at_]; }
    void skip(std::string_view which) {
        while (!at_end() && which.find(here()) != std::string_view::npos) ++at_;
    }
    bool take(char c) {
        if (here() != c) return false;
        ++at_;
        return true;
    }
    tl::unexpected<Error> refuse(std::string_view why) const {
        return fail("invalid_structured_field", fmt::format("at character {}: {}", at_ + 1, why));
    }

    Result<std::string> key() {
        if (!begins_key(here())) return refuse("a key begins with a lower-case letter or *");
        const std::size_t from = at_;
        while (!at_end() && is_in_key(here())) ++at_;
        return std::string(text_.substr(from, at_ - from));
    }

    Result<SfMember> member(std::string key) {
        SfMember out{.key = std::move(key), .value = SfItem{}};
        if (!take('=')) {
            auto parameters = this->parameters();
            if (!parameters) return fail(std::move(parameters.error()));
            out.value = SfItem{.value = true, .parameters = std::move(*parameters)};
        } else if (here() == '(') {
            auto list = inner_list();
            if (!list) return fail(std::move(list.error()));
            out.value = std::move(*list);
        } else {
            auto item = this->item();
            if (!item) return fail(std::move(item.error()));
            out.value = std::move(*item);
        }
        return out;
    }

    Result<SfInnerList> inner_list() {
        SfInnerList out;
        take('(');
        while (true) {
            skip(" ");
            if (take(')')) break;
            if (at_end()) return refuse("the list does not end");
            if (out.items.size() == sf_members_max) return refuse("too many items");
            auto item = this->item();
            if (!item) return fail(std::move(item.error()));
            out.items.push_back(std::move(*item));
            if (!at_end() && here() != ' ' && here() != ')') return refuse("spaces part the items of a list");
        }
        auto parameters = this->parameters();
        if (!parameters) return fail(std::move(parameters.error()));
        out.parameters = std::move(*parameters);
        return out;
    }

    Result<SfItem> item() {
        auto value = bare_item();
        if (!value) return fail(std::move(value.error()));
        auto parameters = this->parameters();
        if (!parameters) return fail(std::move(parameters.error()));
        return SfItem{std::move(*value), std::move(*parameters)};
    }

    Result<SfParameters> parameters() {
        SfParameters out;
        while (take(';')) {
            skip(" ");
            auto key = this->key();
            if (!key) return fail(std::move(key.error()));
            if (std::ranges::find(out, *key, &SfParameter::key) != out.end())
                return refuse("\"" + *key + "\" comes twice");
            if (out.size() == sf_members_max) return refuse("too many parameters");
            SfParameter parameter{.key = std::move(*key), .value = true};
            if (take('=')) {
                auto value = bare_item();
                if (!value) return fail(std::move(value.error()));
                parameter.value = std::move(*value);
            }
            out.push_back(std::move(parameter));
        }
        return out;
    }

    Result<SfBareItem> bare_item() {
        const char c = here();
        if (c == '"') return string();
        if (c == ':') return byte_sequence();
        if (c == '?') return boolean();
        if (c == '@') return date();
        if (c == '-' || is_digit(c)) return number();
        if (is_alpha(c) || c == '*') return token();
        return refuse("no value begins like this");
    }

    Result<SfBareItem> number() {
        const bool is_negative = take('-');
        if (!is_digit(here())) return refuse("a number has digits");
        std::int64_t whole = 0, fraction = 0;
        std::size_t digits = 0, decimals = 0;
        for (; is_digit(here()); ++at_) {
            if (++digits > 15) return refuse("a number has at most 15 digits");
            whole = whole * 10 + (here() - '0');
        }
        const std::int64_t sign = is_negative ? -1 : 1;
        if (!take('.')) return SfBareItem(sign * whole);
        if (digits > 12) return refuse("a decimal has at most 12 digits before the point");
        for (; is_digit(here()); ++at_) {
            if (++decimals > 3) return refuse("a decimal has at most 3 digits behind the point");
            fraction = fraction * 10 + (here() - '0');
        }
        if (decimals == 0) return refuse("a decimal does not end in its point");
        for (; decimals < 3; ++decimals) fraction *= 10;
        return SfBareItem(SfDecimal{sign * (whole * 1000 + fraction)});
    }

    Result<SfBareItem> date() {
        take('@');
        auto number = this->number();
        if (!number) return fail(std::move(number.error()));
        const auto* seconds = std::get_if<std::int64_t>(&*number);
        if (seconds == nullptr) return refuse("a date is a whole number of seconds");
        return SfBareItem(SfDate{*seconds});
    }

    Result<SfBareItem> string() {
        take('"');
        std::string out;
        while (!at_end()) {
            const char c = text_[at_++];
            if (c == '"') return SfBareItem(std::move(out));
            if (c == '\\') {
                if (here() != '"' && here() != '\\') return refuse("a backslash goes before \" or \\ only");
                out.push_back(text_[at_++]);
            } else if (c < 0x20 || c > 0x7e) {
                return refuse("a string is printable ASCII");
            } else {
                out.push_back(c);
            }
        }
        return refuse("the string does not end");
    }

    Result<SfBareItem> token() {
        const std::size_t from = at_;
        while (!at_end() && is_in_token(here())) ++at_;
        return SfBareItem(SfToken{std::string(text_.substr(from, at_ - from))});
    }

    Result<SfBareItem> byte_sequence() {
        take(':');
        const std::size_t end = text_.find(':', at_);
        if (end == std::string_view::npos) return refuse("the byte sequence does not end");
        auto bytes = from_base64(text_.substr(at_, end - at_));
        if (!bytes) return refuse("a byte sequence is base64");
        at_ = end + 1;
        return SfBareItem(std::move(*bytes));
    }

    Result<SfBareItem> boolean() {
        take('?');
        if (take('1')) return SfBareItem(true);
        if (take('0')) return SfBareItem(false);
        return refuse("a boolean is ?0 or ?1");
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

// The algorithms of section 4.1.
struct Writer {
    std::string out{};

    void operator()(std::int64_t number) { out += std::to_string(number); }
    void operator()(SfDecimal decimal) {
        const std::int64_t size = std::abs(decimal.thousandths);
        std::string fraction = fmt::format("{:03}", size % 1000);
        while (fraction.size() > 1 && fraction.back() == '0') fraction.pop_back();
        out += fmt::format("{}{}.{}", decimal.thousandths < 0 ? "-" : "", size / 1000, fraction);
    }
    void operator()(const std::string& text) {
        out.push_back('"');
        for (const char c : text) {
            if (c == '"' || c == '\\') out.push_back('\\');
            out.push_back(c);
        }
        out.push_back('"');
    }
    void operator()(const SfToken& token) { out += token.text; }
    void operator()(const Bytes& bytes) {
        out.push_back(':');
        append_base64(out, bytes);
        out.push_back(':');
    }
    void operator()(bool flag) { out += flag ? "?1" : "?0"; }
    void operator()(SfDate date) { out += "@" + std::to_string(date.unix_s); }

    void parameters(const SfParameters& parameters) {
        for (const SfParameter& parameter : parameters) {
            out += ";" + parameter.key;
            if (parameter.value == SfBareItem(true)) continue;
            out.push_back('=');
            std::visit(*this, parameter.value);
        }
    }
    void operator()(const SfItem& item) {
        std::visit(*this, item.value);
        parameters(item.parameters);
    }
    void operator()(const SfInnerList& list) {
        out.push_back('(');
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            if (i > 0) out.push_back(' ');
            (*this)(list.items[i]);
        }
        out.push_back(')');
        parameters(list.parameters);
    }
};

}  // namespace

Result<SfDictionary> parse_sf_dictionary(std::string_view text) {
    return Parser(text).dictionary();
}

std::string to_string(const SfDictionary& dictionary) {
    Writer writer;
    for (const SfMember& member : dictionary) {
        if (!writer.out.empty()) writer.out += ", ";
        writer.out += member.key;
        const auto* item = std::get_if<SfItem>(&member.value);
        if (item != nullptr && item->value == SfBareItem(true)) {
            writer.parameters(item->parameters);
            continue;
        }
        writer.out.push_back('=');
        std::visit(writer, member.value);
    }
    return std::move(writer.out);
}

}  // namespace ee::http

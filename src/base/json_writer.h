#pragma once
// Writes JSON (RFC 8259) straight into a string: no tree, no copies. Invalid UTF-8 becomes U+FFFD.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/base64.h"
#include "base/check.h"
#include "base/hex.h"

namespace ee {

// Appends `text` quoted and escaped.
void append_json_string(std::string& out, std::string_view text);

// Calls must describe one well-formed value; keys only within objects.
class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& begin_object() { return open('{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array() { return open('['); }
    JsonWriter& end_array() { return close(']'); }

    JsonWriter& key(std::string_view name) {
        separate();
        append_json_string(out_, name);
        out_.push_back(':');
        need_comma_ = false;
        return *this;
    }

    JsonWriter& value(std::string_view text) {
        separate();
        append_json_string(out_, text);
        return *this;
    }
    JsonWriter& value(const char* text) { return value(std::string_view(text)); }
    JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
    JsonWriter& value(bool flag) { return raw(flag ? "true" : "false"); }
    template <class T>
        requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
    JsonWriter& value(T number) {
        return raw(std::to_string(number));
    }
    JsonWriter& null() { return raw("null"); }
    template <class T>
    JsonWriter& value(const std::optional<T>& content) {
        return content ? value(*content) : null();
    }
    // As strings, without an escape to look for.
    JsonWriter& hex(ByteSpan bytes) {
        separate();
        out_.push_back('"');
        append_hex(out_, bytes);
        out_.push_back('"');
        return *this;
    }
    JsonWriter& base64(ByteSpan bytes) {
        separate();
        out_.push_back('"');
        append_base64(out_, bytes);
        out_.push_back('"');
        return *this;
    }
    // `json` is already JSON.
    JsonWriter& raw(std::string_view json) {
        separate();
        out_.append(json);
        return *this;
    }

    template <class T>
    JsonWriter& field(std::string_view name, const T& content) {
        return key(name).value(content);
    }
    // Null where the text is empty.
    JsonWriter& field_or_null(std::string_view name, std::string_view text) {
        key(name);
        return text.empty() ? null() : value(text);
    }

private:
    void separate() {
        if (need_comma_) out_.push_back(',');
        need_comma_ = true;
    }
    JsonWriter& open(char bracket) {
        separate();
        out_.push_back(bracket);
        need_comma_ = false;
        return *this;
    }
    JsonWriter& close(char bracket) {
        out_.push_back(bracket);
        need_comma_ = true;
        return *this;
    }

    std::string& out_;
    bool need_comma_ = false;
};

}  // namespace ee

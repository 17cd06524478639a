#include "base/names.h"

#include <algorithm>
#include <cstddef>

#include "base/utf8.h"

namespace ee {
namespace {

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alphanumeric(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

bool consists_of(std::string_view text, std::size_t size_max, std::string_view marks) {
    return !text.empty() && text.size() <= size_max && std::all_of(text.begin(), text.end(), [&](char c) {
        return is_alphanumeric(c) || marks.find(c) != std::string_view::npos;
    });
}

// C0, DEL, and C1 (U+0080 to U+009F, written C2 80 to C2 9F).
bool has_control_character(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x20 || byte == 0x7f) return true;
        if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
            return true;
    }
    return false;
}

}  // namespace

bool is_repo(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return false;
    const std::string_view owner = text.substr(0, slash);
    const std::string_view name = text.substr(slash + 1);
    return consists_of(owner, 39, "-") && consists_of(name, 100, "._-") && name != "." && name != "..";
}

bool is_release_tag(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.front() != '/' &&
           text.find('\\') == std::string_view::npos && text.find("..") == std::string_view::npos &&
           !has_control_character(text) && is_utf8(text);
}

bool is_app_name(std::string_view text) {
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_agent_id(std::string_view text) {
    return consists_of(text, 128, "._:-");
}

bool is_network_name(std::string_view text) {
    return consists_of(text, 64, "._-");
}

}  // namespace ee

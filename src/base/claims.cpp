#include "base/claims.h"

#include "base/json_writer.h"

namespace ee {

bool Utf16Less::operator()(std::string_view a, std::string_view b) const {
    // UTF-8 order and UTF-16 order differ only where one side is U+E000..U+FFFF (lead 0xee, 0xef) and the
    // other a surrogate pair (lead 0xf0 and up): in UTF-16 the pair comes first.
    const std::size_t common = std::min(a.size(), b.size());
    for (std::size_t i = 0; i < common; ++i) {
        const auto x = static_cast<unsigned char>(a[i]);
        const auto y = static_cast<unsigned char>(b[i]);
        if (x == y) continue;
        const bool x_pair = x >= 0xf0, y_pair = y >= 0xf0;
        const bool x_high = x == 0xee || x == 0xef, y_high = y == 0xee || y == 0xef;
        if (x_pair && y_high) return true;
        if (x_high && y_pair) return false;
        return x < y;
    }
    return a.size() < b.size();
}

std::string canonical_json(const Claims& claims) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    for (const auto& [name, claim] : claims) {
        json.key(name);
        if (const auto* text = std::get_if<std::string>(&claim))
            json.value(*text);
        else if (const auto* flag = std::get_if<bool>(&claim))
            json.value(*flag);
        else
            json.null();
    }
    json.end_object();
    return out;
}

}  // namespace ee

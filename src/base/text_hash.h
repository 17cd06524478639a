#pragma once
// For unordered containers with keys of type std::string that are looked up by views, without a copy:
// std::unordered_map<std::string, T, TextHash, std::equal_to<>>.

#include <functional>
#include <string_view>

namespace ee {

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

}  // namespace ee

#pragma once
// JSON pointers (RFC 6901), to name the wrong field of a document.

#include <string>
#include <string_view>

namespace ee::attestation {

// `pointer` one level down; "~" and "/" in the key are escaped.
inline std::string json_pointer_child(std::string_view pointer, std::string_view key) {
    std::string out(pointer);
    out += '/';
    for (const char c : key) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

}  // namespace ee::attestation

#pragma once
// Texts of strangers, as they may be shown: nothing of them controls the terminal.

#include <string>
#include <string_view>

namespace ee {

// '?' in place of each control character (C0, DEL, C1), of each that changes the direction of text (UAX #9:
// marks, embeddings, overrides, isolates), and of each byte that is no UTF-8.
std::string printable(std::string_view text);

}  // namespace ee

// Any bytes as a response that is read while it comes: whole and byte by byte hand out the same body and end
// alike.

#include <algorithm>
#include <string>

#include "base/check.h"
#include "cli/response_pieces.h"

namespace {

struct Read {
    std::string body;
    int status = 0;

    friend bool operator==(const Read&, const Read&) = default;
};

Read read(std::string_view input, std::size_t piece) {
    Read out;
    const ee::cli::OnPiece on_piece = [&](std::string_view bytes) {
        EE_CHECK(!bytes.empty());
        out.body.append(bytes);
        return true;
    };
    ee::cli::ResponsePieces pieces(on_piece);
    while (!input.empty() && pieces.take(input.substr(0, piece)))
        input.remove_prefix(std::min(piece, input.size()));
    if (const auto answer = pieces.answer()) out.status = answer->status;
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    if (size > 64 * 1024) return 0;
    EE_CHECK(read(input, input.size()) == read(input, 1));
    return 0;
}

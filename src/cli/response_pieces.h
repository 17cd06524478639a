#pragma once
// A response (RFC 9112) read while it comes.

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/http_call.h"

namespace ee::cli {

class ResponsePieces {
public:
    explicit ResponsePieces(const OnPiece& on_piece) : on_piece_(on_piece) {}

    // The next bytes from the peer; false: no more are wanted.
    bool take(std::string_view bytes);
    // Once the peer has closed, or no more were wanted: status, and the body unless it was handed out.
    // `unreachable` when what came is not HTTP.
    Result<HttpAnswer> answer() const;

private:
    // `passing`: a body that ends with the connection.
    enum class Phase : std::uint8_t { head, whole, passing, chunk_size, chunk, chunk_end, over };

    bool take_head();
    bool take_chunks();

    const OnPiece& on_piece_;
    Phase phase_ = Phase::head;
    std::string text_;  // Not handled yet; of a response that is read whole, all of it.
    std::uint64_t chunk_left_ = 0;
};

}  // namespace ee::cli

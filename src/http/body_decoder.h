#pragma once
// Takes the framing off a message body (RFC 9112 sections 6 and 7) piece by piece, without copying and
// without I/O.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/head_scanner.h"
#include "http/message.h"

namespace ee::http {

class BodyDecoder {
public:
    struct Step {
        std::size_t consumed = 0;  // Bytes of the input that are used up.
        std::string_view data;     // Body bytes within them: a view into the input.
        bool done = false;         // The body is complete; the next message begins behind `consumed`.
    };

    BodyDecoder() : BodyDecoder(Framing::none, 0) {}
    // `length` counts for Framing::length only.
    BodyDecoder(Framing framing, std::uint64_t length);
    explicit BodyDecoder(const RequestHead& head) : BodyDecoder(head.framing, head.content_length) {}
    explicit BodyDecoder(const ResponseHead& head) : BodyDecoder(head.framing, head.content_length) {}

    // Call until done or until the input is used up; every call but one on empty input consumes something
    // or is done. Codes: bad_chunk, bad_trailer, trailers_too_large. After a refusal only close.
    Result<Step> next(std::string_view input);

    bool done() const { return state_ == State::done; }
    // The peer closed: fine for until_close and when done, else body_truncated.
    Result<void> finish();

    // Of a chunked body that is done; views into the decoder, so it must stay in place.
    std::span<const Field> trailers() const { return trailers_; }

private:
    enum class State { done, data, size, extension, size_lf, data_cr, data_lf, trailers, until_close };

    Result<void> chunk_line(char c);
    Result<Step> trailer_section(std::string_view input, std::size_t consumed);

    State state_;
    bool chunked_;
    bool extension_named_ = false;         // The ';' has been seen.
    unsigned size_digits_ = 0;             // Of the chunk size being read.
    std::uint64_t remaining_ = 0;          // Of the body or of the chunk.
    std::size_t extension_bytes_ = 0;      // Of this chunk.
    std::size_t extension_bytes_all_ = 0;  // Of all chunks.
    HeadScanner trailer_scanner_;
    std::string trailer_text_;
    std::vector<Field> trailers_;
};

}  // namespace ee::http

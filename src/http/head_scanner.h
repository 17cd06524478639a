#pragma once
// What the heads of requests and responses and the trailers of chunked bodies have in common: lines that
// end in CRLF, field lines, and the fields that RFC 9112 itself reads.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace ee::http {

// Finds the empty line that ends a head in a buffer that grows between calls. Looks at each byte once,
// so a head that arrives byte by byte costs no more than one that comes whole. Refuses bare CR, bare LF,
// control characters but HTAB, and what is over the limits, at the first byte that shows it.
class HeadScanner {
public:
    struct Rules {
        std::size_t bytes_max;
        std::size_t lines_max;            // Not counting the empty line.
        bool may_begin_with_empty_line;   // Once (RFC 9112 section 2.2).
        bool may_be_empty;                // The empty line alone, as in trailers.
        std::string_view malformed_code;  // The code of refusals that are not about size.
    };

    explicit HeadScanner(const Rules& rules) : rules_(rules) {}

    // The size of the complete head, 0 when more is needed. `buffer` begins with the same byte each time.
    Result<std::size_t> scan(std::string_view buffer);

    std::size_t line_count() const { return lines_.size(); }
    // Without its CRLF. `buffer` as given to the scan that found the end.
    std::string_view line(std::string_view buffer, std::size_t index) const {
        return buffer.substr(lines_[index].begin, lines_[index].end - lines_[index].begin);
    }

    // Ready for the next head.
    void reset();

private:
    struct Line {
        std::uint32_t begin;
        std::uint32_t end;
    };

    // What is wrong with the line that ends here; empty when nothing. Sets `complete` at the last one.
    Result<void> end_line(std::size_t end, bool& complete);

    Rules rules_;
    std::vector<Line> lines_;
    std::size_t scanned_ = 0;
    std::size_t line_begin_ = 0;
    bool skipped_empty_line_ = false;
};

// Splits "name: value". Empty when it is well-formed, else what is wrong with it.
std::string_view parse_field_line(std::string_view line, Field& out);

// The fields that decide where a message ends and what happens to its connection.
struct ControlFields {
    enum class TransferEncoding { absent, chunked, unsupported };

    std::optional<std::uint64_t> content_length;
    TransferEncoding transfer_encoding = TransferEncoding::absent;
    std::optional<std::string_view> host;
    std::optional<std::string_view> expect;
    bool connection_close = false;
    bool connection_keep_alive = false;
    bool connection_upgrade = false;
    bool has_upgrade = false;
    bool accepts_trailers = false;  // TE: trailers

    // Empty when the field may stand beside the ones before it, else what is wrong.
    std::string_view note(const Field& field);
    bool keep_alive(int minor_version) const {
        return !connection_close && (minor_version >= 1 || connection_keep_alive);
    }
};

}  // namespace ee::http

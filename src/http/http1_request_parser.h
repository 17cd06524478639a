#pragma once
// Parses the heads of HTTP/1 requests (RFC 9112) strictly: whatever two parties could read differently is
// refused. Does no I/O.

#include <string_view>

#include "base/result.h"
#include "http/head_scanner.h"
#include "http/message.h"

namespace ee::http {

class RequestParser {
public:
    explicit RequestParser(const HeadLimits& limits = {});

    // The size of the head at the start of `buffer`, 0 when it is not complete yet. Until then each call
    // gets the same bytes and more (they may have moved); after a head, the bytes behind it. `out` is
    // filled, reusing its vector, only when the head is complete, with views into `buffer`.
    // Codes: bad_request, head_too_large, too_many_fields, unsupported_version,
    // unsupported_transfer_encoding, unsupported_method (CONNECT), unsupported_expectation; see
    // refusal_status(). After a refusal the connection can only be closed.
    Result<std::size_t> parse(std::string_view buffer, RequestHead& out);

private:
    Result<void> interpret(std::string_view buffer, RequestHead& out) const;

    HeadScanner scanner_;
};

}  // namespace ee::http

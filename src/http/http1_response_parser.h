#pragma once
// Parses the heads of HTTP/1 responses (RFC 9112) as strictly as those of requests. Does no I/O.

#include <string_view>

#include "base/result.h"
#include "http/head_scanner.h"
#include "http/message.h"

namespace ee::http {

// What was asked, as far as it decides where the response ends (RFC 9112 section 6.3).
enum class AskedMethod { other, head, connect };
AskedMethod asked_method(std::string_view method);

class ResponseParser {
public:
    explicit ResponseParser(const HeadLimits& limits = {});

    // As RequestParser::parse. After an interim head (1xx but 101) call again with the bytes behind it.
    // A 101, or a 2xx to CONNECT, has no body: the bytes behind it belong to the other protocol.
    // Codes: bad_response, head_too_large, too_many_fields.
    Result<std::size_t> parse(std::string_view buffer, AskedMethod asked, ResponseHead& out);

private:
    Result<void> interpret(std::string_view buffer, AskedMethod asked, ResponseHead& out) const;

    HeadScanner scanner_;
};

}  // namespace ee::http

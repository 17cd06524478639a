#pragma once
// For which server a TLS client asks, read from its first message (RFC 8446 section 4.1.2, RFC 6066 section
// 3) without taking part in the handshake. Pure: bytes in, a name out.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ee::proxy {

// Of a ClientHello with all its record headers.
inline constexpr std::size_t client_hello_bytes_max = 16 * 1024;

// Reads one ClientHello, in whatever pieces it comes: over several records, byte by byte. Only the outer
// server name counts: Encrypted Client Hello (RFC 9849), real or GREASE, is an extension like any other.
class ClientHelloReader {
public:
    // The next bytes of the connection. The name, in lower case, once the message is complete: behind it may
    // be more bytes, which are not looked at. nullopt: more is needed. Refusals, after which and after a name
    // nothing may be fed:
    //   `not_tls`               it does not begin with a TLS handshake record
    //   `client_hello_malformed` a length that does not fit, a record or a message of another kind in between
    //   `client_hello_too_large` more than client_hello_bytes_max
    //   `server_name_missing`   no server_name extension
    //   `server_name_invalid`   not a host name: letters, digits, '-', '_', between dots, at most 253 bytes
    Result<std::optional<std::string>> feed(std::string_view bytes);

private:
    Result<void> take_record_header();
    Result<bool> take_fragment(std::string_view& bytes);
    Result<void> check_size() const;

    std::size_t headers_size_ = 0;  // Of all records so far.
    std::string header_;            // Of the record that begins.
    std::size_t left_ = 0;          // Of the record's fragment.
    std::string message_;           // What the fragments make up.
};

// The same from a whole message without its record headers: its 4-byte header, then all of the body.
Result<std::string> server_name_of(std::string_view message);

// Which alert (RFC 8446 section 6) tells the client of a refusal of ClientHelloReader, or of `unknown_app`:
// unrecognized_name for a name that is not served, missing_extension without one, decode_error for what
// cannot be read. internal_error for every other code.
std::uint8_t alert_of(std::string_view code);

// A fatal alert as it goes over the wire before any key is agreed on.
std::string alert_record(std::uint8_t description);

}  // namespace ee::proxy

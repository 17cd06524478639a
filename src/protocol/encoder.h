#pragma once
// Writes tunnel messages, each appended to `out` as one JSON object.

#include <span>
#include <string>
#include <string_view>

#include "protocol/messages.h"

namespace ee::protocol {

void append(std::string& out, const Register& message);
void append(std::string& out, const AttestResponse& message);
void append(std::string& out, const Health& message);
void append(std::string& out, const AttestRequest& message);
void append(std::string& out, const Status& message);

template <class Message>
std::string encode(const Message& message) {
    std::string out;
    append(out, message);
    return out;
}

// Everything is borrowed for the call.
struct ProxyRequestView {
    std::string_view request_id{};
    std::string_view method{};
    std::string_view path{};
    std::span<const HeaderView> headers{};
    std::string_view body{};
};

// Fields of one name are joined with ", " (Cookie with "; "; RFC 9110 section 5.3, RFC 9113 section 8.2.3),
// because deployed agents read an object of strings.
void append_proxy_request(std::string& out, const ProxyRequestView& request);

struct ProxyResponseView {
    std::string_view request_id{};
    int status = 0;
    std::span<const HeaderView> headers{};
    std::string_view body{};
    // Not empty: the answer is this error (backend_unreachable).
    std::string_view error{};
};

// Several fields of one name become a list.
void append_proxy_response(std::string& out, const ProxyResponseView& response);

}  // namespace ee::protocol

#pragma once
// A request as it is sent to the backend over HTTP/2, kept for as long as it may have to be sent again.

#include "agent/backend_request.h"
#include "http/http2_session.h"

namespace ee::agent {

class Http2Request {
public:
    Http2Request() = default;
    Http2Request(const Http2Request&) = delete;
    Http2Request& operator=(const Http2Request&) = delete;

    // Copies the head. Refusal `bad_request`: it cannot be written.
    Result<void> take(const BackendRequest& request, const net::Url& backend);
    // Views that live as long as this object.
    http::Http2Head head() const;
    bool is_websocket() const { return is_websocket_; }

private:
    std::string text_;
    std::string_view method_, authority_, path_;
    std::vector<http::Field> fields_;
    bool is_websocket_ = false;
};

}  // namespace ee::agent

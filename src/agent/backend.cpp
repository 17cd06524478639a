#include "agent/backend.h"

#include "agent/http1_backend.h"
#include "agent/http2_backend.h"

namespace ee::agent {

const char* error_code(http::RequestFailure failure) {
    switch (failure) {
        case http::RequestFailure::unwritable: return "bad_request";
        case http::RequestFailure::timed_out: return "backend_timeout";
        case http::RequestFailure::broken: return "bad_backend_answer";
        case http::RequestFailure::unsupported: return "upgrade_unsupported";
        default: return "backend_unreachable";
    }
}

int status_of_error(std::string_view code) {
    if (code == protocol::backend_timeout) return 504;
    if (code == "bad_request") return 400;
    return code == "upgrade_unsupported" ? 501 : 502;
}

std::unique_ptr<Backend> make_backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings) {
    if (settings.url.is_http2()) return std::make_unique<Http2Backend>(loop, resolver, std::move(settings));
    return std::make_unique<Http1Backend>(loop, resolver, std::move(settings));
}

}  // namespace ee::agent

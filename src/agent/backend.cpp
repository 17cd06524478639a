#include "agent/backend.h"

#include <algorithm>

#include "base/check.h"
#include "http/fields.h"
#include "http/http1_writer.h"

namespace ee::agent {
namespace {

// RFC 9110 section 9.2.2: may be sent again when the first sending's fate is unknown.
bool is_idempotent(std::string_view method) {
    for (const std::string_view name : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
        if (method == name) return true;
    return false;
}

// Framing and hop-by-hop fields are written anew for the hop to the backend.
bool is_dropped(std::string_view name) {
    return http::is_hop_by_hop(name) || http::iequals(name, "content-length") ||
           http::iequals(name, "expect");
}

Result<std::string> request_text(const protocol::ProxyRequest& request, const net::Url& backend) {
    const auto refuse = [] { return fail("bad_request", "the request cannot be written as HTTP/1.1"); };
    if (!request.path.starts_with('/') && !(request.method == "OPTIONS" && request.path == "*"))
        return refuse();
    std::string text;
    text.reserve(1024 + request.body.size());
    if (!http::append_request_line(text, request.method, request.path)) return refuse();
    bool has_host = false;
    for (const protocol::HeaderField& field : request.headers) {
        if (is_dropped(field.name)) continue;
        has_host = has_host || http::iequals(field.name, "host");
        if (!http::append_field(text, field.name, field.value)) return refuse();
    }
    if (!has_host && !http::append_field(text, "Host", backend.authority())) return refuse();
    const bool expects_body =
        request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (!request.body.empty() || expects_body) http::append_content_length(text, request.body.size());
    text.append("\r\n").append(request.body);
    return text;
}

const char* error_code(http::ClientConnection::Failure failure) {
    switch (failure) {
        case http::ClientConnection::Failure::timed_out: return "backend_timeout";
        case http::ClientConnection::Failure::broken: return "bad_backend_answer";
        default: return "backend_unreachable";
    }
}

}  // namespace

struct Backend::Call {
    std::string text;
    http::AskedMethod asked;
    bool idempotent;
    OnDone on_done;
};

Backend::Backend(net::Loop& loop, net::WorkerPool& workers, BackendSettings settings)
    : loop_(loop), workers_(workers), settings_(std::move(settings)) {}

Backend::~Backend() = default;

void Backend::send(const protocol::ProxyRequest& request, OnDone on_done) {
    auto text = request_text(request, settings_.url);
    ++open_;
    if (!text) {
        return loop_.post([this, on_done = std::move(on_done), error = text.error()] {
            --open_;
            on_done(nullptr, error);
        });
    }
    auto call = std::make_unique<Call>(Call{std::move(*text), http::asked_method(request.method),
                                            is_idempotent(request.method), std::move(on_done)});
    start(std::move(call), false);
}

void Backend::start(std::unique_ptr<Call> call, bool fresh) {
    http::ClientConnection& connection = take_connection(fresh);
    // The text is kept only for a second try on a fresh connection, when the kept one turns out closed.
    std::string text = call->idempotent && !fresh ? call->text : std::move(call->text);
    const http::AskedMethod asked = call->asked;
    calls_[&connection] = std::move(call);
    connection.send(std::move(text), asked, settings_.timeout);
}

http::ClientConnection& Backend::take_connection(bool fresh) {
    if (!fresh && !idle_.empty()) {
        http::ClientConnection* connection =
            idle_.back();  // The one used last is the least likely to have timed out.
        idle_.pop_back();
        return *connection;
    }
    auto made = std::make_shared<http::ClientConnection>(loop_, workers_, settings_.url, settings_.tls,
                                                         settings_.body_bytes_max, *this);
    http::ClientConnection* connection = made.get();
    connections_.emplace(connection, std::move(made));
    return *connection;
}

std::unique_ptr<Backend::Call> Backend::take_call(http::ClientConnection& connection) {
    const auto found = calls_.find(&connection);
    EE_CHECK(found != calls_.end());
    std::unique_ptr<Call> call = std::move(found->second);
    calls_.erase(found);
    return call;
}

void Backend::on_answer(http::ClientConnection& connection, const http::AnswerView& answer) {
    const std::unique_ptr<Call> call = take_call(connection);
    --open_;
    call->on_done(&answer, {});
    if (connection.reusable() && idle_.size() < settings_.idle_max)
        idle_.push_back(&connection);
    else
        release(connection);
}

void Backend::on_failure(http::ClientConnection& connection, http::ClientConnection::Failure failure,
                         const std::string& why) {
    std::unique_ptr<Call> call = take_call(connection);
    const bool was_kept = connection.used_before();
    release(connection);
    // A kept connection that ends without a byte was most likely closed before our request came.
    if (failure == http::ClientConnection::Failure::silent && was_kept && call->idempotent &&
        !call->text.empty())
        return start(std::move(call), true);
    --open_;
    call->on_done(nullptr, {error_code(failure), why});
}

void Backend::on_idle_close(http::ClientConnection& connection) {
    release(connection);
}

void Backend::release(http::ClientConnection& connection) {
    std::erase(idle_, &connection);
    connection.abort();
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    loop_.dispose(std::move(found->second));
    connections_.erase(found);
}

}  // namespace ee::agent

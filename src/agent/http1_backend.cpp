#include "agent/http1_backend.h"

#include <algorithm>

#include "agent/http1_call.h"
#include "agent/whole_call.h"
#include "base/base64.h"
#include "http/websocket_handshake.h"

namespace ee::agent {

Http1Backend::Http1Backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings)
    : loop_(loop), resolver_(resolver), settings_(std::move(settings)) {}

Http1Backend::~Http1Backend() {
    while (!calls_.empty()) {
        Call& call = calls_.front();
        call.unlink();
        call.drop();
    }
}

// ---- Requests ----

http::ClientExchange& Http1Backend::open(const BackendRequest& request, http::AnswerObserver& observer) {
    return start(request, observer, http::OutgoingRequest::Deadline::progress, settings_.idle_time);
}

void Http1Backend::send(const protocol::ProxyRequest& request, OnDone on_done) {
    fields_.clear();
    for (const protocol::HeaderField& field : request.headers) fields_.push_back({field.name, field.value});
    auto whole = std::make_unique<WholeCall>(settings_.body_bytes_max, std::move(on_done));
    Call& call =
        start({.method = request.method, .path = request.path, .fields = fields_, .body = request.body},
              whole->answer(), http::OutgoingRequest::Deadline::whole, settings_.timeout);
    call.own(std::move(whole));
}

Http1Backend::Call& Http1Backend::start(const BackendRequest& request, http::AnswerObserver& observer,
                                        http::OutgoingRequest::Deadline deadline,
                                        std::chrono::nanoseconds time) {
    const std::string key = request.websocket
                                ? to_base64(random_.take<std::tuple_size_v<http::WebSocketNonce>>())
                                : std::string();
    auto text = write_request(request, settings_.url, key);
    if (text) {
        text->deadline = deadline;
        text->time = time;
    }
    const auto call = std::make_shared<Call>(*this, observer);
    call->set_websocket_key(key);
    call->begin(std::move(text), !request.body_follows && is_idempotent(request.method));
    return *call;
}

// ---- Connections ----

http::ClientConnection& Http1Backend::take_connection(bool fresh) {
    while (!fresh && !idle_.empty()) {
        // The one used last is the least likely to have timed out.
        http::ClientConnection& connection = *idle_.back();
        idle_.pop_back();
        if (connection.is_quiet()) return connection;
        release(connection);
    }
    auto made =
        std::make_shared<http::ClientConnection>(loop_, resolver_, settings_.url, settings_.tls, this);
    http::ClientConnection* connection = made.get();
    connections_.emplace(connection, std::move(made));
    return *connection;
}

void Http1Backend::keep_or_release(http::ClientConnection& connection) {
    if (connection.reusable() && idle_.size() < settings_.idle_max)
        idle_.push_back(&connection);
    else
        release(connection);
}

void Http1Backend::on_idle_close(http::ClientConnection& connection) {
    release(connection);
}

void Http1Backend::release(http::ClientConnection& connection) {
    std::erase(idle_, &connection);
    connection.cancel();
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    loop_.dispose(std::move(found->second));
    connections_.erase(found);
}

}  // namespace ee::agent

#include "agent/http2_backend.h"

#include <algorithm>

#include "agent/http2_call.h"
#include "agent/http2_connection.h"
#include "agent/whole_call.h"

namespace ee::agent {

using http::RequestFailure;

namespace {

// Before the next try, while other connections serve.
constexpr std::chrono::seconds connect_pause{1};

}  // namespace

Http2Backend::Http2Backend(net::Loop& loop, net::Resolver& resolver, BackendSettings settings)
    : loop_(loop),
      resolver_(resolver),
      settings_(std::move(settings)),
      connect_due_(loop, [this] { dispatch(); }) {}

Http2Backend::~Http2Backend() {
    for (net::List<Call>* calls : {&waiting_, &waiting_with_body_, &begun_}) {
        while (!calls->empty()) {
            Call& call = calls->front();
            call.unlink();
            call.drop();
        }
    }
}

// ---- Requests ----

http::ClientExchange& Http2Backend::open(const BackendRequest& request, http::AnswerObserver& observer) {
    const auto call = std::make_shared<Call>(
        *this, observer, CallDeadline{.time = settings_.idle_time, .is_by_progress = true});
    call->begin(request);
    return *call;
}

void Http2Backend::send(const protocol::ProxyRequest& request, OnDone on_done) {
    fields_.clear();
    for (const protocol::HeaderField& field : request.headers) fields_.push_back({field.name, field.value});
    auto whole = std::make_unique<WholeCall>(settings_.body_bytes_max, std::move(on_done));
    const auto call = std::make_shared<Call>(
        *this, whole->answer(), CallDeadline{.time = settings_.timeout, .is_by_progress = false});
    call->own(std::move(whole));
    call->begin({.method = request.method, .path = request.path, .fields = fields_, .body = request.body});
}

void Http2Backend::enqueue(Call& call) {
    if (waiting_count_ >= settings_.waiting_max && with_room(call.has_body()) == nullptr) {
        begun_.push_back(call);
        return call.fail_later(RequestFailure::connecting, "as many requests wait for a connection as may: " +
                                                               std::to_string(settings_.waiting_max));
    }
    call.wait_in(call.has_body() ? waiting_with_body_ : waiting_, waiting_count_);
    dispatch();
}

void Http2Backend::dispatch() {
    for (net::List<Call>* queue : {&waiting_, &waiting_with_body_}) {
        while (!queue->empty()) {
            Connection* connection = with_room(queue == &waiting_with_body_);
            if (connection == nullptr) break;
            Call& call = queue->front();
            call.leave_queue();
            begun_.push_back(call);
            call.start_on(*connection);
        }
    }
    if (waiting_count_ > 0 && may_connect()) connect();
}

// ---- Connections ----

// Many servers give the window back as their handlers read: what one does not read may be all of it, and then
// no body passes on that connection. So each body that is still being sent has a connection of its own, as
// long as there may be more of them; from there on those share that have most of a window left.
Http2Backend::Connection* Http2Backend::with_room(bool has_body) {
    Connection* widest = nullptr;
    for (const auto& [connection, kept] : connections_) {
        if (!connection->has_room()) continue;
        if (!has_body || connection->is_clear()) return connection;
        if (widest == nullptr || connection->window_left() > widest->window_left()) widest = connection;
    }
    const bool must_share = widest != nullptr && !is_connecting() && !may_connect();
    return must_share && widest->window_left() > 0 ? widest : nullptr;
}

std::size_t Http2Backend::usable_connections() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(connections_, [](const auto& entry) { return !entry.first->is_retired(); }));
}

bool Http2Backend::is_connecting() const {
    return std::ranges::any_of(connections_, [](const auto& entry) { return !entry.first->is_ready(); });
}

// One after the other: the first may take all that waits.
bool Http2Backend::may_connect() const {
    return !is_connecting() && loop_.now() >= connect_from_ &&
           usable_connections() < settings_.connections_max;
}

void Http2Backend::connect() {
    auto made = std::make_shared<Connection>(*this);
    Connection& connection = *made;
    connections_.emplace(&connection, std::move(made));
    connection.connect();
}

void Http2Backend::release(Connection& connection) {
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    loop_.dispose(std::move(found->second));
    connections_.erase(found);
}

// Where other connections are merely full, what waits goes on waiting for them.
void Http2Backend::on_unreachable(const std::string& why, RequestFailure failure) {
    if (usable_connections() > 0) {
        connect_from_ = loop_.now() + connect_pause;
        connect_due_.arm_at(connect_from_);
        return dispatch();
    }
    net::List<Call> failed;
    failed.splice(waiting_);
    failed.splice(waiting_with_body_);
    while (!failed.empty()) failed.front().fail(failure, why);
}

}  // namespace ee::agent

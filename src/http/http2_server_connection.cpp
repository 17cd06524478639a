#include "http/http2_server_connection.h"

#include <algorithm>

#include "base/check.h"

namespace ee::http {
namespace {

// Frames that the visitor has not taken yet: beyond this no more are made of what is to be sent. Enough for
// the kernel's buffer, little enough that what is urgent comes soon.
constexpr std::size_t unsent_bytes_max = 256 * 1024;
// Of a connection that broke the rules so much goes out all the same: the GOAWAY that says why.
constexpr std::size_t last_word_bytes = 64;
constexpr std::size_t spare_max = 32;
// Behind the first GOAWAY: as long as a visitor that has not read it yet may begin requests (RFC 9113
// section 6.8).
constexpr std::chrono::seconds farewell{1};
// Streams that a visitor may reset, or break so that this side resets them: so many a second, and so many
// times those that may be open at once.
constexpr int resets_per_second = 33;
constexpr std::uint32_t resets_at_once_per_stream = 4;

Http2Settings session_settings(const ServerLimits& limits) {
    Http2Settings settings{.role = Http2Settings::Role::server,
                           .streams_max = limits.streams_max,
                           .connect_protocol = true,
                           .frame_bytes_max = 16 * 1024,
                           .is_strict = true,
                           .window_bytes = 256 * 1024,
                           .unconsumed_bytes_max = limits.http2_unconsumed_bytes_max};
    settings.memory = limits.memory;
    settings.head = limits.head;
    return settings;
}

}  // namespace

Http2ServerConnection::Http2ServerConnection(Server& server, std::unique_ptr<net::Stream> stream,
                                             const net::Endpoint& peer)
    : server_(server),
      stream_(std::move(stream)),
      peer_(peer),
      session_(session_settings(server.limits_), *this),
      deadline_(server.loop_, [this] { on_deadline(); }),
      body_deadline_(server.loop_, [this] { give_up_bodies(); }),
      last_progress_(server.loop_.now()) {
    stream_->set_handler(*this);
    stream_->resume_reading();
    stream_->flush_later();
    arm_at(server_.loop_.now() + server_.limits_.head_time);
}

// ---- Bytes ----

void Http2ServerConnection::on_data(std::span<char> data) {
    if (ended_ || broken_) return;
    broken_ = !session_.receive({data.data(), data.size()});
    look_at_head();
    stream_->flush_later();
}

void Http2ServerConnection::on_flush() {
    if (ended_) return;
    const std::size_t room = unsent_bytes_max - std::min(stream_->pending_output(), unsent_bytes_max);
    session_.pull(stream_->output(), broken_ ? std::max(room, last_word_bytes) : room);
    if (!broken_ && !session_.is_finished()) return;
    // Finished by GOAWAY, ours or the visitor's, and the last stream; or, without one, by a violation.
    if (broken_ || !session_.is_draining())
        tell_refused(400, {"http2_protocol_error", "the visitor broke the protocol"});
    close();
}

void Http2ServerConnection::on_progress() {
    last_progress_ = server_.loop_.now();
    pull_more();
}

std::size_t Http2ServerConnection::answered_bytes(MonoTime stalled_since) const {
    const auto is_over = [](const auto& entry) { return entry.second->is_over(); };
    if (last_progress_ > stalled_since || !std::ranges::all_of(exchanges_, is_over)) return 0;
    return session_.queued_bytes() + stream_->pending_output();
}

void Http2ServerConnection::pull_more() {
    if (!ended_ && session_.wants_output()) stream_->flush_later();
}

void Http2ServerConnection::close() {
    ended_ = true;
    deadline_.cancel();
    body_deadline_.cancel();
    end_exchanges();
    stream_->close_after_flush(server_.limits_.write_idle_time);
}

void Http2ServerConnection::end_exchanges() {
    for (auto& [id, exchange] : std::exchange(exchanges_, {})) {
        exchange->visitor_gone();
        server_.loop_.dispose(std::move(exchange));
    }
}

void Http2ServerConnection::on_closed(const Error&) {
    ended_ = true;
    end_exchanges();
    remove();
}

void Http2ServerConnection::end() {
    stream_->abort();
    on_closed({"closed", "the server ends its connections"});
}

void Http2ServerConnection::remove() {
    deadline_.cancel();
    body_deadline_.cancel();
    server_.remove(*this);
}

// ---- Streams ----

Http2Exchange* Http2ServerConnection::find(Http2StreamId id) const {
    const auto found = exchanges_.find(id);
    return found == exchanges_.end() ? nullptr : found->second.get();
}

Http2Exchange& Http2ServerConnection::add(Http2StreamId id) {
    std::unique_ptr<Http2Exchange> exchange;
    if (spare_.empty()) {
        exchange = std::make_unique<Http2Exchange>(*this, server_.limits_.memory);
    } else {
        exchange = std::move(spare_.back());
        spare_.pop_back();
    }
    exchange->reset(id);
    return *exchanges_.emplace(id, std::move(exchange)).first->second;
}

void Http2ServerConnection::forget(Http2StreamId id) {
    auto node = exchanges_.extract(id);
    if (node.empty()) return;
    if (spare_.size() < spare_max)
        spare_.push_back(std::move(node.mapped()));
    else
        server_.loop_.dispose(std::move(node.mapped()));
    if (exchanges_.empty()) arm_deadline();
}

void Http2ServerConnection::answered() {
    if (!std::exchange(has_served_, true)) stream_->set_urgency(net::Urgency::normal);
}

void Http2ServerConnection::on_head(Http2StreamId id, const Http2Head& head, bool end) {
    Http2Exchange& exchange = add(id);
    if (exchanges_.size() == 1) arm_deadline();
    exchange.begin_request(head, end);
}

void Http2ServerConnection::on_body(Http2StreamId id, std::string_view bytes) {
    if (Http2Exchange* exchange = find(id)) return exchange->receive(bytes);
    session_.consume(id, bytes.size());
}

void Http2ServerConnection::on_end(Http2StreamId id, std::span<const Field> trailers) {
    if (Http2Exchange* exchange = find(id)) exchange->end_of_body(trailers);
}

void Http2ServerConnection::on_reset(Http2StreamId id, std::uint32_t) {
    if (Http2Exchange* exchange = find(id)) {
        exchange->visitor_gone();
        forget(id);
    }
}

void Http2ServerConnection::on_complete(Http2StreamId id, bool) {
    if (Http2Exchange* exchange = find(id); exchange != nullptr && exchange->stream_closed()) forget(id);
}

void Http2ServerConnection::on_body_taken(Http2StreamId id, std::size_t bytes) {
    if (Http2Exchange* exchange = find(id)) exchange->taken(bytes);
}

// What is open is served to its end: where a proxy asks for many, it is other people's.
void Http2ServerConnection::on_peer_reset() {
    if (!takes_streams_ || take_reset()) return;
    tell_refused(400, {"http2_protocol_error", "the visitor gives up streams, or breaks them, too fast"});
    close_to_new(http2_code::enhance_your_calm);
}

// A virtual schedule, as ATM's GCRA has it.
bool Http2ServerConnection::take_reset() {
    constexpr auto interval = std::chrono::nanoseconds(std::chrono::seconds(1)) / resets_per_second;
    const MonoTime now = server_.loop_.now();
    const MonoTime all_left_at = std::max(all_resets_left_at_, now) + interval;
    if (all_left_at - now > resets_at_once_per_stream * server_.limits_.streams_max * interval) return false;
    all_resets_left_at_ = all_left_at;
    return true;
}

void Http2ServerConnection::defer(Http2StreamId id) {
    deferred_.push_back(id);
    server_.loop_.defer(*this);
}

void Http2ServerConnection::on_deferred() {
    for (const Http2StreamId id : std::exchange(deferred_, {}))
        if (Http2Exchange* exchange = find(id)) exchange->go_on();
    pull_more();
}

// ---- Deadlines ----

// No other frame may come within a head, but what was asked before is served whatever becomes of it.
void Http2ServerConnection::look_at_head() {
    const Http2StreamId id = session_.unfinished_head();
    if (id == std::exchange(unfinished_head_, id) || id == 0) return;
    head_due_ = server_.loop_.now() + server_.limits_.head_time;
    if (exchanges_.empty() && head_due_ < due_) arm_at(head_due_);
}

// Without a stream the connection is idle; with one, what moves is looked at from time to time.
void Http2ServerConnection::arm_deadline() {
    if (ended_ || (draining_ && takes_streams_)) return;
    written_before_ = stream_->bytes_out();
    const ServerLimits& limits = server_.limits_;
    const MonoTime now = server_.loop_.now();
    if (!exchanges_.empty()) return arm_at(now + limits.write_idle_time);
    const MonoTime due = now + (takes_streams_ ? limits.keep_alive_time : limits.head_time);
    arm_at(unfinished_head_ == 0 ? due : std::min(due, head_due_));
}

void Http2ServerConnection::arm_at(MonoTime due) {
    due_ = due;
    deadline_.arm_at(due);
}

void Http2ServerConnection::on_deadline() {
    if (stream_->pending_output() > 0 && stream_->bytes_out() == written_before_) return end();
    if (exchanges_.empty()) {
        if (unfinished_head_ != 0 && server_.loop_.now() >= head_due_) return give_up_head();
        if (!takes_streams_) return end();
    }
    if (exchanges_.empty() || draining_) close_to_new(http2_code::no_error);
    give_up_stalled();
    arm_deadline();
}

void Http2ServerConnection::tell_refused(int status, const Error& why) {
    server_.handler_.on_refused({.peer = peer_, .status = status, .why = why, .is_connections = true});
}

// There is no stream yet that an answer could be given on.
void Http2ServerConnection::give_up_head() {
    tell_refused(408, {"request_timeout", "the request's head did not arrive in time"});
    session_.goaway(http2_code::no_error);
    session_.pull(stream_->output(), unsent_bytes_max);
    close();
}

void Http2ServerConnection::close_to_new(std::uint32_t code) {
    if (!std::exchange(takes_streams_, false)) return;
    session_.goaway(code);
    stream_->flush_later();
}

// One stream may stall while others move: what it holds is not held for ever.
void Http2ServerConnection::give_up_stalled() {
    std::vector<Http2StreamId> stalled;
    for (const auto& [id, exchange] : exchanges_)
        if (exchange->is_stalled()) stalled.push_back(id);
    for (const Http2StreamId id : stalled)
        if (Http2Exchange* exchange = find(id)) exchange->give_up();
    if (!stalled.empty()) stream_->flush_later();
}

void Http2ServerConnection::expect_body(MonoTime due) {
    if (body_deadline_.armed() && body_due_ <= due) return;
    body_due_ = due;
    body_deadline_.arm_at(due);
}

void Http2ServerConnection::give_up_bodies() {
    const MonoTime now = server_.loop_.now();
    MonoTime next = MonoTime::max();
    std::vector<Http2StreamId> late;
    for (const auto& [id, exchange] : exchanges_) {
        const MonoTime due = exchange->body_due();
        if (due <= now)
            late.push_back(id);
        else
            next = std::min(next, due);
    }
    for (const Http2StreamId id : late)
        refuse_gathering(id, 408, {"request_timeout", "the body did not arrive in time"});
    if (next != MonoTime::max()) expect_body(next);
}

void Http2ServerConnection::list_gathering(std::vector<Gathering>& into) {
    for (const auto& [id, exchange] : exchanges_)
        if (exchange->is_gathering())
            into.push_back({this, id, exchange->gathered_bytes(), exchange->started_at()});
}

void Http2ServerConnection::refuse_gathering(std::int32_t stream, int status, const Error& why) {
    if (Http2Exchange* exchange = find(stream)) exchange->refuse_gathering(status, why);
}

void Http2ServerConnection::drain() {
    if (ended_ || std::exchange(draining_, true)) return;
    session_.begin_drain();
    stream_->flush_later();
    written_before_ = stream_->bytes_out();
    arm_at(server_.loop_.now() + farewell);
}

}  // namespace ee::http

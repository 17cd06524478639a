#include "proxy/call.h"

#include "http/fields.h"
#include "http/http1_writer.h"
#include "http/problem.h"
#include "http/target.h"
#include "proxy/refusals.h"

namespace ee::proxy {

namespace {

constexpr std::chrono::milliseconds retry_delay{100};
constexpr std::string_view unwritable_fields =
    "the agent's answer has header fields that cannot be passed on";
// Of interim answers to one request: they are not flow-controlled, and a few bytes of HPACK make a large
// head.
constexpr std::size_t interim_heads_max = 16;
constexpr std::size_t interim_bytes_max = std::size_t{64} * 1024;

}  // namespace

Call::Call(Forwarder& forwarder, http::Exchange& exchange, const ForwardRequest& request)
    : forwarder_(forwarder),
      exchange_(&exchange),
      flow_(forwarder.tunnels_),
      origin_(request.origin),
      is_head_(exchange.head().method == "HEAD"),
      is_whole_(!request.body_follows || !exchange.head().protocol.empty()),
      client_(request.visitor.client),
      started_at_(exchange.started_at()),
      request_bytes_(request.body.size()),
      whole_body_bytes_(request.body.size()) {
    ++forwarder_.calls_;
    const std::string_view path = http::split_origin_form(request.target).path;
    text_.reserve(request.app.size() + request.method.size() + path.size() + request.request_id.size());
    const auto keep = [this](std::string_view text) {
        const std::size_t at = text_.size();
        text_.append(text);
        return std::string_view(text_).substr(at);
    };
    app_ = keep(request.app);
    method_ = keep(request.method);
    path_ = keep(path);
    request_id_ = keep(request.request_id);
}

Call::~Call() {
    let_go_of_copy();
    --forwarder_.calls_;
}

void Call::set_trace(std::string_view traceparent) {
    traced_ = traceparent.copy(trace_id_.data(), trace_id_.size(), 3) == trace_id_.size();
}

void Call::require(Requirement requirement, MonoTime asked_at) {
    requirement_ = std::make_unique<const Requirement>(std::move(requirement));
    asked_at_ = asked_at;
}

Selection Call::selection() const {
    return {.carrier = carrier_,
            .requirement = requirement_.get(),
            .asked_at = asked_at_,
            .not_agents = not_agents_};
}

bool Call::may_be_sent_twice(const tunnel::StreamRequest& request) const {
    const BodyMemory* memory = forwarder_.settings_.memory;
    return !request.body_follows && request.protocol.empty() && request.body.size() <= kept_body_bytes_max &&
           is_idempotent(request.method) && (memory == nullptr || !memory->is_pressed());
}

void Call::keep(const tunnel::StreamRequest& request, std::string_view host) {
    may_repeat_ = may_be_sent_twice(request);
    if (!kept_) kept_ = forwarder_.spare_.take();
    kept_->keep(request, host, forwarder_.settings_.memory);
}

void Call::let_go_of_copy() {
    if (kept_) forwarder_.spare_.give_back(std::move(kept_));
}

void Call::was_with(const tunnel::Session& session) {
    if (session.registration()) not_agents_.push_back(session.registration()->agent_id);
}

void Call::sending() {
    if (attempts_ > 0) opened_at_ = std::chrono::steady_clock::now();
    sent_at_.reset();
}

void Call::opened(tunnel::Session& session, tunnel::StreamId id) {
    ++attempts_;
    whole_body_ = whole_body_bytes_;
    flow_.begin(session.id(), id);
    rtt_ = session.rtt().value_or(std::chrono::microseconds(-1));
    attempt_ = {};
    if (session.registration()) agent_ = session.registration()->agent_id;
    attempt_ = forwarder_.attempt({app_, agent_}, session.id());
    const registry::Agent* agent = forwarder_.registry_.agent_of(session.id());
    verdict_ = agent == nullptr ? nullptr : agent->verdict.shown;
    if (!may_repeat_) let_go_of_copy();
    exchange_->set_observer(&visitor_side_);
    if (std::exchange(body_follows_, false)) exchange_->take_body();
}

// ---- From the agent ----

void Call::on_sent() {
    sent_at_ = std::chrono::steady_clock::now();
}

void Call::on_interim(int status, std::span<const http::Field> fields) {
    AnswerFields& passed = forwarder_.answer_fields_;
    for (const http::Field& field : fields) interim_bytes_ += field.name.size() + field.value.size();
    if (++interim_heads_ > interim_heads_max || interim_bytes_ > interim_bytes_max)
        return refuse_answer("the agent sent too many interim answers, or too large ones");
    // 100 is ours to say, and one that cannot be written is no loss.
    if (status != 100 && passed.build(fields, {.origin = origin_, .request_id = request_id_}))
        static_cast<void>(exchange_->interim(status, passed.result()));
}

AnswerContext Call::answer_context() const {
    return {.origin = origin_,
            .request_id = request_id_,
            .app = app_,
            .verdict = verdict_.get(),
            .require_met = requirement_ ? std::string_view(requirement_->met) : std::string_view()};
}

// The first byte of an answer: nothing is sent again.
void Call::answered() {
    head_at_ = std::chrono::steady_clock::now();
    forwarder_.answered(attempt_);
    let_go_of_copy();
}

void Call::on_head(int status, std::span<const http::Field> fields,
                   std::optional<std::uint64_t> content_length, bool end) {
    status_ = status;
    answered();
    // What a GET would have had, where the answer to HEAD says so.
    if (is_head_) content_length = http::content_length(fields);
    AnswerFields& passed = forwarder_.answer_fields_;
    const bool is_built = passed.build(fields, answer_context());
    if (is_built && !websocket_accept_.empty() && status == 200) return become_websocket(passed.result());
    if (!is_built || !exchange_->begin(status, passed.result(), content_length, end))
        return refuse_answer(unwritable_fields);
    begun_ = true;
}

// The agent's backend has switched (RFC 8441 section 5): so does our connection.
void Call::become_websocket(std::span<const http::Field> fields) {
    status_ = 101;
    std::string response =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    bool is_written = http::append_field(response, "Sec-WebSocket-Accept", websocket_accept_);
    for (const http::Field& field : fields)
        is_written = is_written && http::append_field(response, field.name, field.value);
    if (!is_written) return refuse_answer(unwritable_fields);
    response.append("\r\n");
    begun_ = true;
    websocket_ = exchange_->upgrade(response).stream;
    websocket_->set_handler(visitor_side_);
}

// What the agent answers cannot be passed on.
void Call::refuse_answer(std::string_view why) {
    flow_.cancel();
    on_failed({"bad_agent_answer", std::string(why)});
}

void Call::on_body(std::string_view bytes) {
    if (!begun_) return;
    response_bytes_ += bytes.size();
    if (!websocket_) return exchange_->send(bytes);
    flow_.to_visitor(*websocket_, bytes);
}

void Call::on_end(std::span<const http::Field> trailers) {
    if (websocket_) {
        net::Stream::close_in_background(forwarder_.loop_, std::move(websocket_));
    } else if (begun_) {
        AnswerFields& passed = forwarder_.answer_fields_;
        exchange_->finish(passed.build_trailers(trailers, origin_) ? passed.result()
                                                                   : std::span<const http::Field>());
    }
    finish();
}

void Call::on_body_taken(std::size_t bytes) {
    // What came with the head was not handed out in pieces.
    const std::size_t whole = std::min(bytes, whole_body_);
    whole_body_ -= whole;
    bytes -= whole;
    if (bytes == 0) return;
    if (!websocket_) return exchange_->body_consumed(bytes);
    flow_.taken_by_agent(*websocket_, bytes);
}

// The tunnel was lost before a byte of the answer had come, or its agent refused the request, and it may be
// sent again. That is done a moment later: agents of one machine die together, and those that are dead
// already shall be known to be.
bool Call::goes_on_elsewhere(const Error& error) {
    const bool is_lost = error.code == "tunnel_closed" || error.code == "stream_refused";
    if (!is_lost || interim_heads_ > 0 || !kept_ || again_) return false;
    if (attempts_ == 0) return false;  // No agent took it, and nobody hears yet whether the visitor leaves.
    not_agents_.push_back(agent_);
    if (!forwarder_.may_retry(*this)) return false;
    again_ = std::make_unique<net::Timer>(forwarder_.loop_, [this, error] { send_again(error); });
    again_->arm_after(retry_delay);
    return true;
}

void Call::send_again(const Error& lost) {
    if (!forwarder_.send_elsewhere(*this)) return on_failed(lost);
    forwarder_.retried_.add();
}

// A visitor that stalls its own upload, or what it is sent, shall put no agent out of routing.
bool Call::is_agents_failure(const Error& error) const {
    if (error.code == "proxy_timeout") return is_whole_ && !head_at_;
    return error.code != "backend_unreachable" || is_whole_;
}

void Call::on_failed(const Error& error) {
    if (is_agents_failure(error)) forwarder_.failed(attempt_, error.code);
    attempt_ = {};
    if (goes_on_elsewhere(error)) return;
    if (error.code == "stream_refused") return on_failed({"overloaded", error.detail});
    error_ = error.code;
    if (websocket_) {
        websocket_->abort();
    } else if (begun_) {
        exchange_->cut();
    } else {
        status_ = refusal_row(error.code).status;
        const std::size_t body_bytes = forwarder_.refuse_app(
            *exchange_, app_, error,
            {request_id_, retry_after_s_, requirement_.get(), asked_at_, origin_ == Origin::control});
        if (!is_head_) response_bytes_ = body_bytes;
    }
    finish();
}

// ---- From the visitor ----

void Call::visitor_left() {
    // nginx's number for "the client closed the request".
    end_by_visitor(websocket_ ? status_ : 499, "visitor_gone");
}

void Call::end_by_visitor(int status, std::string_view error) {
    if (attempts_ == 0) forwarder_.waiting_.remove(*this);
    if (again_) again_->cancel();
    flow_.cancel();
    status_ = status;
    error_ = error;
    finish();
}

void Call::VisitorSide::on_visitor_gone() {
    call_.visitor_left();
}

std::string Call::VisitorSide::on_visitor_broke(int status, const Error& why) {
    std::string id(call_.request_id_);
    // What it is told by whoever serves the connection.
    if (!call_.begun_) call_.response_bytes_ = http::problem_body(status, why.code, why.detail).size();
    call_.end_by_visitor(call_.begun_ ? call_.status_ : status, why.code);
    return id;
}

void Call::VisitorSide::on_body(std::string_view bytes) {
    call_.request_bytes_ += bytes.size();
    call_.flow_.send(bytes);
}

void Call::VisitorSide::on_body_end(std::span<const http::Field> trailers) {
    call_.is_whole_ = true;
    RequestFields& passed = call_.forwarder_.request_fields_;
    call_.flow_.end(passed.build_trailers(trailers) ? passed.result() : std::span<const http::Field>());
}

void Call::VisitorSide::on_written(std::size_t body_bytes) {
    call_.flow_.consumed(body_bytes);
}

void Call::VisitorSide::on_data(std::span<char> data) {
    on_body({data.data(), data.size()});
    call_.flow_.sent_to_agent(*call_.websocket_, data.size());
}

void Call::VisitorSide::on_progress() {
    call_.flow_.report_taken(*call_.websocket_);
}

// A side that has ended is shut, the other goes on.
bool Call::VisitorSide::on_input_end() {
    has_ended_ = true;
    call_.flow_.end();
    return true;
}

// What the visitor said last may still be on its way: the backend has a while to read it and end the stream.
void Call::VisitorSide::on_closed(const Error& why) {
    // Under TLS the connection ends with the visitor's side.
    if (why.code == "closed" && !has_ended_) on_input_end();
    if (!has_ended_) return call_.visitor_left();
    const Forwarder& forwarder = call_.forwarder_;
    call_.farewell_ = std::make_unique<net::Timer>(forwarder.loop_, [&call = call_] { call.visitor_left(); });
    call_.farewell_->arm_after(forwarder.settings_.farewell_time);
}

// ---- The end ----

void Call::finish() {
    if (farewell_) farewell_->cancel();
    const auto total =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started_at_);
    forwarder_.requests_.count(status_);
    forwarder_.duration_.observe(std::chrono::duration<double>(total).count());
    if (!error_.empty()) forwarder_.refused_.count(error_);
    if (forwarder_.visit_log_.enabled()) {
        const std::string client = client_.to_string();
        forwarder_.visit_log_.append(
            {.time = wall_now(),
             .request_id = request_id_,
             .trace_id = traced_ ? std::string_view(trace_id_.data(), trace_id_.size()) : std::string_view(),
             .client = client,
             .app = app_,
             .agent = agent_,
             .method = method_,
             .path = path_,
             .status = status_,
             .attempts = attempts_,
             .error = error_,
             .request_bytes = request_bytes_,
             .response_bytes = response_bytes_,
             .queue = between(opened_at_, sent_at_),
             .tunnel = rtt_,
             .upstream = between(sent_at_, head_at_),
             .total = total});
    }
    forwarder_.loop_.dispose(std::shared_ptr<Call>(this));
}

}  // namespace ee::proxy

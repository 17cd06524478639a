#include "tunnel/multiplexer_v1.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"
#include "protocol/encoder.h"

namespace ee::tunnel {
namespace {

constexpr std::size_t spare_bytes_max = 64 * 1024;

// Request ids on the wire are stream ids in decimal, without leading zeros.
std::optional<StreamId> parse_request_id(std::string_view text) {
    StreamId id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size() || text.front() == '0') return std::nullopt;
    return id;
}

Error too_large(std::size_t bytes_max) {
    return {"body_too_large",
            fmt::format("the agent takes requests of at most {} bytes, base64 included", bytes_max)};
}

}  // namespace

Result<StreamId> MultiplexerV1::open(const StreamRequest& request, StreamObserver& observer, MonoTime now) {
    if (closed_) return fail(*closed_);
    if (!request.protocol.empty() || request.body_follows)
        return fail("upgrade_unsupported", "a tunnel of version 1 carries whole requests only");
    // Before any copy is made: the body alone may be over the limit.
    if (base64_size(request.body.size()) > limits_.request_text_bytes_max)
        return fail(too_large(limits_.request_text_bytes_max));
    if (streams_.size() >= stream_limit())
        return fail("overloaded",
                    fmt::format("{} requests are unanswered and {} wait", outstanding(), waiting()));

    std::array<char, 20> digits;
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), last_id_ + 1);
    std::string text = std::move(spare_);
    text.clear();
    headers_.clear();
    for (const http::Field& field : request.fields) headers_.push_back({field.name, field.value});
    protocol::append_proxy_request(
        text, {.request_id = std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())),
               .method = request.method,
               .path = request.target,
               .headers = headers_,
               .body = request.body});
    if (text.size() > limits_.request_text_bytes_max) return fail(too_large(limits_.request_text_bytes_max));

    const StreamId id = ++last_id_;
    const MonoTime deadline = now + limits_.answer_time;
    HeldBytes held(limits_.memory);
    held.set(text.size());
    streams_.emplace(id, Stream{State::waiting, &observer, deadline, std::move(text), std::move(held)});
    waiting_.push_back(id);
    if (!earliest_deadline_ || deadline < *earliest_deadline_) earliest_deadline_ = deadline;
    return id;
}

bool MultiplexerV1::next_message(std::string& out) {
    if (waiting_.empty() || outstanding() >= limits_.outstanding_max) return false;
    Stream& stream = streams_.at(waiting_.front());
    waiting_.pop_front();
    stream.state = State::written;
    stream.observer->on_sent();
    out.swap(stream.text);
    // The buffer that came back serves the next request.
    if (stream.text.capacity() > spare_.capacity() && stream.text.capacity() <= spare_bytes_max)
        spare_ = std::move(stream.text);
    stream.text = std::string();
    stream.held.set(0);
    return true;
}

MultiplexerV1::Receipt MultiplexerV1::receive(protocol::ProxyResponse response) {
    const auto id = parse_request_id(response.request_id);
    const auto found = id ? streams_.find(*id) : streams_.end();
    // A request that has not been sent cannot have an answer.
    if (found == streams_.end() || found->second.state == State::waiting) {
        ++unknown_answers_;
        return Receipt::unknown;
    }
    const Stream stream = std::move(found->second);
    streams_.erase(found);
    if (stream.state == State::abandoned) {
        --abandoned_;
        ++late_answers_;
        return Receipt::late;
    }
    if (!response.answer) {
        stream.observer->on_failed(response.answer.error());
    } else if (response.answer->body.size() > limits_.body_bytes_max) {
        stream.observer->on_failed(
            {"bad_agent_answer", fmt::format("the answer has {} bytes, {} are allowed",
                                             response.answer->body.size(), limits_.body_bytes_max)});
    } else {
        deliver(*id, *stream.observer, *response.answer);
    }
    return Receipt::delivered;
}

void MultiplexerV1::deliver(StreamId id, StreamObserver& observer, const protocol::ProxyAnswer& answer) {
    Delivery delivery{.id = id, .cancelled = false, .outer = delivery_};
    delivery_ = &delivery;
    std::vector<http::Field> fields = std::move(fields_);
    fields.clear();
    for (const protocol::HeaderField& header : answer.headers) fields.push_back({header.name, header.value});
    observer.on_head(answer.status, fields, answer.body.size(), answer.body.empty());
    fields_ = std::move(fields);
    if (!delivery.cancelled && !answer.body.empty()) observer.on_body(answer.body);
    if (!delivery.cancelled) observer.on_end({});
    delivery_ = delivery.outer;
}

void MultiplexerV1::cancel(StreamId id) {
    for (Delivery* delivery = delivery_; delivery != nullptr; delivery = delivery->outer)
        if (delivery->id == id) delivery->cancelled = true;
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    if (found->second.state == State::waiting)
        drop_waiting(id);
    else if (found->second.state == State::written)
        abandon(found->second);
}

void MultiplexerV1::drop_waiting(StreamId id) {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), id));
    streams_.erase(id);
}

void MultiplexerV1::abandon(Stream& stream) {
    stream.state = State::abandoned;
    stream.observer = nullptr;
    ++abandoned_;
}

void MultiplexerV1::expire(MonoTime now) {
    if (!earliest_deadline_ || now < *earliest_deadline_) return;
    std::vector<StreamId> ids;
    for (const auto& [id, stream] : streams_)
        if (due(stream) <= now) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    for (const StreamId id : ids) {
        // A callback may have cancelled it meanwhile.
        const auto found = streams_.find(id);
        if (found == streams_.end() || due(found->second) > now) continue;
        if (found->second.state == State::abandoned) {
            streams_.erase(found);
            --abandoned_;
            continue;
        }
        StreamObserver& observer = *found->second.observer;
        const bool sent = found->second.state == State::written;
        if (sent)
            abandon(found->second);
        else
            drop_waiting(id);
        observer.on_failed({"proxy_timeout", sent ? "the agent did not answer in time"
                                                  : "the agent was busy with other requests for too long"});
    }
    earliest_deadline_.reset();
    for (const auto& [id, stream] : streams_)
        if (!earliest_deadline_ || due(stream) < *earliest_deadline_) earliest_deadline_ = due(stream);
}

std::optional<MonoTime> MultiplexerV1::next_deadline() const {
    return earliest_deadline_;
}

void MultiplexerV1::close(const Error& reason) {
    if (closed_) return;
    closed_ = reason;
    earliest_deadline_.reset();
    // One at a time, each out before it is told: a callback may cancel the others.
    while (!streams_.empty()) {
        const auto [id, stream] = std::pair(streams_.begin()->first, std::move(streams_.begin()->second));
        if (stream.state == State::waiting)
            drop_waiting(id);
        else
            streams_.erase(id);
        if (stream.state == State::abandoned)
            --abandoned_;
        else
            stream.observer->on_failed(*closed_);
    }
}

}  // namespace ee::tunnel

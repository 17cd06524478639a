#pragma once
// Pairs requests with the answers that come back on one v1 tunnel.

#include <deque>
#include <string>
#include <unordered_map>

#include "base/body_memory.h"
#include "protocol/limits.h"
#include "protocol/messages.h"
#include "tunnel/multiplexer.h"

namespace ee::tunnel {

struct MultiplexerV1Limits {
    std::size_t outstanding_max = 1;           // max_requests of `register`
    std::chrono::milliseconds answer_time{0};  // for the whole answer, from open() on
    std::size_t waiting_max = 64;
    std::size_t body_bytes_max = 64 * 1024 * 1024;
    std::size_t request_text_bytes_max = protocol::request_text_bytes_max;
    // An abandoned request that is still unanswered this long after its deadline gives its place back: the
    // agent has lost it.
    std::chrono::seconds abandoned_time{60};
    BodyMemory* memory = nullptr;  // Where requests that wait are counted. May be null.
};

class MultiplexerV1 final : public Multiplexer {
public:
    explicit MultiplexerV1(const MultiplexerV1Limits& limits) : limits_(limits) {}
    MultiplexerV1(const MultiplexerV1&) = delete;
    MultiplexerV1& operator=(const MultiplexerV1&) = delete;

    Result<StreamId> open(const StreamRequest& request, StreamObserver& observer, MonoTime now) override;
    // Requests and answers go whole.
    bool streams_bodies() const override { return false; }
    void send_body(StreamId, std::string_view) override {}
    void end_body(StreamId, std::span<const http::Field>) override {}
    void consumed(StreamId, std::size_t) override {}
    void cancel(StreamId id) override;
    void expire(MonoTime now) override;
    std::optional<MonoTime> next_deadline() const override;
    void close(const Error& reason) override;
    std::size_t open_streams() const override { return streams_.size() - abandoned_; }
    std::size_t stream_limit() const override { return limits_.outstanding_max + limits_.waiting_max; }

    // Replaces `out` by the next proxy_request to write, false when there is none or the agent has as many
    // unanswered as it takes. The request counts as sent from here on. Call after other texts (a challenge)
    // were written: they go before waiting requests.
    bool next_message(std::string& out);

    // What became of an answer: of an unknown id, or the late one of a request whose visitor has left, which
    // frees the place it held.
    enum class Receipt { delivered, unknown, late };
    // An answer from the agent. Unknown and late ones are dropped and counted.
    Receipt receive(protocol::ProxyResponse response);

    // Requests sent and not answered, abandoned ones among them.
    std::size_t outstanding() const { return streams_.size() - waiting_.size(); }
    std::size_t waiting() const { return waiting_.size(); }
    std::uint64_t unknown_answers() const { return unknown_answers_; }
    std::uint64_t late_answers() const { return late_answers_; }

private:
    enum class State { waiting, written, abandoned };
    struct Stream {
        State state = State::waiting;
        StreamObserver* observer = nullptr;
        MonoTime deadline;
        std::string text;  // Until it is written.
        HeldBytes held{};
    };
    // A delivery in progress, so that cancel() from a callback stops the callbacks that would follow.
    struct Delivery {
        StreamId id;
        bool cancelled = false;
        Delivery* outer = nullptr;
    };

    void deliver(StreamId id, StreamObserver& observer, const protocol::ProxyAnswer& answer);
    void drop_waiting(StreamId id);
    void abandon(Stream& stream);
    // When something is to be done about a stream that is not answered.
    MonoTime due(const Stream& stream) const {
        return stream.state == State::abandoned ? stream.deadline + limits_.abandoned_time : stream.deadline;
    }

    MultiplexerV1Limits limits_;
    std::unordered_map<StreamId, Stream> streams_;
    std::deque<StreamId> waiting_;
    std::size_t abandoned_ = 0;
    std::optional<MonoTime> earliest_deadline_;  // A lower bound.
    std::optional<Error> closed_;
    Delivery* delivery_ = nullptr;
    StreamId last_id_ = 0;
    std::uint64_t unknown_answers_ = 0;
    std::uint64_t late_answers_ = 0;
    std::string spare_;                          // A buffer to encode the next request into.
    std::vector<protocol::HeaderView> headers_;  // Of the request being encoded.
    std::vector<http::Field> fields_;            // Of the answer being delivered.
};

}  // namespace ee::tunnel

#pragma once
// Readers of GET /v1/events: each has what it asked for, at its own pace. One that does not read holds at
// most 16 KiB, and is cut after a while; it comes back and goes on where it was.

#include <array>
#include <memory>
#include <string>
#include <unordered_map>

#include "events/event_log.h"
#include "http/exchange.h"
#include "net/loop.h"
#include "telemetry/metrics.h"

namespace ee::api {

class EventStreams final : events::EventLog::Follower {
public:
    struct Limits {
        std::size_t streams_max = 64;
        std::size_t waiting_bytes_max = 16 * 1024;  // Of one stream; one message may go over it.
        // A stream with nothing to say says so this often; one that has taken nothing for as long is cut.
        std::chrono::milliseconds heartbeat{15'000};
    };

    EventStreams(net::Loop& loop, events::EventLog& log, telemetry::Metrics& metrics, const Limits& limits);
    EventStreams(net::Loop& loop, events::EventLog& log, telemetry::Metrics& metrics)
        : EventStreams(loop, log, metrics, Limits()) {}
    ~EventStreams();

    const events::EventLog& log() const { return log_; }
    bool is_full() const { return streams_.size() >= limits_.streams_max; }
    std::size_t size() const { return streams_.size(); }

    // Answers with what comes after `position`; false, with nothing sent, when a field cannot be written.
    [[nodiscard]] bool open(http::Exchange& exchange, std::span<const http::Field> fields,
                            std::uint64_t position, events::Filter filter);

    // Who reads may come back, if it still may read.
    void end_all();

private:
    class Stream;
    void on_events() override;
    void remove(Stream& stream);
    // As it is sent. Most readers are at the same place: it is written once for all of them.
    const std::string& text_of(const events::Event& event);

    net::Loop& loop_;
    events::EventLog& log_;
    const Limits limits_;
    telemetry::Gauge& open_;
    telemetry::Counter& cut_;
    std::unordered_map<Stream*, std::shared_ptr<Stream>> streams_;
    struct Written {
        std::uint64_t seq = 0;
        std::string text;
    };
    std::array<Written, 256> written_;  // By the number's remainder.
};

}  // namespace ee::api

#include "api/event_streams.h"

#include <algorithm>

#include "events/sse.h"

namespace ee::api {
namespace {

constexpr std::uint64_t retry_ms = 2000;

}  // namespace

class EventStreams::Stream final : http::ExchangeObserver {
public:
    Stream(EventStreams& all, http::Exchange& exchange, std::uint64_t position, events::Filter filter)
        : all_(all),
          exchange_(exchange),
          position_(position),
          filter_(std::move(filter)),
          heartbeat_(all.loop_, [this] { beat(); }) {
        exchange_.set_observer(this);
        events::append_sse_retry(text_, retry_ms);
        // So that who hears nothing until its connection ends has a number to come back with.
        events::append_sse_position(text_, position_);
        send();
        heartbeat_.arm_after(all_.limits_.heartbeat);
    }

    // As much as may wait.
    void go_on() {
        while (waiting_ + text_.size() < all_.limits_.waiting_bytes_max) {
            const std::uint64_t before = position_;
            const events::EventLog::Next next = all_.log_.next(position_, filter_);
            position_ = next.position;
            if (next.event)
                text_.append(all_.text_of(*next.event));
            else if (next.lost)
                events::append_sse_lost(text_, before, position_ + 1);
            else
                break;
        }
        send();
    }

    void finish() {
        stop();
        exchange_.finish();
    }
    // The exchange is over.
    void stop() { heartbeat_.cancel(); }

private:
    void on_visitor_gone() override { all_.remove(*this); }
    void on_written(std::size_t bytes) override {
        waiting_ -= std::min(waiting_, bytes);
        moved_at_ = all_.loop_.now();
        go_on();
    }

    void send() {
        if (text_.empty()) return;
        if (waiting_ == 0) moved_at_ = all_.loop_.now();
        waiting_ += text_.size();
        exchange_.send(text_);
        text_.clear();
    }

    void beat() {
        if (waiting_ > 0 && all_.loop_.now() - moved_at_ >= all_.limits_.heartbeat) {
            all_.cut_.add();
            exchange_.cut();
            return all_.remove(*this);
        }
        if (waiting_ == 0) {
            events::append_sse_position(text_, position_);
            send();
        }
        heartbeat_.arm_after(all_.limits_.heartbeat);
    }

    EventStreams& all_;
    http::Exchange& exchange_;
    std::uint64_t position_;
    const events::Filter filter_;
    net::Timer heartbeat_;
    std::string text_;
    std::size_t waiting_ = 0;  // Bytes the kernel has not taken.
    MonoTime moved_at_{};      // It took some, or these began to wait.
};

EventStreams::EventStreams(net::Loop& loop, events::EventLog& log, telemetry::Metrics& metrics,
                           const Limits& limits)
    : loop_(loop),
      log_(log),
      limits_(limits),
      open_(metrics.gauge("ee_event_streams", "Readers of GET /v1/events")),
      cut_(metrics.counter("ee_event_streams_cut_total", "Readers of GET /v1/events that took nothing")) {
    log_.follow(*this);
}

EventStreams::~EventStreams() {
    log_.unfollow(*this);
}

bool EventStreams::open(http::Exchange& exchange, std::span<const http::Field> fields, std::uint64_t position,
                        events::Filter filter) {
    if (!exchange.begin(200, fields, std::nullopt)) return false;
    auto stream = std::make_shared<Stream>(*this, exchange, position, std::move(filter));
    Stream& opened = *stream;
    streams_.emplace(&opened, std::move(stream));
    open_.set(static_cast<std::int64_t>(streams_.size()));
    opened.go_on();
    return true;
}

const std::string& EventStreams::text_of(const events::Event& event) {
    Written& written = written_[event.seq % written_.size()];
    if (written.seq != event.seq) {
        written.seq = event.seq;
        written.text.clear();
        events::append_sse(written.text, event);
    }
    return written.text;
}

void EventStreams::on_events() {
    for (const auto& [stream, owner] : streams_) stream->go_on();
}

void EventStreams::end_all() {
    const auto ended = std::exchange(streams_, {});
    open_.set(0);
    for (const auto& [stream, owner] : ended) {
        stream->finish();
        loop_.dispose(owner);
    }
}

// It may be on the stack.
void EventStreams::remove(Stream& stream) {
    const auto found = streams_.find(&stream);
    if (found == streams_.end()) return;
    stream.stop();
    loop_.dispose(std::move(found->second));
    streams_.erase(found);
    open_.set(static_cast<std::int64_t>(streams_.size()));
}

}  // namespace ee::api

#pragma once
// Server-sent events (WHATWG HTML, section 9.2), both ways.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "events/event.h"

namespace ee::events {

inline constexpr std::string_view sse_content_type = "text/event-stream";
// The kind of the message, not of an event, that tells a reader what it has missed.
inline constexpr std::string_view lost_kind = "events_lost";

// Each appends one message.
void append_sse(std::string& out, const Event& event);
// What came after `after` is not kept any more; `oldest` is the first that follows.
void append_sse_lost(std::string& out, std::uint64_t after, std::uint64_t oldest);
// Where the reader is, with nothing to be told: it keeps the number for its next connection.
void append_sse_position(std::string& out, std::uint64_t position);
void append_sse_retry(std::string& out, std::uint64_t milliseconds);

// A `Last-Event-ID`, or what `after` names: decimal digits. nullopt for anything else.
std::optional<std::uint64_t> parse_position(std::string_view text);

// Takes a stream's bytes as they come.
class SseReader {
public:
    struct Message {
        std::string_view kind;
        std::string_view data;
    };
    using OnMessage = std::function<void(const Message&)>;

    explicit SseReader(OnMessage on_message) : on_message_(std::move(on_message)) {}

    // False: a line is over 1 MiB, which nothing of ours is.
    bool feed(std::string_view bytes);
    // Of the last `id`.
    const std::string& last_id() const { return last_id_; }

private:
    void take_line(std::string_view line);

    OnMessage on_message_;
    std::string rest_;  // Of a line whose end has not come.
    std::string kind_, data_;
    std::string id_, last_id_;
};

}  // namespace ee::events

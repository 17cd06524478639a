#pragma once
// One JSON line a proxied request, written in batches.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace ee::telemetry {

// Borrowed for the length of append(). Empty texts and negative durations are left out of the line.
struct AccessRecord {
    WallTime time{};  // When the request arrived.
    std::string_view request_id{};
    std::string_view trace_id{};
    std::string_view client{};
    std::string_view app{};
    std::string_view agent{};
    std::string_view method{};
    std::string_view path{};  // Without the query, which may carry secrets.
    int status = 0;
    int attempts = 0;          // How many agents it was sent to; left out when it was none.
    std::string_view error{};  // The refusal's code when the control plane itself answered.
    std::uint64_t request_bytes = 0;
    std::uint64_t response_bytes = 0;
    std::chrono::microseconds queue{-1};     // Waiting for a place on a tunnel.
    std::chrono::microseconds tunnel{-1};    // The tunnel's last measured round trip.
    std::chrono::microseconds upstream{-1};  // From the request on the tunnel to the answer's head.
    std::chrono::microseconds total{-1};
};

// Belongs to one thread. Lines gather in memory; flush() at the end of a loop turn or on a timer, and
// append() by itself at 64 KiB. A pipe takes about as much at once: whoever flushes looks whether bytes are
// left. When the reader stalls, up to 1 MiB is kept, then lines are dropped and counted.
class AccessLog {
public:
    // Does not own `fd`; -1 turns the log off.
    explicit AccessLog(int fd);
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;
    ~AccessLog() { flush(); }

    bool enabled() const { return fd_ >= 0; }
    void append(const AccessRecord& record);
    // Writes what is there as far as that does not block.
    void flush();
    // The last flush: waits for the reader, so long in all, and drops what it has not taken. Answers how many
    // lines no later one tells of as dropped.
    std::uint64_t finish(std::chrono::milliseconds time_max);

    std::size_t pending_bytes() const { return buffer_.size(); }
    std::uint64_t dropped() const { return dropped_; }

private:
    void append_time(WallTime time);

    int fd_;
    bool is_pipe_ = false;
    std::string buffer_;
    std::uint64_t dropped_ = 0;
    std::int64_t prefix_second_ = -1;  // The second that `prefix_` spells, to the dot: "2026-01-15T10:30:00."
    std::string prefix_;
};

}  // namespace ee::telemetry

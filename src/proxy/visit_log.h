#pragma once
// Lines of the access log about visits to apps, written some at a time.

#include <chrono>
#include <optional>

#include "base/time.h"
#include "net/loop.h"
#include "telemetry/access_log.h"

namespace ee::proxy {

class VisitLog {
public:
    VisitLog(net::Loop& loop, telemetry::AccessLog& log) : log_(log), flush_(loop, [this] { flush(); }) {}

    bool enabled() const { return log_.enabled(); }
    void append(const telemetry::AccessRecord& record) {
        if (!flush_.armed()) flush_.arm_after(delay);
        log_.append(record);
    }

private:
    // How long a line may wait for others.
    static constexpr std::chrono::milliseconds delay{200};
    // What a pipe had no room for: its reader is reading.
    static constexpr std::chrono::milliseconds again{20};

    void flush() {
        const std::size_t before = log_.pending_bytes();
        log_.flush();
        const std::size_t left = log_.pending_bytes();
        if (left > 0) flush_.arm_after(left < before ? again : delay);
    }

    telemetry::AccessLog& log_;
    net::Timer flush_;  // Armed while lines wait: an idle process sleeps.
};

// What the log has for a duration: negative when one of its ends has not come.
inline std::chrono::microseconds between(std::optional<MonoTime> from, std::optional<MonoTime> to) {
    if (!from || !to) return std::chrono::microseconds(-1);
    return std::chrono::duration_cast<std::chrono::microseconds>(*to - *from);
}

}  // namespace ee::proxy

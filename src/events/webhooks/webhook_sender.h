#pragma once
// Sends each event to one receiver, in their order, one at a time, until it is taken or given up. What waits
// is in the log, not here; nobody waits for this.

#include <functional>
#include <optional>
#include <string>

#include "events/event_log.h"
#include "events/webhook_message.h"
#include "events/webhooks/retry_schedule.h"
#include "http/client.h"
#include "net/loop.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace ee::events {

class WebhookSender final : EventLog::Follower {
public:
    struct Settings {
        net::Url url{};
        WebhookKeys keys{};
        std::string log_id{};         // Tells these numbers from another control plane's.
        std::uint64_t delivered = 0;  // The event that was delivered last.
        std::chrono::milliseconds try_time{15'000};
        std::chrono::milliseconds first_retry{5'000};
    };
    // What a message's position becomes once it was taken or given up.
    using OnDelivered = std::function<void(std::uint64_t seq)>;
    // Uniform in [0, 1).
    using Random = std::function<double()>;

    // Begins at once. What is given must outlive this object; `fetch` calls back on `loop`'s thread, and not
    // after this object's end.
    WebhookSender(net::Loop& loop, EventLog& events, http::Fetch fetch, const telemetry::Log& log,
                  telemetry::Metrics& metrics, Settings settings, OnDelivered on_delivered, Random random);
    ~WebhookSender();

private:
    struct Message {
        WebhookMessage content;
        std::uint64_t position = 0;  // Of the reader behind it.
        MonoTime first_try{};
    };

    void on_events() override;
    void send_next();
    void send();
    void answered(const Result<http::ClientAnswer>& answer);
    void failed(const std::string& why, std::optional<std::chrono::seconds> asked_for);
    void done();

    net::Loop& loop_;
    EventLog& events_;
    const http::Fetch fetch_;
    const telemetry::Log& log_;
    const Settings settings_;
    const OnDelivered on_delivered_;
    const Random random_;
    telemetry::Counter& delivered_;
    telemetry::Counter& failed_;
    telemetry::Counter& given_up_;
    telemetry::Gauge& lag_;

    std::uint64_t position_;
    std::optional<Message> message_;  // Being sent, or waiting to be sent again.
    RetrySchedule schedule_;
    bool is_failing_ = false;
    bool is_gone_ = false;  // The receiver wants no more.
    net::Timer again_;
};

}  // namespace ee::events

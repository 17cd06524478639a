#include "events/webhooks/webhook_sender.h"

#include <charconv>

#include <fmt/format.h>

namespace ee::events {
namespace {

// The answer's body says nothing.
constexpr std::size_t answer_bytes_max = 1024 * 1024;

// Retry-After in seconds (RFC 9110 section 10.2.3); dates are passed over.
std::optional<std::chrono::seconds> retry_after(const http::ClientAnswer& answer) {
    const std::string_view text = answer.field("Retry-After").value_or("");
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return std::chrono::seconds(seconds);
}

}  // namespace

WebhookSender::WebhookSender(net::Loop& loop, EventLog& events, http::Fetch fetch, const telemetry::Log& log,
                             telemetry::Metrics& metrics, Settings settings, OnDelivered on_delivered,
                             Random random)
    : loop_(loop),
      events_(events),
      fetch_(std::move(fetch)),
      log_(log),
      settings_(std::move(settings)),
      on_delivered_(std::move(on_delivered)),
      random_(std::move(random)),
      delivered_(metrics.counter("ee_webhook_delivered_total", "Events the webhook's receiver has taken")),
      failed_(metrics.counter("ee_webhook_failed_tries_total", "Tries to deliver an event that failed")),
      given_up_(metrics.counter("ee_webhook_given_up_total", "Events the receiver has not taken for days")),
      lag_(metrics.gauge("ee_webhook_lag_events", "Numbers between the newest event and the last delivered")),
      position_(settings_.delivered),
      schedule_(settings_.first_retry),
      again_(loop, [this] { send(); }) {
    events_.follow(*this);
    send_next();
}

WebhookSender::~WebhookSender() {
    events_.unfollow(*this);
}

void WebhookSender::on_events() {
    lag_.set(static_cast<std::int64_t>(events_.newest() - std::min(position_, events_.newest())));
    if (!message_ && !is_gone_) send_next();
}

void WebhookSender::send_next() {
    const EventLog::Next next = events_.next(position_, {});
    lag_.set(static_cast<std::int64_t>(events_.newest() - std::min(position_, events_.newest())));
    if (!next.event && !next.lost) {
        position_ = next.position;
        return;
    }
    message_ = Message{
        .content = next.event ? webhook_message(*next.event, settings_.log_id)
                              : webhook_lost(position_, next.position + 1, wall_now(), settings_.log_id),
        .position = next.position,
        .first_try = loop_.now()};
    send();
}

void WebhookSender::send() {
    const auto now_s = std::chrono::floor<std::chrono::seconds>(wall_now()).time_since_epoch().count();
    const WebhookMessage& content = message_->content;
    http::ClientRequest request{.url = settings_.url,
                                .method = "POST",
                                .fields = {{"Content-Type", "application/json"},
                                           {"webhook-id", content.id},
                                           {"webhook-timestamp", std::to_string(now_s)},
                                           {"webhook-signature", settings_.keys.sign(content, now_s)}},
                                .body = content.body,
                                .is_path_secret = true,
                                .body_bytes_max = answer_bytes_max,
                                .timeout = settings_.try_time};
    fetch_(std::move(request), [this](const Result<http::ClientAnswer>& answer) { answered(answer); });
}

void WebhookSender::answered(const Result<http::ClientAnswer>& answer) {
    if (!answer) return failed(answer.error().code + ": " + answer.error().detail, std::nullopt);
    if (answer->status == 410) {
        failed_.add();
        is_gone_ = true;
        message_.reset();
        log_.error("webhook.gone",
                   {{"host", settings_.url.host},
                    {"detail", "the receiver answered 410: nothing is sent to it until the next start"}});
        return;
    }
    if (answer->status < 200 || answer->status > 299)
        return failed(fmt::format("status {}", answer->status), retry_after(*answer));
    if (std::exchange(is_failing_, false)) log_.info("webhook.recovered", {{"host", settings_.url.host}});
    delivered_.add();
    schedule_.reset();
    done();
}

void WebhookSender::failed(const std::string& why, std::optional<std::chrono::seconds> asked_for) {
    failed_.add();
    if (!std::exchange(is_failing_, true))
        log_.warn("webhook.failed",
                  {{"host", settings_.url.host}, {"id", message_->content.id}, {"detail", why}});
    if (const auto delay = schedule_.next(loop_.now() - message_->first_try, random_(), asked_for))
        return again_.arm_after(*delay);
    given_up_.add();
    log_.error("webhook.given_up",
               {{"host", settings_.url.host}, {"id", message_->content.id}, {"detail", why}});
    done();
}

void WebhookSender::done() {
    position_ = message_->position;
    message_.reset();
    on_delivered_(position_);
    send_next();
}

}  // namespace ee::events

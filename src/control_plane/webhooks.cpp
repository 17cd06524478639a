#include "control_plane/webhooks.h"

#include "base/big_endian.h"
#include "crypto/digest.h"

namespace ee::control_plane {
namespace {

constexpr std::size_t look_ups_queued_max = 4;

double uniform() {
    return static_cast<double>(from_big_endian(crypto::random_bytes<4>())) / 4294967296.0;
}

}  // namespace

Webhooks::Webhooks(net::Loop& loop, EventRecorder& events, const config::ControlPlaneConfig& config,
                   std::shared_ptr<const net::TlsContext> tls, const std::string& log_id,
                   const telemetry::Log& log, telemetry::Metrics& metrics)
    : loop_(loop) {
    if (!config.webhook_url) return;
    // The settings were checked when they were read.
    events::WebhookSender::Settings settings{
        .url = net::parse_url(*config.webhook_url).value(),
        .keys = events::WebhookKeys::parse(config.webhook_secrets).value(),
        .log_id = log_id};
    look_ups_ = std::make_unique<net::WorkerPool>(1, look_ups_queued_max);
    client_ = std::make_unique<http::Client>(thread_.loop(), *look_ups_, std::move(tls));
    thread_.start();
    // A receiver that is new is told of what happens from now on, after a restart, too.
    const auto before = events.store().delivered();
    settings.delivered = before.value_or(events.log().newest());
    if (!before) events.store().set_delivered(settings.delivered);
    log.info("webhook.started", {{"host", settings.url.host}, {"after", settings.delivered}});
    sender_ = std::make_unique<events::WebhookSender>(
        loop, events.log(),
        [this](http::ClientRequest request, http::OnClientAnswer on_answer) {
            fetch(std::move(request), std::move(on_answer));
        },
        log, metrics, std::move(settings),
        [&store = events.store()](std::uint64_t seq) { store.set_delivered(seq); }, uniform);
}

// First the thread: nothing runs any more on what is destroyed then.
Webhooks::~Webhooks() {
    *alive_ = false;
    thread_.stop();
}

void Webhooks::fetch(http::ClientRequest request, http::OnClientAnswer on_answer) {
    thread_.loop().post([this, request = std::move(request), on_answer = std::move(on_answer)] {
        client_->send(request, [this, on_answer](Result<http::ClientAnswer> answer) {
            loop_.post([alive = alive_, on_answer, answer = std::move(answer)] {
                if (*alive) on_answer(answer);
            });
        });
    });
}

}  // namespace ee::control_plane

#pragma once
// Webhooks as the control plane runs them: the sender follows events on the loop, its requests are made on a
// thread of their own, so that no handshake and no look-up of a name stands in anybody's way.

#include <memory>

#include "config/control_plane_config.h"
#include "control_plane/event_recorder.h"
#include "events/webhooks/webhook_sender.h"
#include "net/loop_thread.h"
#include "net/tls.h"
#include "net/worker_pool.h"

namespace ee::control_plane {

class Webhooks {
public:
    // Without EE_WEBHOOK_URL it does nothing. `tls`: the roots for https. What is given must outlive this
    // object.
    Webhooks(net::Loop& loop, EventRecorder& events, const config::ControlPlaneConfig& config,
             std::shared_ptr<const net::TlsContext> tls, const std::string& log_id, const telemetry::Log& log,
             telemetry::Metrics& metrics);
    ~Webhooks();

private:
    void fetch(http::ClientRequest request, http::OnClientAnswer on_answer);

    net::Loop& loop_;
    const std::shared_ptr<bool> alive_ =
        std::make_shared<bool>(true);  // The loop's thread alone looks at it.
    net::LoopThread thread_;
    std::unique_ptr<net::WorkerPool> look_ups_;  // of names
    std::unique_ptr<http::Client> client_;       // on the thread
    std::unique_ptr<events::WebhookSender> sender_;
};

}  // namespace ee::control_plane

#pragma once
// The proxy listener: every request names an app and goes to one of its agents.

#include "crypto/random_pool.h"
#include "http/exchange.h"
#include "proxy/forwarder.h"
#include "telemetry/metrics.h"

namespace ee::proxy {

class ProxyHandler final : public http::RequestHandler {
public:
    ProxyHandler(Forwarder& forwarder, telemetry::Metrics& metrics);

    http::BodyTerms body_terms(const http::RequestHead& head, const net::Endpoint& peer) override;
    void on_request(http::Exchange& exchange) override;
    std::string on_refused(const http::Refusal& refusal) override;

private:
    Forwarder& forwarder_;
    telemetry::CounterFamily& refused_;
    crypto::RandomPool random_;
    std::string request_id_;  // Of the request being served, where it is ours.
};

}  // namespace ee::proxy

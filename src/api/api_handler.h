#pragma once
// The control listener: finds the route, checks the caller, serves.

#include "api/routes.h"
#include "api/services.h"
#include "crypto/random_pool.h"

namespace ee::api {

class ApiHandler final : public http::RequestHandler {
public:
    explicit ApiHandler(Services& services);

    http::BodyTerms body_terms(const http::RequestHead& head, const net::Endpoint& peer) override;
    void on_request(http::Exchange& exchange) override;
    std::string on_refused(const http::Refusal& refusal) override;

private:
    Services& services_;
    crypto::RandomPool random_;
    std::string request_id_;  // Of the request being served, where it is ours.
    telemetry::CounterFamily& refused_;
    telemetry::Counter& requests_;
};

}  // namespace ee::api

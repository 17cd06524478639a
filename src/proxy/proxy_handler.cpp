#include "proxy/proxy_handler.h"

namespace ee::proxy {

ProxyHandler::ProxyHandler(Forwarder& forwarder, telemetry::Metrics& metrics)
    : forwarder_(forwarder),
      refused_(metrics.counter_family("ee_http_refused_total", "Requests the HTTP codec refused, by reason",
                                      "reason")) {}

http::BodyTerms ProxyHandler::body_terms(const http::RequestHead& head, const net::Endpoint& peer) {
    const TrustSettings& trust = forwarder_.settings().trust;
    const Visitor visitor = identify_visitor(head, peer, trust);
    const auto app = select_app(head, visitor.peer_trusted, trust);
    return forwarder_.body_terms(app ? std::string_view(*app) : std::string_view(), head, visitor.client);
}

void ProxyHandler::on_request(http::Exchange& exchange) {
    const http::RequestHead& head = exchange.head();
    const Visitor visitor = identify_visitor(head, exchange.peer(), forwarder_.settings().trust);
    const auto app = select_app(head, visitor.peer_trusted, forwarder_.settings().trust);
    const std::string_view request_id = request_id_of(head, random_, request_id_);
    const ForwardRequest request{.visitor = visitor,
                                 .request_id = request_id,
                                 .app = app ? std::string_view(*app) : std::string_view(),
                                 .method = head.method,
                                 .target = head.origin_form,
                                 .fields = head.fields,
                                 .body = exchange.body(),
                                 .body_follows = exchange.body_follows()};
    if (!app) return forwarder_.refuse(exchange, request, app.error());
    forwarder_.forward(exchange, request);
}

std::string ProxyHandler::on_refused(const http::Refusal& refusal) {
    refused_.count(refusal.why.code);
    const TrustSettings& trust = forwarder_.settings().trust;
    std::string app;
    if (refusal.head != nullptr) {
        const Visitor visitor = identify_visitor(*refusal.head, refusal.peer, trust);
        app = select_app(*refusal.head, visitor.peer_trusted, trust).value_or("");
    }
    return forwarder_.record(refusal, app);
}

}  // namespace ee::proxy

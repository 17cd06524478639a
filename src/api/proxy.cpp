// Requests to apps by way of the control listener: POST /v1/proxy/{app} forwards the request that its body
// describes, ANY /v1/proxy/{app}/{path} is forwarded itself. Both answer with the app's own answer.

#include "api/app_fields.h"
#include "api/proxy_envelope.h"
#include "api/routes.h"
#include "http/fields.h"
#include "proxy/forwarder.h"
#include "proxy/requirement.h"

namespace ee::api {

void post_proxy(Request& request) {
    Services& services = request.services;
    const http::RequestHead& head = request.exchange.head();
    const proxy::ForwardRequest as_sent{.visitor = request.visitor,
                                        .request_id = request.request_id,
                                        .app = request.parameters[0],
                                        .method = head.method,
                                        .target = head.origin_form,
                                        .fields = head.fields,
                                        .body = request.exchange.body(),
                                        .origin = proxy::Origin::control};
    if (services.forwarder.refuse_exceeded(request.exchange, as_sent)) return;
    const auto envelope = parse_proxy_envelope(as_sent.body, services.body_bytes_max);
    if (!envelope) {
        services.refusals.count(envelope.error().code, request.route, request.visitor.client, wall_now());
        return services.forwarder.refuse(request.exchange, as_sent, envelope.error());
    }
    std::vector<http::Field> described;
    // What the caller asks of the agent may stand outside, too: it is one requirement.
    for (const http::Field& field : head.fields)
        if (http::iequals(field.name, proxy::require_field)) described.push_back(field);
    described.insert(described.end(), envelope->headers.begin(), envelope->headers.end());
    const AppFields fields(described, services.access);
    services.forwarder.forward(request.exchange, {.visitor = request.visitor,
                                                  .request_id = request.request_id,
                                                  .app = request.parameters[0],
                                                  .method = envelope->method,
                                                  .target = envelope->path,
                                                  .fields = fields.get(),
                                                  .body = envelope->body,
                                                  .origin = proxy::Origin::control,
                                                  .described = true});
}

// The target from the '/' behind the app's name on, byte for byte: what is encoded stays so, and dot segments
// are the app's to make sense of, as they are at the proxy listener.
void any_proxy(Request& request) {
    Services& services = request.services;
    const http::RequestHead& head = request.exchange.head();
    const std::size_t target_at = static_cast<std::size_t>(request.rest.data() - head.origin_form.data());
    const AppFields fields(head.fields, services.access);
    services.forwarder.forward(request.exchange, {.visitor = request.visitor,
                                                  .request_id = request.request_id,
                                                  .app = request.parameters[0],
                                                  .method = head.method,
                                                  .target = head.origin_form.substr(target_at),
                                                  .fields = fields.get(),
                                                  .body = request.exchange.body(),
                                                  .body_follows = request.exchange.body_follows(),
                                                  .origin = proxy::Origin::control});
}

}  // namespace ee::api

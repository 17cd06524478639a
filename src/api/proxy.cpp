// POST /v1/proxy/{app}: forwards the request that the body describes and answers with the app's own answer.

#include "api/proxy_envelope.h"
#include "api/routes.h"
#include "http/fields.h"

namespace ee::api {

void post_proxy(Request& request) {
    Services& services = request.services;
    auto envelope = parse_proxy_envelope(request.exchange.body(), services.body_bytes_max);
    if (!envelope) return request.refuse(envelope.error());
    // A caller's credential for us is none of the app's business.
    std::erase_if(envelope->headers, [&](const http::OwnedField& field) {
        return http::iequals(field.name, "authorization") && services.access.is_own_token(field.value);
    });
    const std::vector<http::Field> fields(envelope->headers.begin(), envelope->headers.end());
    services.forwarder.forward(request.exchange, {.visitor = request.visitor,
                                                  .request_id = request.request_id,
                                                  .app = request.parameters[0],
                                                  .method = envelope->method,
                                                  .target = envelope->path,
                                                  .fields = fields,
                                                  .body = envelope->body,
                                                  .origin = proxy::Origin::control});
}

}  // namespace ee::api

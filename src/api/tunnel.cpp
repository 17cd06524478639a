// GET /v1/tunnel: the upgrade with which an agent's tunnel begins.

#include "api/routes.h"
#include "http/websocket_handshake.h"
#include "tunnel/tunnels.h"

namespace ee::api {

void get_tunnel(Request& request) {
    if (request.services.readiness().draining)
        return request.refuse({"not_ready", "the control plane is shutting down"});
    if (const auto accepted = request.services.tunnels.accept(request.exchange, request.visitor.client);
        !accepted)
        request.refuse(accepted.error(), http::websocket_refusal_fields());
}

}  // namespace ee::api

// GET /v1/tunnel: the upgrade with which an agent's tunnel begins.

#include "api/routes.h"

namespace ee::api {

void get_tunnel(Request& request) {
    if (request.services.readiness().draining)
        return request.refuse({"not_ready", "the control plane is shutting down"});
    request.services.tunnels.accept(request.exchange, request.client);
}

}  // namespace ee::api

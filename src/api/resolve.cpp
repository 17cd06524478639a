// GET /v1/resolve/{app}, GET /v1/authz/{app}: may traffic go to this app? Front ends ask for every request.

#include "api/routes.h"
#include "proxy/forwarder.h"
#include "registry/resolution_json.h"

namespace ee::api {

void get_resolve(Request& request) {
    const Services& services = request.services;
    const auto resolution = services.registry.resolve(request.parameters[0], services.now());
    if (!resolution) return request.refuse({"unknown_app", "no app is called " + request.parameters[0]});
    request.reply_json(resolution->allowed ? 200 : 403,
                       registry::resolution_json(*resolution, services.forwarder.settings().names));
}

// For front ends that know two answers only, such as nginx' auth_request: an app that nobody knows is 403
// too.
void get_authz(Request& request) {
    const Services& services = request.services;
    const auto status = services.registry.status(request.parameters[0], services.now());
    request.reply(status && is_routable(*status) ? 204 : 403, {}, {});
}

}  // namespace ee::api

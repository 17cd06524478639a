// GET /openapi.yaml: the machine-readable contract, as built in.

#include "api/openapi_text.h"
#include "api/routes.h"

namespace ee::api {

void get_openapi(Request& request) {
    request.reply(200, "application/yaml", openapi_text());
}

}  // namespace ee::api

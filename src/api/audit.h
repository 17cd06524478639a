#pragma once
// Calls that change something outside the ledger are in its log before they take effect.

#include <functional>

#include "api/request.h"

namespace ee::api {

// Writes down that the caller makes this call, then goes on with it on the loop. Where that can't be written,
// the call is refused, and nothing is done. Of the request's views only `parameters` outlive the wait:
// whatever else `then` needs has been read before. For a visitor who leaves meanwhile nothing is done.
void audited(Request& request, std::function<void(Request&)> then);

}  // namespace ee::api

#pragma once
// Calls that change something outside the ledger are in its log before they take effect.

#include <functional>
#include <string>

#include "api/request.h"

namespace ee::api {

// Writes down that the caller makes this call, then goes on with it on the loop. Where that can't be written,
// the call is refused, and nothing is done. Of the request's views only `parameters` outlive the wait:
// whatever else `then` needs has been read before. For a visitor who leaves meanwhile nothing is done.
void audited(Request& request, std::function<void(Request&)> then);

// The same of an admin's call with this Idempotency-Key; empty: without one. Made again it is not written
// down again, and is answered what the first was, if that has kept its answer; else it goes on: the first has
// not come so far. `idempotency_key_reused`: the key was another call's.
void audited_once(Request& request, const std::string& key, std::function<void(Request&)> then);

}  // namespace ee::api

#pragma once
// The codes the ledger refuses with, and the status that answers each over HTTP (spec: http-api,
// "Conventions").

#include <string_view>

namespace ee::ledger {

// 0: no code of the ledger's. A code may end in ":<suffix>".
int status_of_refusal(std::string_view code);

// 409: what the books say against it. Such a refusal is remembered under the request's key, so that a retry
// after they have changed is still refused (invariant I4).
inline bool is_business_refusal(std::string_view code) {
    return status_of_refusal(code) == 409;
}

}  // namespace ee::ledger

#pragma once
// Which HTTP status each reason for not serving a request gets.

#include <string_view>

namespace ee::proxy {

struct RefusalRow {
    int status;
    bool retry;         // Carries Retry-After: waiting may help.
    bool resolve_body;  // Answers the resolve body in place of a problem.
};

// 502 for a code that has no row.
RefusalRow refusal_row(std::string_view code);

}  // namespace ee::proxy

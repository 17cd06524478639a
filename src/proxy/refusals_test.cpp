#include "proxy/refusals.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

TEST(Refusals, EveryReasonHasItsStatus) {
    struct Row {
        const char* code;
        int status;
        bool retry;
        bool resolve_body;
    };
    const Row rows[] = {
        {"missing_app", 400, false, false},
        {"bad_request", 400, false, false},
        {"invalid_json", 400, false, false},
        {"invalid_field:headers", 422, false, false},
        {"unknown_field:x", 422, false, false},
        {"unknown_app", 404, false, false},
        {"expired", 403, false, true},
        {"unattested", 403, false, true},
        {"banned", 403, false, true},
        {"no_stake", 403, false, true},
        {"unfunded", 403, false, true},
        {"body_too_large", 413, false, false},
        {"rate_limited", 429, true, false},
        {"upgrade_unsupported", 501, false, false},
        {"offline", 503, true, false},
        {"unhealthy", 503, true, false},
        {"draining", 503, true, false},
        {"overloaded", 503, true, false},
        {"proxy_timeout", 504, false, false},
        {"tunnel_closed", 502, false, false},
        {"backend_unreachable", 502, false, false},
        {"bad_agent_answer", 502, false, false},
        {"never_heard_of", 502, false, false},
    };
    for (const Row& row : rows) {
        const RefusalRow found = refusal_row(row.code);
        EXPECT_EQ(found.status, row.status) << row.code;
        EXPECT_EQ(found.retry, row.retry) << row.code;
        EXPECT_EQ(found.resolve_body, row.resolve_body) << row.code;
    }
}

}  // namespace
}  // namespace ee::proxy

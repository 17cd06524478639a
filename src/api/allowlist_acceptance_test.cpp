#include "api/allowlist_acceptance.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::api {
namespace {

const std::string digest(64, 'a');

TEST(AllowlistAcceptance, NamesTheReleaseAndTheDigest) {
    const auto body = parse_allowlist_acceptance(R"({"sha256":")" + digest + R"(","release_tag":"v1/a b"})");
    ASSERT_TRUE(body) << body.error().code;
    EXPECT_EQ(body->release_tag, "v1/a b");
    EXPECT_EQ(to_hex(body->sha256), digest);
}

TEST(AllowlistAcceptance, EveryOtherBodyIsRefused) {
    const std::string good = R"("release_tag":"v1","sha256":")" + digest + "\"";
    const std::pair<std::string, const char*> rows[] = {
        {"{", "invalid_json"},
        {"[]", "invalid_json"},
        {"null", "invalid_json"},
        {"{" + good + "} x", "invalid_json"},
        {"{\"x\":" + std::string(40, '[') + std::string(40, ']') + "}", "invalid_json"},
        {"", "missing_fields"},
        {"{}", "missing_fields"},
        {R"({"release_tag":"v1"})", "missing_fields"},
        {R"({"sha256":")" + digest + "\"}", "missing_fields"},
        {"{" + good + R"(,"repo":"org/repo"})", "unknown_field:repo"},
        {"{" + good + R"(,"release_tag":"v1"})", "invalid_field:release_tag"},
        {R"({"release_tag":1,"sha256":")" + digest + "\"}", "invalid_field:release_tag"},
        {R"({"release_tag":1e400,"sha256":")" + digest + "\"}", "invalid_field:release_tag"},
        {R"({"release_tag":"v1","sha256":99999999999999999999})", "invalid_field:sha256"},
        {R"({"release_tag":"","sha256":")" + digest + "\"}", "invalid_field:release_tag"},
        {R"({"release_tag":"../v1","sha256":")" + digest + "\"}", "invalid_field:release_tag"},
        {R"({"release_tag":"v1","sha256":null})", "missing_fields"},
        {R"({"release_tag":"v1","sha256":"aa"})", "invalid_field:sha256"},
        {R"({"release_tag":"v1","sha256":"sha256:)" + digest + "\"}", "invalid_field:sha256"},
    };
    for (const auto& [json, code] : rows) {
        const auto body = parse_allowlist_acceptance(json);
        ASSERT_FALSE(body) << json;
        EXPECT_EQ(body.error().code, code) << json;
    }
}

}  // namespace
}  // namespace ee::api

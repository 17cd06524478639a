#include "proxy/kept_request.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

TEST(KeptRequest, MethodsThatMeanTheSameTwice) {
    for (const char* method : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
        EXPECT_TRUE(is_idempotent(method)) << method;
    for (const char* method : {"POST", "PATCH", "CONNECT", "get", "", "PROPFIND"})
        EXPECT_FALSE(is_idempotent(method)) << method;
}

TEST(KeptRequest, OutlivesWhatItWasMadeFromAndKnowsWhereTheHostGoes) {
    BodyMemory memory(1000);
    std::unique_ptr<KeptRequest> kept;
    {
        const std::string method = "PUT", target = "/a?b", body(100, 'b'), authority = "myapp.example",
                          name = "X-Name", value = "its value", host = "MyApp.example";
        const http::Field fields[] = {{name, value}, {"host", host}};
        kept = std::make_unique<KeptRequest>();
        kept->keep({.method = method,
                    .target = target,
                    .fields = fields,
                    .body = body,
                    .content_length = 100,
                    .scheme = "http",
                    .authority = authority},
                   host, &memory);
    }
    EXPECT_EQ(memory.held(), 100u);
    const tunnel::StreamRequest v2 = kept->request(true);
    EXPECT_EQ(v2.method, "PUT");
    EXPECT_EQ(v2.target, "/a?b");
    EXPECT_EQ(v2.body, std::string(100, 'b'));
    EXPECT_EQ(v2.content_length, 100u);
    EXPECT_EQ(v2.scheme, "http");
    EXPECT_EQ(v2.authority, "myapp.example");
    EXPECT_EQ(v2.protocol, "");
    EXPECT_FALSE(v2.body_follows);
    ASSERT_EQ(v2.fields.size(), 1u);
    EXPECT_EQ(v2.fields[0], (http::Field{"X-Name", "its value"}));
    const tunnel::StreamRequest v1 = kept->request(false);
    ASSERT_EQ(v1.fields.size(), 2u);
    EXPECT_EQ(v1.fields[0], (http::Field{"Host", "MyApp.example"}));
    kept.reset();
    EXPECT_EQ(memory.held(), 0u);
}

TEST(KeptRequest, LargeHeadsCountAsBodiesDo) {
    BodyMemory memory(1'000'000);
    const std::string usual(usual_head_bytes_max - 10, 'u'), large(usual_head_bytes_max, 'l');
    KeptRequest small, big;
    small.keep({.method = "GET", .target = usual}, "", &memory);
    EXPECT_EQ(memory.held(), 0u);
    big.keep({.method = "GET", .target = large}, "", &memory);
    EXPECT_GT(memory.held(), usual_head_bytes_max);
}

TEST(KeptRequest, WithoutAHostThereIsNone) {
    KeptRequest kept;
    kept.keep({.method = "GET", .target = "/", .authority = "myapp"}, "", nullptr);
    EXPECT_TRUE(kept.request(false).fields.empty());
    EXPECT_TRUE(kept.request(true).fields.empty());
}

TEST(KeptRequest, WhatIsGivenBackIsUsedAgainAndHoldsNothing) {
    BodyMemory memory(1000);
    KeptRequests spare;
    auto kept = spare.take();
    const http::Field field{"X-Name", "value"};
    kept->keep({.method = "PUT", .target = "/a", .fields = {&field, 1}, .body = "body"}, "host", &memory);
    const KeptRequest* const first = kept.get();
    spare.give_back(std::move(kept));
    EXPECT_EQ(memory.held(), 0u);
    kept = spare.take();
    EXPECT_EQ(kept.get(), first);
    kept->keep({.method = "GET", .target = "/b"}, "", &memory);
    EXPECT_EQ(kept->request(false).target, "/b");
    EXPECT_EQ(kept->request(false).body, "");
    EXPECT_TRUE(kept->request(false).fields.empty());
}

}  // namespace
}  // namespace ee::proxy

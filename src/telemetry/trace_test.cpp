#include "telemetry/trace.h"

#include <gtest/gtest.h>

namespace ee::telemetry {
namespace {

constexpr std::string_view example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceParent, TheExampleOfTheRecommendationSurvivesARoundTrip) {
    const auto context = parse_traceparent(example);
    ASSERT_TRUE(context);
    EXPECT_EQ(context->trace_id[0], 0x0a);
    EXPECT_EQ(context->trace_id[15], 0x9c);
    EXPECT_EQ(context->parent_id[0], 0xb7);
    EXPECT_EQ(context->flags, 1);
    EXPECT_EQ(to_traceparent(*context), example);
    EXPECT_EQ(to_traceparent(*context).size(), traceparent_size);
}

TEST(TraceParent, WhatMustBeIgnoredIsIgnored) {
    const std::string_view cases[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "FF-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    };
    for (const std::string_view text : cases) EXPECT_FALSE(parse_traceparent(text)) << text;
}

TEST(TraceParent, ALaterVersionIsReadAsFarAsThisOneGoes) {
    const auto context =
        parse_traceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future");
    ASSERT_TRUE(context);
    EXPECT_EQ(to_traceparent(*context), example);
    EXPECT_TRUE(parse_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
}

TEST(TraceParent, UnknownFlagsAreNotPassedOn) {
    const auto context = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe");
    ASSERT_TRUE(context);
    EXPECT_EQ(to_traceparent(*context), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
}

TEST(TraceParent, ANewTraceIsMadeOfTheRandomBytes) {
    ByteArray<24> random;
    for (std::size_t i = 0; i < random.size(); ++i) random[i] = static_cast<std::uint8_t>(i + 1);
    EXPECT_EQ(to_traceparent(begin_trace(random)), "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00");
    EXPECT_TRUE(parse_traceparent(to_traceparent(begin_trace(ByteArray<24>{}))))
        << "no random bytes make an invalid id";
}

TEST(TraceParent, AContinuedTraceKeepsItsIdAndFlags) {
    const auto incoming = parse_traceparent(example);
    ASSERT_TRUE(incoming);
    EXPECT_EQ(to_traceparent(continue_trace(*incoming, {1, 2, 3, 4, 5, 6, 7, 8})),
              "00-0af7651916cd43dd8448eb211c80319c-0102030405060708-01");
    EXPECT_TRUE(parse_traceparent(to_traceparent(continue_trace(*incoming, {}))));
}

TEST(RequestId, IsSaneWhenShortAndPlain) {
    for (const std::string& text : {std::string("a"), std::string("3f2b:x.Y_z-1"), std::string(128, 'a')})
        EXPECT_TRUE(is_sane_request_id(text)) << text;
    for (const std::string& text :
         {std::string(), std::string(129, 'a'), std::string("a b"), std::string("a\r\nX: y"),
          std::string("<script>"), std::string("\xc3\xa4"), std::string("a\0b", 3)})
        EXPECT_FALSE(is_sane_request_id(text)) << text;
}

TEST(RequestId, IsMadeOfTheRandomBytes) {
    const std::string id = make_request_id({0xab, 1});
    EXPECT_EQ(id, "ab010000000000000000000000000000");
    EXPECT_TRUE(is_sane_request_id(id));
}

}  // namespace
}  // namespace ee::telemetry

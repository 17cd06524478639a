#include "proxy/rate_limits.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;
using Limit = RateLimits::Limit;
using Passes = std::vector<Buckets::Pass>;

constexpr MonoTime start{1000h};
const ByteArray<16> secret{1, 2, 3};

IpAddress ip(std::string_view text) {
    return *IpAddress::parse(text);
}

// How many of `wanted` requests of one key pass at one moment, and end at once.
std::uint32_t pass(Buckets& buckets, std::uint64_t key, MonoTime now, std::uint32_t wanted) {
    std::uint32_t passed = 0;
    for (std::uint32_t i = 0; i < wanted; ++i) passed += buckets.take(key, now).has_value();
    return passed;
}

TEST(RateLimits, ABucketHoldsASecondsWorthAndFillsAtItsRate) {
    struct Row {
        std::chrono::milliseconds at;
        std::uint32_t wanted, passed;
    };
    struct Case {
        std::uint32_t per_second;
        std::vector<Row> rows;
    };
    const Case cases[] = {
        // Few a second: ten at once all the same.
        {2, {{0ms, 11, 10}, {499ms, 1, 0}, {500ms, 2, 1}, {1000ms, 2, 1}, {4000ms, 9, 6}, {60s, 11, 10}}},
        {100, {{0ms, 150, 100}, {10ms, 5, 1}, {15ms, 5, 0}, {20ms, 5, 1}, {520ms, 60, 50}, {2s, 150, 100}}},
        // Steady at the rate: all pass.
        {1, {{0s, 10, 10}, {1s, 1, 1}, {2s, 1, 1}, {3s, 1, 1}, {4s, 2, 1}}},
        {1'000'000, {{0ms, 1'000'100, 1'000'000}, {1ms, 1100, 1000}}},
    };
    for (const Case& one : cases) {
        Buckets buckets(8);
        buckets.set_rate(one.per_second);
        for (const Row& row : one.rows)
            EXPECT_EQ(pass(buckets, 7, start + row.at, row.wanted), row.passed)
                << one.per_second << " a second, at " << row.at.count() << " ms";
    }
}

TEST(RateLimits, SaysWhenTheNextTokenComes) {
    Buckets buckets(8);
    buckets.set_rate(1);
    EXPECT_EQ(pass(buckets, 7, start, 10), 10u);
    for (const auto& [at, retry_after] : {std::pair{0ms, 1u}, {500ms, 1u}, {999ms, 1u}})
        EXPECT_EQ(buckets.take(7, start + at).error().retry_after_s, retry_after);
    EXPECT_TRUE(buckets.take(7, start + 1s));
    // A debt from before the rate was lowered is waited for.
    buckets.set_rate(100);
    EXPECT_EQ(pass(buckets, 8, start, 100), 100u);
    buckets.set_rate(1000);
    buckets.set_rate(1);
    EXPECT_EQ(pass(buckets, 9, start, 10), 10u);
    buckets.set_rate(1000);
    const auto late = buckets.take(9, start);
    ASSERT_FALSE(late);
    EXPECT_TRUE(late.error().is_rate);
    EXPECT_EQ(late.error().retry_after_s, 10u);  // Ten seconds' tokens, of which one second's may be taken.
}

TEST(RateLimits, ARefusedRequestCostsNothing) {
    Buckets buckets(8);
    buckets.set_rate(10);
    EXPECT_EQ(pass(buckets, 7, start, 1000), 10u);
    EXPECT_EQ(pass(buckets, 7, start + 100ms, 1000), 1u);
}

TEST(RateLimits, OpenRequestsAreBoundedToo) {
    Buckets buckets(8);
    buckets.set_rate(20);
    Passes open;
    MonoTime now = start;
    for (std::uint32_t i = 0; i < streams_of(20); ++i, now += 50ms) {
        auto taken = buckets.take(7, now);
        ASSERT_TRUE(taken) << i;
        open.push_back(std::move(*taken));
    }
    const auto refused = buckets.take(7, now + 1h);
    ASSERT_FALSE(refused);
    EXPECT_FALSE(refused.error().is_rate);
    EXPECT_TRUE(buckets.take(8, now));  // Others are not concerned.
    open.pop_back();
    EXPECT_TRUE(buckets.take(7, now + 1h));
    Passes moved = std::move(open);
    EXPECT_EQ(moved.size() + 1, streams_of(20));
    moved.clear();
    EXPECT_EQ(pass(buckets, 7, now + 2h, 30), 20u);
}

TEST(RateLimits, NobodysBucketIsResetByOthers) {
    Buckets buckets(8);  // One set: all keys look in the same places.
    buckets.set_rate(10);
    EXPECT_EQ(pass(buckets, 1, start, 10), 10u);
    for (std::uint64_t key = 2; key < 10'000; ++key) static_cast<void>(buckets.take(key, start));
    EXPECT_EQ(pass(buckets, 1, start, 1), 0u);
    EXPECT_EQ(pass(buckets, 1, start + 100ms, 2), 1u);
    // Nor while one request of it is open, however long it takes.
    auto open = buckets.take(1, start + 10s);
    ASSERT_TRUE(open);
    for (std::uint64_t key = 2; key < 10'000; ++key) static_cast<void>(buckets.take(key, start + 20s));
    *open = {};
    EXPECT_EQ(pass(buckets, 1, start + 20s, 11), 10u);
}

TEST(RateLimits, NewcomersShareOneBucketWhereNoPlaceIsLeft) {
    Buckets buckets(8);
    buckets.set_rate(10);
    Passes open;
    for (std::uint64_t key = 1; key <= 8; ++key) open.push_back(std::move(*buckets.take(key, start)));
    std::uint32_t passed = 0;
    for (std::uint64_t key = 100; key < 10'100; ++key) passed += pass(buckets, key, start, 1);
    EXPECT_EQ(passed, burst_of(10));
    EXPECT_EQ(pass(buckets, 1, start, 20), 9u);  // Who has a place keeps it.
    open.clear();
    // A place is free again once its bucket is full.
    EXPECT_EQ(pass(buckets, 200, start + 2s, 20), 10u);
    EXPECT_EQ(pass(buckets, 201, start + 2s, 20), 10u);
}

TEST(RateLimits, ManyKeysFindPlacesOfTheirOwn) {
    RateLimits limits({.client_rps = 1}, secret);
    std::vector<RateLimits::Taken> open;
    std::uint32_t passed = 0;
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        ByteArray<16> bytes{0x20, 0x01, 0x0d, 0xb8};
        bytes[6] = static_cast<std::uint8_t>(i >> 8);
        bytes[7] = static_cast<std::uint8_t>(i);
        open.push_back(limits.take_client(IpAddress(bytes), start));
        passed += open.back().has_value();
    }
    EXPECT_EQ(passed, 20'000u);
}

TEST(RateLimits, AClientIsAnAddressOrANetworkOfIpv6) {
    struct Row {
        const char* first;
        const char* second;
        bool same;
    };
    const Row rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"::1", "192.0.2.1", false},
        {"::ffff:c000:201", "0:0:c000:201::", false},
    };
    for (const Row& row : rows) {
        RateLimits limits({.client_rps = 1}, secret);
        for (int i = 0; i < 10; ++i) EXPECT_TRUE(limits.take_client(ip(row.first), start));
        EXPECT_EQ(limits.take_client(ip(row.second), start).has_value(), !row.same)
            << row.first << " " << row.second;
    }
}

TEST(RateLimits, EveryLimitIsToldApart) {
    RateLimits limits({.client_rps = 1, .app_rps = 2}, secret);
    std::vector<RateLimits::Taken> open;
    MonoTime now = start;
    const auto refused = [&](auto take) {
        RateLimits::Taken taken = take();
        while (taken) {
            open.push_back(std::move(taken));
            taken = take();
        }
        EXPECT_GE(taken.error().retry_after_s, 1u);
        EXPECT_FALSE(taken.error().detail.empty());
        return std::string(to_word(taken.error().limit));
    };
    EXPECT_EQ(refused([&] { return limits.take_client(ip("192.0.2.1"), now); }), "client_rate");
    EXPECT_EQ(refused([&] { return limits.take_app("myapp", now); }), "app_rate");
    EXPECT_EQ(refused([&] { return limits.take_client(ip("192.0.2.1"), now += 1s); }), "client_streams");
    EXPECT_EQ(refused([&] { return limits.take_app("myapp", now += 1s); }), "app_streams");
    EXPECT_TRUE(limits.take_app("other", now));
}

TEST(RateLimits, AreOffUnlessSetAndMayChangeWhileRequestsAreOpen) {
    RateLimits limits({}, secret);
    std::vector<RateLimits::Taken> open;
    const auto take = [&](std::uint32_t wanted, MonoTime now) {
        std::uint32_t passed = 0;
        for (std::uint32_t i = 0; i < wanted; ++i) {
            open.push_back(limits.take_client(ip("192.0.2.1"), now));
            passed += open.back().has_value() && limits.take_app("myapp", now).has_value();
        }
        return passed;
    };
    EXPECT_EQ(take(1000, start), 1000u);
    limits.set({.client_rps = 5});
    EXPECT_EQ(take(1000, start), 10u);
    limits.set({});
    EXPECT_EQ(take(1000, start), 1000u);
    open.clear();  // Of all times: only what was counted is uncounted.
    limits.set({.client_rps = 5, .app_rps = 1'000'000});
    EXPECT_EQ(take(1000, start + 1min), 10u);
}

}  // namespace
}  // namespace ee::proxy

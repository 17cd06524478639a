#include "attestation/remote/requester_limit.h"

#include <gtest/gtest.h>

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

const WallTime now = std::chrono::sys_days(2026y / 6 / 1);

TEST(AddressBlock, IsA24OrA56) {
    const std::pair<const char*, const char*> rows[] = {
        {"192.0.2.7", "192.0.2.0/24"},
        {"192.0.2.255", "192.0.2.0/24"},
        {"192.0.3.0", "192.0.3.0/24"},
        {"::ffff:192.0.2.7", "192.0.2.0/24"},
        {"2001:db8:0:12ff::1", "2001:0db8:0000:1200::/56"},
        {"2001:db8:0:1200:ffff::", "2001:0db8:0000:1200::/56"},
        {"2001:db8:0:1300::1", "2001:0db8:0000:1300::/56"},
        {"", ""},
        {"somebody", ""},
    };
    for (const auto& [address, block] : rows) EXPECT_EQ(address_block(address), block) << address;
}

TEST(RequesterLimit, TakesSoManyInAnyMinute) {
    RequesterLimit limit(3, 1min, 10);
    EXPECT_TRUE(limit.take("192.0.2.1", now));
    EXPECT_TRUE(limit.take("192.0.2.2", now + 30s));
    EXPECT_TRUE(limit.take("192.0.2.3", now + 59s));
    EXPECT_FALSE(limit.take("192.0.2.4", now + 59s));
    EXPECT_TRUE(limit.take("192.0.3.1", now + 59s));  // Another block.
    EXPECT_FALSE(limit.take("192.0.2.1", now + 60s - 1ms));
    EXPECT_TRUE(limit.take("192.0.2.1", now + 60s));  // The first is a minute old.
    EXPECT_FALSE(limit.take("192.0.2.1", now + 89s));
    EXPECT_TRUE(limit.take("192.0.2.1", now + 90s));
}

TEST(RequesterLimit, ARefusedUseCostsNothing) {
    RequesterLimit limit(1, 1min, 10);
    EXPECT_TRUE(limit.take("192.0.2.1", now));
    for (int i = 1; i < 60; ++i) EXPECT_FALSE(limit.take("192.0.2.1", now + std::chrono::seconds(i)));
    EXPECT_TRUE(limit.take("192.0.2.1", now + 1min));
}

TEST(RequesterLimit, ManyBlocksTakeBoundedMemoryAndShareWhatIsLeft) {
    RequesterLimit limit(2, 1min, 100);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(limit.take("10.0." + std::to_string(i) + ".1", now));
    EXPECT_TRUE(limit.take("10.1.0.1", now));
    EXPECT_TRUE(limit.take("10.1.1.1", now));
    EXPECT_FALSE(limit.take("10.1.2.1", now));
    EXPECT_TRUE(limit.take("10.0.7.1", now));  // One of its own.
    EXPECT_LE(limit.size(), 101u);
    EXPECT_TRUE(limit.take("10.1.2.1", now + 1min));
    EXPECT_LE(limit.size(), 2u);
}

TEST(RequesterLimit, AClockThatWasSetBackLocksNobodyOut) {
    RequesterLimit limit(1, 1min, 10);
    EXPECT_TRUE(limit.take("192.0.2.1", now));
    EXPECT_TRUE(limit.take("192.0.2.1", now - 1h));
}

}  // namespace
}  // namespace ee::attestation

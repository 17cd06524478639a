#include "api/access.h"

#include <gtest/gtest.h>

namespace ee::api {
namespace {

using namespace std::chrono_literals;

std::vector<Secret> tokens(std::initializer_list<const char*> texts) {
    std::vector<Secret> out;
    for (const char* text : texts) out.emplace_back(std::string(text));
    return out;
}

struct Caller {
    std::string check(Access access, std::optional<std::string> authorization) {
        http::RequestHead head;
        if (authorization) head.fields.push_back({"authorization", *authorization});
        const auto allowed = control.check(access, head, address, now);
        return allowed ? "ok" : allowed.error().code;
    }

    AccessControl control{tokens({"admin-1", "admin-2"}), tokens({"metrics-1"})};
    net::IpAddress address = *net::IpAddress::parse("192.0.2.1");
    MonoTime now{100h};
};

TEST(Access, EveryRoleOpensItsEndpointsAndNoOthers) {
    struct Row {
        Access access;
        std::optional<std::string> authorization;
        const char* expected;
    };
    const Row rows[] = {
        {Access::anyone, std::nullopt, "ok"},
        {Access::anyone, "Bearer wrong", "ok"},
        {Access::admin, "Bearer admin-1", "ok"},
        {Access::admin, "bearer  admin-2", "ok"},  // RFC 9110 section 11.1: the scheme's case is free.
        {Access::admin, "Bearer metrics-1", "forbidden"},
        {Access::admin, "Bearer wrong", "unauthorized"},
        {Access::admin, "Bearer admin-1x", "unauthorized"},
        {Access::admin, "Bearer admin-", "unauthorized"},
        {Access::admin, "Basic admin-1", "unauthorized"},
        {Access::admin, "admin-1", "unauthorized"},
        {Access::admin, "Bearer ", "unauthorized"},
        {Access::admin, "Bearer", "unauthorized"},
        {Access::admin, "", "unauthorized"},
        {Access::admin, std::nullopt, "unauthorized"},
        {Access::metrics, "Bearer metrics-1", "ok"},
        {Access::metrics, "Bearer admin-1", "ok"},
        {Access::metrics, "Bearer wrong", "unauthorized"},
        {Access::metrics, std::nullopt, "unauthorized"},
    };
    for (const Row& row : rows)
        EXPECT_EQ(Caller().check(row.access, row.authorization), row.expected)
            << row.authorization.value_or("none");
}

TEST(Access, ARoleWithoutTokensIsClosed) {
    Caller caller;
    caller.control = AccessControl({}, tokens({"metrics-1"}));
    EXPECT_EQ(caller.check(Access::admin, "Bearer metrics-1"), "role_not_configured");
    EXPECT_EQ(caller.check(Access::admin, "Bearer "), "role_not_configured");
    EXPECT_EQ(caller.check(Access::metrics, "Bearer metrics-1"), "ok");
    caller.control = AccessControl(tokens({"admin-1"}), {});
    EXPECT_EQ(caller.check(Access::metrics, "Bearer admin-1"), "ok");
    EXPECT_EQ(caller.check(Access::metrics, "Bearer "), "unauthorized");
    caller.control = AccessControl({}, {});
    EXPECT_EQ(caller.check(Access::metrics, "Bearer metrics-1"), "role_not_configured");
    EXPECT_EQ(caller.check(Access::anyone, std::nullopt), "ok");
}

TEST(Access, ReplacedTokensAreRefused) {
    Caller caller;
    caller.control.set_tokens(tokens({"admin-3"}), {});
    EXPECT_EQ(caller.check(Access::admin, "Bearer admin-1"), "unauthorized");
    EXPECT_EQ(caller.check(Access::metrics, "Bearer metrics-1"), "unauthorized");
    EXPECT_EQ(caller.check(Access::admin, "Bearer admin-3"), "ok");
}

TEST(Access, WrongTokensAreSlowedDownAndRightOnesNever) {
    Caller caller;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(caller.check(Access::admin, "Bearer wrong"), "unauthorized") << i;
    EXPECT_EQ(caller.check(Access::admin, "Bearer wrong"), "too_many_wrong_tokens");
    EXPECT_EQ(caller.check(Access::admin, "Bearer admin-1"), "ok");
    EXPECT_EQ(caller.check(Access::admin, std::nullopt), "unauthorized");  // No guess.
    EXPECT_EQ(caller.check(Access::admin, "Bearer metrics-1"), "forbidden");
    EXPECT_EQ(caller.check(Access::admin, "Bearer wrong"), "too_many_wrong_tokens");
    const net::IpAddress guesser = std::exchange(caller.address, *net::IpAddress::parse("192.0.2.2"));
    EXPECT_EQ(caller.check(Access::admin, "Bearer wrong"), "unauthorized");
    caller.address = guesser;
    caller.now += 61s;
    EXPECT_EQ(caller.check(Access::admin, "Bearer wrong"), "unauthorized");
}

TEST(Access, RemembersABoundedNumberOfGuessers) {
    Caller caller;
    for (int i = 0; i < 30000; ++i) {
        const std::string address = "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) +
                                    "." + std::to_string(i & 255);
        caller.address = *net::IpAddress::parse(address);
        caller.check(Access::admin, "Bearer wrong");
        ASSERT_LE(caller.control.guessers(), 10000u);
    }
}

TEST(Access, KnowsItsOwnTokensWhereverTheyTurnUp) {
    const Caller caller;
    EXPECT_TRUE(caller.control.is_own_token("Bearer admin-2"));
    EXPECT_TRUE(caller.control.is_own_token("bearer metrics-1 "));
    for (const char* other : {"", "Bearer", "Bearer ", "Bearer app-token", "Basic admin-1", "admin-1"})
        EXPECT_FALSE(caller.control.is_own_token(other)) << other;
}

}  // namespace
}  // namespace ee::api

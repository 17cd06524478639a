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

constexpr Access metrics_endpoint = Role::metrics | Role::admin;

struct TestCaller {
    std::string check(Access access, std::optional<std::string> authorization) {
        http::RequestHead head;
        if (authorization) head.fields.push_back({"authorization", *authorization});
        const auto allowed = control.check(access, head, address, now);
        return allowed ? "ok" : allowed.error().code;
    }

    AccessControl control{{.admin = tokens({"admin-1", "admin-2"}), .metrics = tokens({"metrics-1"})}};
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
        {Role::anyone, std::nullopt, "ok"},
        {Role::anyone, "Bearer wrong", "ok"},
        {Role::admin, "Bearer admin-1", "ok"},
        {Role::admin, "bearer  admin-2", "ok"},  // RFC 9110 section 11.1: the scheme's case is free.
        {Role::admin, "Bearer metrics-1", "forbidden"},
        {Role::admin, "Bearer wrong", "unauthorized"},
        {Role::admin, "Bearer admin-1x", "unauthorized"},
        {Role::admin, "Bearer admin-", "unauthorized"},
        {Role::admin, "Basic admin-1", "unauthorized"},
        {Role::admin, "admin-1", "unauthorized"},
        {Role::admin, "Bearer ", "unauthorized"},
        {Role::admin, "Bearer", "unauthorized"},
        {Role::admin, "", "unauthorized"},
        {Role::admin, std::nullopt, "unauthorized"},
        {metrics_endpoint, "Bearer metrics-1", "ok"},
        {metrics_endpoint, "Bearer admin-1", "ok"},
        {metrics_endpoint, "Bearer wrong", "unauthorized"},
        {metrics_endpoint, std::nullopt, "unauthorized"},
    };
    for (const Row& row : rows)
        EXPECT_EQ(TestCaller().check(row.access, row.authorization), row.expected)
            << row.authorization.value_or("none");
}

TEST(Access, AnAppsTokenIsOfTheAppThatTheRegistryKnows) {
    const std::string token = "ee_app_" + std::string(64, 'a'), other = "ee_app_" + std::string(64, 'b');
    TestCaller caller;
    const crypto::Sha256 known = crypto::sha256(as_bytes(token));
    EXPECT_EQ(caller.check(Role::app, "Bearer " + token), "unauthorized") << "nobody knows any app";
    caller.control.know_apps(
        [&](const crypto::Sha256& hash) -> std::string_view { return hash == known ? "myapp" : ""; });
    struct Row {
        Access access;
        std::string token;
        const char* expected;
    };
    const Row rows[] = {
        {Role::app, token, "ok"},
        {Role::admin | Role::app, token, "ok"},
        {Role::admin | Role::app, "admin-1", "ok"},
        {Role::admin | Role::app, "metrics-1", "forbidden"},
        {Role::admin, token, "forbidden"},
        {Role::admin | Role::holder, token, "forbidden"},
        {Role::admin | Role::app, other, "unauthorized"},
        {Role::admin | Role::holder, other, "unauthorized"},
        {Role::admin | Role::app, token.substr(0, 70), "unauthorized"},
        {Role::admin | Role::app, token + "a", "unauthorized"},
        {Role::admin | Role::app, "ee_" + std::string(64, 'a'), "forbidden"},  // an account's or a node's
    };
    for (const Row& row : rows)
        EXPECT_EQ(caller.check(row.access, "Bearer " + row.token), row.expected) << row.token;
    // Where there is no admin there are apps still, and nobody else.
    caller.control.set_tokens({});
    EXPECT_EQ(caller.check(Role::admin | Role::app, "Bearer " + token), "ok");
    EXPECT_EQ(caller.check(Role::admin | Role::app, "Bearer x"), "role_not_configured");
    EXPECT_EQ(caller.check(Role::admin, "Bearer " + token), "role_not_configured");
    http::RequestHead head;
    const std::string authorization = "Bearer " + token;
    head.fields.push_back({"authorization", authorization});
    const auto allowed = caller.control.check(Role::app, head, caller.address, caller.now);
    ASSERT_TRUE(allowed);
    EXPECT_EQ(allowed->role, Role::app);
    EXPECT_EQ(allowed->app, "myapp");
}

TEST(Access, AppsTokensAreGuessedAsSlowlyAsOthersAndShownToNoApp) {
    TestCaller caller;
    caller.control.know_apps([](const crypto::Sha256&) { return std::string_view(); });
    const std::string guess = "Bearer ee_app_" + std::string(64, '0');
    for (int i = 0; i < 10; ++i) EXPECT_EQ(caller.check(Role::admin | Role::app, guess), "unauthorized");
    EXPECT_EQ(caller.check(Role::admin | Role::app, guess), "too_many_wrong_tokens");
    EXPECT_EQ(caller.check(Role::admin | Role::app, "Bearer admin-1"), "ok");
    EXPECT_TRUE(caller.control.is_own_token(guess));
    EXPECT_FALSE(caller.control.is_own_token(guess + "0"));
    EXPECT_FALSE(caller.control.is_own_token("Bearer ee_app_0"));
}

TEST(Access, ARoleWithoutTokensIsClosed) {
    TestCaller caller;
    caller.control = AccessControl({.metrics = tokens({"metrics-1"})});
    EXPECT_EQ(caller.check(Role::admin, "Bearer metrics-1"), "role_not_configured");
    EXPECT_EQ(caller.check(Role::admin, "Bearer "), "role_not_configured");
    EXPECT_EQ(caller.check(metrics_endpoint, "Bearer metrics-1"), "ok");
    caller.control = AccessControl({.admin = tokens({"admin-1"})});
    EXPECT_EQ(caller.check(metrics_endpoint, "Bearer admin-1"), "ok");
    EXPECT_EQ(caller.check(metrics_endpoint, "Bearer "), "unauthorized");
    caller.control = AccessControl(RoleTokens{});
    EXPECT_EQ(caller.check(metrics_endpoint, "Bearer metrics-1"), "role_not_configured");
    EXPECT_EQ(caller.check(Role::anyone, std::nullopt), "ok");
}

TEST(Access, ReplacedTokensAreRefused) {
    TestCaller caller;
    caller.control.set_tokens({.admin = tokens({"admin-3"})});
    EXPECT_EQ(caller.check(Role::admin, "Bearer admin-1"), "unauthorized");
    EXPECT_EQ(caller.check(metrics_endpoint, "Bearer metrics-1"), "unauthorized");
    EXPECT_EQ(caller.check(Role::admin, "Bearer admin-3"), "ok");
}

TEST(Access, WrongTokensAreSlowedDownAndRightOnesNever) {
    TestCaller caller;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(caller.check(Role::admin, "Bearer wrong"), "unauthorized") << i;
    EXPECT_EQ(caller.check(Role::admin, "Bearer wrong"), "too_many_wrong_tokens");
    EXPECT_EQ(caller.check(Role::admin, "Bearer admin-1"), "ok");
    EXPECT_EQ(caller.check(Role::admin, std::nullopt), "unauthorized");  // No guess.
    EXPECT_EQ(caller.check(Role::admin, "Bearer metrics-1"), "forbidden");
    EXPECT_EQ(caller.check(Role::admin, "Bearer wrong"), "too_many_wrong_tokens");
    const net::IpAddress guesser = std::exchange(caller.address, *net::IpAddress::parse("192.0.2.2"));
    EXPECT_EQ(caller.check(Role::admin, "Bearer wrong"), "unauthorized");
    caller.address = guesser;
    caller.now += 61s;
    EXPECT_EQ(caller.check(Role::admin, "Bearer wrong"), "unauthorized");
}

TEST(Access, RemembersABoundedNumberOfGuessers) {
    TestCaller caller;
    for (int i = 0; i < 30000; ++i) {
        const std::string address = "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) +
                                    "." + std::to_string(i & 255);
        caller.address = *net::IpAddress::parse(address);
        caller.check(Role::admin, "Bearer wrong");
        ASSERT_LE(caller.control.guessers(), 10000u);
    }
}

// Whose it is the ledger says; until then it is no guess.
TEST(Access, AHoldersTokenIsForTheLedgerToRecognise) {
    TestCaller caller;
    const std::string token = "ee_" + std::string(64, '0');
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(caller.check(Role::admin, "Bearer " + token), "forbidden");
        EXPECT_EQ(caller.check(Role::admin | Role::holder, "Bearer " + token), "ok");
        EXPECT_EQ(caller.check(Role::admin | Role::holder, "Bearer anything"), "ok");
    }
    http::RequestHead head;
    const std::string authorization = "Bearer " + token;
    head.fields.push_back({"authorization", authorization});
    const auto allowed = caller.control.check(Role::holder, head, caller.address, caller.now);
    ASSERT_TRUE(allowed);
    EXPECT_EQ(allowed->token, crypto::sha256(as_bytes(token)));
    EXPECT_EQ(caller.control.holder_token(head), allowed->token);
    for (const char* other : {"Bearer ee_0", "Bearer admin-1", "ee_0", ""}) {
        head.fields.back().value = other;
        EXPECT_FALSE(caller.control.holder_token(head)) << other;
    }
}

TEST(Access, KnowsItsOwnTokensWhereverTheyTurnUp) {
    const TestCaller caller;
    EXPECT_TRUE(caller.control.is_own_token("Bearer admin-2"));
    EXPECT_TRUE(caller.control.is_own_token("bearer metrics-1 "));
    EXPECT_TRUE(caller.control.is_own_token("Bearer ee_" + std::string(64, 'a')));
    for (const char* other : {"", "Bearer", "Bearer ", "Bearer app-token", "Basic admin-1", "admin-1"})
        EXPECT_FALSE(caller.control.is_own_token(other)) << other;
}

}  // namespace
}  // namespace ee::api

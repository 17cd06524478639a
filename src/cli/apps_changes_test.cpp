#include <gtest/gtest.h>

#include "cli/eectl_run.h"
#include "cli/scripted_server.h"

namespace ee::cli {
namespace {

using Words = std::vector<std::string>;

TEST(AppsChanges, ACommandLineBecomesARequest) {
    const struct {
        Words arguments;
        const char* request_line;
        const char* body;
    } rows[] = {
        {{"create", "shop", "--repo", "org/repo", "--network", "forge-1"},
         "POST /v1/apps",
         R"({"app_name":"shop","repo":"org/repo","network":"forge-1"})"},
        {{"create", "shop", "--repo", "org/repo", "--network", "lab", "--billing-account", "alice",
          "--rotate-token"},
         "POST /v1/apps",
         R"({"app_name":"shop","repo":"org/repo","network":"lab",)"
         R"("billing_account":"alice","rotate_token":true})"},
        {{"delete", "a/b"}, "DELETE /v1/apps/a%2Fb", "{}"},
        {{"attest", "shop"}, "POST /v1/apps/shop/attest", "{}"},
        {{"drain", "shop", "a:1/2"}, "POST /v1/apps/shop/agents/a%3A1%2F2/drain", "{}"},
        {{"nodes", "shop", "n1", "n2"}, "PUT /v1/apps/shop/nodes", R"({"nodes":["n1","n2"]})"},
        {{"nodes", "shop", "--any"}, "PUT /v1/apps/shop/nodes", R"({"nodes":null})"},
        {{"nodes", "shop", "--none"}, "PUT /v1/apps/shop/nodes", R"({"nodes":[]})"},
        {{"rollout", "shop", "v0.1.3=90", "a=b=10", "old=0"},
         "PUT /v1/apps/shop/rollout",
         R"({"weights":{"v0.1.3":90,"a=b":10,"old":0}})"},
        {{"rollout", "shop", "--none"}, "PUT /v1/apps/shop/rollout", R"({"weights":{}})"},
    };
    for (const auto& row : rows) {
        ScriptedServer server({ok(R"({"app_name":"shop"})")});
        Words words{"apps"};
        words.insert(words.end(), row.arguments.begin(), row.arguments.end());
        const EectlRun run = eectl(words, {{"EECTL_URL", server.url()}, {"EECTL_TOKEN", "ee_app_x"}});
        EXPECT_EQ(run.code, exit_good) << row.request_line << run.err;
        EXPECT_NE(run.out.find("app_name"), std::string::npos) << run.out;
        ASSERT_EQ(server.requests().size(), 1u) << row.request_line;
        const std::string request = server.requests()[0];
        EXPECT_TRUE(request.starts_with(std::string(row.request_line) + " HTTP/1.1\r\n")) << request;
        EXPECT_EQ(request.substr(request.find("\r\n\r\n") + 4), row.body);
        EXPECT_NE(request.find("\r\nAuthorization: Bearer ee_app_x\r\n"), std::string::npos) << request;
    }
}

std::string refused(const std::string& status, const std::string& reason) {
    return "HTTP/1.1 " + status + "\r\nContent-Type: application/problem+json\r\n\r\n" + R"({"reason":")" +
           reason + R"(","detail":"so it is"})";
}

// Its tunnels would be closed.
TEST(AppsChanges, AnAppIsMovedOnlyWhereANetworkIsNamed) {
    const struct {
        std::string app;
        const char* network;
    } rows[] = {{ok(R"({"app_name":"shop","network":"sandbox-1"})"), "sandbox-1"},
                {refused("404 Not Found", "unknown_app"), "forge-1"}};
    for (const auto& row : rows) {
        ScriptedServer server({row.app, ok(R"({"app_name":"shop"})")});
        const EectlRun run =
            eectl({"apps", "create", "shop", "--repo", "org/repo", "--rotate-token", "--url", server.url()});
        EXPECT_EQ(run.code, exit_good) << run.err;
        ASSERT_EQ(server.requests().size(), 2u) << row.network;
        EXPECT_TRUE(server.requests()[0].starts_with("GET /v1/apps/shop HTTP/1.1\r\n"));
        EXPECT_TRUE(server.requests()[1].ends_with(
            std::string(R"({"app_name":"shop","repo":"org/repo","network":")") + row.network +
            R"(","rotate_token":true})"))
            << server.requests()[1];
    }
}

TEST(AppsChanges, AnAppWhoseNetworkIsNotKnownIsLeftAlone) {
    for (const std::string& answer : {refused("401 Unauthorized", "unauthorized"),
                                      refused("404 Not Found", "not_found"), ok("{}"), ok("[")}) {
        ScriptedServer server({answer});
        const EectlRun run = eectl({"apps", "create", "shop", "--repo", "org/repo", "--url", server.url()});
        EXPECT_EQ(run.code, exit_refused) << answer;
        EXPECT_EQ(server.requests().size(), 1u) << run.err;
    }
}

TEST(AppsChanges, WhatCannotBeMeantIsNotSent) {
    const Words rows[] = {{"create", "shop"},
                          {"nodes", "shop"},
                          {"nodes", "shop", "n1", "--any"},
                          {"nodes", "shop", "--none", "--any"},
                          {"rollout", "shop"},
                          {"rollout", "shop", "v1=1", "--none"},
                          {"rollout", "shop", "v1"},
                          {"rollout", "shop", "v1="},
                          {"rollout", "shop", "=1"},
                          {"rollout", "shop", "v1=-1"},
                          {"rollout", "shop", "v1=01"},
                          {"rollout", "shop", "v1=1.5"},
                          {"rollout", "shop", "v1=12345678"},
                          {"drain", "shop"},
                          {"delete"}};
    for (const Words& row : rows) {
        Words words{"apps"};
        words.insert(words.end(), row.begin(), row.end());
        const EectlRun run = eectl(words, {{"EECTL_URL", "http://127.0.0.1:1"}});
        EXPECT_EQ(run.code, exit_usage) << testing::PrintToString(row) << run.err;
    }
}

}  // namespace
}  // namespace ee::cli

#include "config/agent_config.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "config/sources.h"

namespace ee::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

Environment agent_environment(Environment more = {}) {
    more.insert({{"EE_CONTROL_WS", "wss://control.example.com/v1/tunnel"},
                 {"EE_REPO", "org/repo"},
                 {"EE_RELEASE_TAG", "v1"},
                 {"EE_APP_NAME", "myapp"}});
    return more;
}

std::variant<AgentConfig, ExitRequest> load_agent(const Environment& environment) {
    const char* argv[] = {"easyenclave-agent"};
    return load_agent_config(1, argv, environment);
}

std::string agent_refusal(const Environment& environment) {
    const auto loaded = load_agent(environment);
    const auto* exit = std::get_if<ExitRequest>(&loaded);
    return exit == nullptr ? "accepted" : exit->text;
}

TEST(AgentConfig, DefaultsAreThoseOfTheDocumentation) {
    const auto loaded = load_agent(agent_environment());
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(loaded)) << std::get<ExitRequest>(loaded).text;
    const AgentConfig& config = std::get<AgentConfig>(loaded);
    EXPECT_EQ(config.control_ws, "wss://control.example.com/v1/tunnel");
    EXPECT_EQ(config.repo, "org/repo");
    EXPECT_EQ(config.release_tag, "v1");
    EXPECT_EQ(config.app_name, "myapp");
    EXPECT_EQ(config.network, "forge-1");
    EXPECT_EQ(config.state_dir, "data/agent");
    EXPECT_EQ(config.backend_url, "http://127.0.0.1:8080");
    EXPECT_EQ(config.health_interval, 30s);
    EXPECT_EQ(config.reconnect_min, 1s);
    EXPECT_EQ(config.reconnect_max, 60s);
    EXPECT_EQ(config.quote_provider, QuoteProviderKind::automatic);
    EXPECT_EQ(config.proxy_timeout, 15s);
    EXPECT_EQ(config.stream_idle_time, 300s);
    EXPECT_EQ(config.body_bytes_max, 64u << 20);
    EXPECT_EQ(config.drain_timeout, 20s);
    EXPECT_FALSE(config.agent_id || config.health_url || config.simulated_dir || config.tls_ca ||
                 config.sealed || config.measurements_file || config.node_id || config.node_token);
}

TEST(AgentConfig, ANodesTokenGoesOverTlsOnly) {
    const auto loaded = [](Environment more) {
        more.emplace("EE_CONTROL_WS", "wss://control.example/v1/tunnel");
        return load_agent(agent_environment(more));
    };
    const auto both = loaded({{"EE_NODE_ID", "n1"}, {"EE_NODE_TOKEN", "ee_secret"}});
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(both));
    EXPECT_EQ(std::get<AgentConfig>(both).node_token->reveal(), "ee_secret");
    EXPECT_THAT(agent_refusal(agent_environment({{"EE_NODE_ID", "n1"}})), HasSubstr("EE_NODE_TOKEN is not"));
    const std::string plain = agent_refusal(agent_environment(
        {{"EE_CONTROL_WS", "ws://c.example/"}, {"EE_NODE_ID", "n1"}, {"EE_NODE_TOKEN", "ee_secret"}}));
    EXPECT_THAT(plain, AllOf(HasSubstr("must be wss://"), Not(HasSubstr("ee_secret"))));
    EXPECT_THAT(agent_refusal(agent_environment({{"EE_NODE_TOKEN", "ee_secret"}})),
                HasSubstr("EE_NODE_ID is not"));
    EXPECT_THAT(agent_refusal(agent_environment({{"EE_NODE_ID", "n1"}, {"EE_NODE_TOKEN", "a,b"}})),
                HasSubstr("EE_NODE_TOKEN (environment): must be one token"));
}

TEST(AgentConfig, WhatIsRequiredIsNamedAtOnce) {
    const std::string text = agent_refusal({});
    for (const char* name : {"EE_CONTROL_WS", "EE_REPO", "EE_RELEASE_TAG", "EE_APP_NAME"})
        EXPECT_THAT(text, HasSubstr(std::string(name) + " is not set: must be "));
    EXPECT_THAT(text, HasSubstr("has 4 problems"));
}

TEST(AgentConfig, EveryKindOfValueArrivesTyped) {
    const auto loaded = load_agent(agent_environment({{"EE_AGENT_ID", "3f2b"},
                                                      {"EE_QUOTE_PROVIDER", "simulated"},
                                                      {"EE_SIMULATED_TDX_DIR", "/"},
                                                      {"EE_SEALED", "false"},
                                                      {"EE_BACKEND_URL", "http://127.0.0.1:3000/"},
                                                      {"EE_HEALTH_URL", "http://127.0.0.1:3000/up"}}));
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(loaded)) << std::get<ExitRequest>(loaded).text;
    const AgentConfig& config = std::get<AgentConfig>(loaded);
    EXPECT_EQ(config.agent_id, "3f2b");
    EXPECT_EQ(config.quote_provider, QuoteProviderKind::simulated);
    EXPECT_EQ(config.simulated_dir, "/");
    EXPECT_EQ(config.sealed, false);
    EXPECT_EQ(config.backend_url, "http://127.0.0.1:3000/");  // Bound into the quote as it was written.
    EXPECT_EQ(config.health_url, "http://127.0.0.1:3000/up");
}

TEST(AgentConfig, SettingsThatContradictEachOtherAreRefused) {
    EXPECT_THAT(agent_refusal(agent_environment({{"EE_RECONNECT_MIN_SEC", "61"}})),
                HasSubstr("EE_RECONNECT_MIN_SEC = 61 is more than EE_RECONNECT_MAX_SEC = 60"));
    EXPECT_THAT(agent_refusal(agent_environment({{"EE_QUOTE_PROVIDER", "simulated"}})),
                HasSubstr("EE_SIMULATED_TDX_DIR is not set"));
    EXPECT_THAT(
        agent_refusal(agent_environment({{"EE_BACKEND_URL", "h3://127.0.0.1"}})),
        HasSubstr(
            "must be a URL with the scheme http, https or h2c, a host, perhaps a port, and nothing after "
            "it; or unix: or h2c+unix: and an absolute path"));
}

TEST(AgentConfig, RootsWithoutTlsAreAWarning) {
    const auto loaded = load_agent(
        agent_environment({{"EE_CONTROL_WS", "ws://127.0.0.1:8088/v1/tunnel"}, {"EE_TLS_CA", "/dev/null"}}));
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(loaded));
    EXPECT_THAT(std::get<AgentConfig>(loaded).warnings, ElementsAre(HasSubstr("EE_TLS_CA has no effect")));
}

}  // namespace
}  // namespace ee::config

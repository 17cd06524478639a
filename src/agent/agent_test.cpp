#include "agent/agent.h"

#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/check.h"
#include "base/time.h"

namespace ee::agent {
namespace {

class PrepareAgent : public testing::Test {
protected:
    PrepareAgent() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-agent-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        const auto platform = attestation::make_simulated_platform(wall_now());
        EE_CHECK(attestation::save_simulated_platform(folder, platform, wall_now()));
        good.control_ws = "ws://127.0.0.1:8443/v1/tunnel";
        good.repo = "org/repo";
        good.release_tag = "v1";
        good.app_name = "myapp";
        good.network = "sandbox-1";
        good.agent_id = "a1";
        good.backend_url = "http://127.0.0.1:8080";
        good.quote_provider = config::QuoteProviderKind::simulated;
        good.simulated_dir = folder;
    }
    ~PrepareAgent() override { std::filesystem::remove_all(folder); }

    std::filesystem::path folder;
    config::AgentConfig good;
};

TEST_F(PrepareAgent, SaysWhichSettingNamesNothingItCanUse) {
    ASSERT_TRUE(prepare_agent(good));
    struct Row {
        std::string config::AgentConfig::* url;
        const char* text;
    };
    const Row rows[] = {{&config::AgentConfig::control_ws, "wss//127.0.0.1"},
                        {&config::AgentConfig::backend_url, "127.0.0.1:8080"}};
    for (const Row& row : rows) {
        config::AgentConfig config = good;
        config.*row.url = row.text;
        const auto parts = prepare_agent(config);
        ASSERT_FALSE(parts) << row.text;
        EXPECT_EQ(parts.error().code, "invalid_url");
        EXPECT_NE(parts.error().detail.find(row.text), std::string::npos);
    }
    config::AgentConfig config = good;
    config.health_url = "nowhere";
    const auto without_health = prepare_agent(config);
    ASSERT_FALSE(without_health);
    EXPECT_EQ(without_health.error().code, "invalid_url");
}

TEST_F(PrepareAgent, ReadsRootsOnlyForTls) {
    config::AgentConfig config = good;
    config.tls_ca = "/nonexistent/roots.pem";
    EXPECT_TRUE(prepare_agent(config));
    for (const auto& [url, text] :
         {std::pair(&config::AgentConfig::control_ws, "wss://127.0.0.1:8443/v1/tunnel"),
          std::pair(&config::AgentConfig::backend_url, "https://127.0.0.1:8080")}) {
        config::AgentConfig over_tls = config;
        over_tls.*url = text;
        const auto parts = prepare_agent(over_tls);
        ASSERT_FALSE(parts) << text;
        EXPECT_NE(parts.error().detail.find("/nonexistent/roots.pem"), std::string::npos)
            << parts.error().detail;
    }
}

TEST_F(PrepareAgent, IsPrecededByACheckThatFindsTheSameAndMakesNothing) {
    const auto problem = [](const config::AgentConfig& config) {
        std::string found;
        for (const auto& inspection : start_inspections())
            for (const std::string& sentence : inspection.find(config).problems) found += sentence;
        return found;
    };
    good.agent_id.reset();
    good.state_dir = folder / "state";
    EXPECT_EQ(problem(good), "");
    EXPECT_FALSE(std::filesystem::exists(good.state_dir));

    const std::filesystem::path text = folder / "text";
    std::ofstream(text) << "neither a root nor JSON";
    struct Row {
        const char* beginning;
        void (*spoil)(config::AgentConfig&, const std::filesystem::path& file);
    };
    const Row rows[] = {
        {"EE_TLS_CA: ",
         [](config::AgentConfig& config, const auto& file) {
             config.control_ws = "wss://127.0.0.1:8443/v1/tunnel";
             config.tls_ca = file;
         }},
        {"EE_MEASUREMENTS_FILE: ",
         [](config::AgentConfig& config, const auto& file) { config.measurements_file = file; }},
        {"EE_QUOTE_PROVIDER: ", [](config::AgentConfig& config,
                                   const auto& file) { config.simulated_dir = file.parent_path() / "x"; }},
        {"EE_STATE_DIR: ",
         [](config::AgentConfig& config, const auto& file) { config.state_dir = file / "below"; }}};
    for (const Row& row : rows) {
        config::AgentConfig config = good;
        row.spoil(config, text);
        EXPECT_TRUE(problem(config).starts_with(row.beginning)) << row.beginning << problem(config);
        EXPECT_FALSE(prepare_agent(config)) << row.beginning;
    }
    // One that is kept and is none.
    std::filesystem::create_directory(good.state_dir);
    std::ofstream(good.state_dir / "agent_id") << "two words";
    EXPECT_NE(problem(good).find("does not hold an agent id"), std::string::npos);
}

}  // namespace
}  // namespace ee::agent

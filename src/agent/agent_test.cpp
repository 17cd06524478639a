#include "agent/agent.h"

#include <fcntl.h>
#include <fstream>
#include <mutex>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/check.h"
#include "base/time.h"
#include "http/test_server.h"
#include "http/websocket_frames.h"
#include "http/websocket_handshake.h"
#include "protocol/encoder.h"

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

class AgentTest : public PrepareAgent {};

// Its far end says what a control plane of the first version says.
TEST_F(AgentTest, MakesQuotesWhileNamesAreLookedUp) {
    net::Loop loop;
    http::TestServer control(loop);
    good.control_ws = "ws://127.0.0.1:" + std::to_string(control.listener->port()) + "/v1/tunnel";
    good.backend_url = "http://app.example";
    const auto parts = prepare_agent(good);
    ASSERT_TRUE(parts);
    const net::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    const telemetry::Log log(telemetry::LogLevel::error, telemetry::LogFormat::json, null.get());
    std::mutex name_server;
    AgentWorkers workers(1);
    const std::unique_lock is_out(name_server);
    // As many as have a thread, and the one that may wait.
    for (int look_ups = 0; look_ups < 5;)
        look_ups += workers.others.run([&] { const std::lock_guard wait(name_server); }) ? 1 : 0;

    Agent agent(loop, workers, log, *parts);
    agent.start();
    ASSERT_TRUE(net::run_until(loop, [&] { return control.has_request(0); }));
    net::Peer& peer = *control.peers[0];
    const std::size_t key = peer.received.find("Sec-WebSocket-Key: ") + 19;
    peer.say(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        http::websocket_accept(peer.received.substr(key, 24)) + "\r\n\r\n");
    std::string challenge;
    http::append_frame(challenge, http::Opcode::text,
                       protocol::encode(protocol::AttestRequest{.deadline_s = 30}));
    peer.say(challenge);
    // Nothing else that it says is as large as a quote.
    EXPECT_TRUE(net::run_until(loop, [&] { return peer.received.size() > 4096; }));
}

}  // namespace
}  // namespace ee::agent

#include "agent/identity.h"

#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ee::agent {
namespace {

namespace fs = std::filesystem;

class Identity : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "ee-identity-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
        config.repo = "org/repo";
        config.release_tag = "v1";
        config.app_name = "myapp";
        config.network = "forge-1";
        config.backend_url = "http://127.0.0.1:8080";
        config.state_dir = folder / "state" / "agent";
        // The simulated platform's folder stands for the measured root.
        config.quote_provider = config::QuoteProviderKind::simulated;
        config.simulated_dir = folder;
    }
    void TearDown() override { fs::remove_all(folder); }
    void write(const fs::path& file, std::string_view text) const { std::ofstream(file) << text; }
    std::string refusal() const {
        const auto claims = claims_of(config);
        return claims ? "" : claims.error().code;
    }

    fs::path folder;
    config::AgentConfig config;
};

// ---- The agent's id ----

TEST_F(Identity, TheIdIsMadeOnceAndKept) {
    const auto made = agent_id_of(config);
    ASSERT_TRUE(made) << made.error().detail;
    EXPECT_EQ(made->size(), 36u);
    EXPECT_EQ((*made)[14], '4');                                          // The UUID's version.
    EXPECT_NE(std::string("89ab").find((*made)[19]), std::string::npos);  // Its variant.
    EXPECT_EQ(agent_id_of(config).value(), *made);
    config.state_dir = folder / "other";
    EXPECT_NE(agent_id_of(config).value(), *made);
}

TEST_F(Identity, OnlyItsOwnerSeesTheStateFolder) {
    ASSERT_TRUE(agent_id_of(config));
    EXPECT_EQ(fs::status(config.state_dir).permissions() & fs::perms::all, fs::perms::owner_all);
}

TEST_F(Identity, AGivenIdNeedsNoFolder) {
    config.agent_id = "given";
    EXPECT_EQ(agent_id_of(config).value(), "given");
    EXPECT_FALSE(fs::exists(config.state_dir));
}

TEST_F(Identity, SaysWhyTheStateFolderIsUnusable) {
    write(folder / "state", "a file");
    const auto id = agent_id_of(config);
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().code, "state_dir_unusable");
    EXPECT_TRUE(id.error().detail.starts_with("cannot create EE_STATE_DIR " + config.state_dir.string()));
}

TEST_F(Identity, SaysWhereTheIdCannotBeWritten) {
    fs::create_directories(config.state_dir / "agent_id.new");  // In the way of what it writes first.
    const auto id = agent_id_of(config);
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().code, "state_dir_unusable");
    EXPECT_TRUE(id.error().detail.starts_with("cannot write " + (config.state_dir / "agent_id").string()));
}

TEST_F(Identity, RefusesAnIdFileThatHoldsNoId) {
    for (const std::string& text : {std::string(), std::string("\n"), std::string(129, 'a'),
                                    std::string("two words"), std::string("a\nb"), std::string("a\0b", 3)}) {
        fs::create_directories(config.state_dir);
        write(config.state_dir / "agent_id", text);
        const auto id = agent_id_of(config);
        ASSERT_FALSE(id) << text;
        EXPECT_EQ(id.error().code, "state_dir_unusable");
    }
    write(config.state_dir / "agent_id", "kept-id:1\r\n");
    EXPECT_EQ(agent_id_of(config).value(), "kept-id:1");
}

// ---- Claims ----

TEST_F(Identity, TheConfigurationsHashIsOverExactlySixSettings) {
    // SHA-256 of the RFC 8785 text below, computed apart from this program.
    // {"EE_APP_NAME":"myapp","EE_BACKEND_URL":"http://127.0.0.1:8080","EE_HEALTH_URL":null,
    //  "EE_NETWORK":"forge-1","EE_RELEASE_TAG":"v1","EE_REPO":"org/repo"} (without white space)
    const std::string known = "8efd955cf1dfe1772dc638af08fc3abd02a221fb72650db6ade4768e2aa2fa1a";
    EXPECT_EQ(config_sha256(config), known);
    config.node_id = "n1";
    config.state_dir = "/elsewhere";
    config.agent_id = "a2";
    EXPECT_EQ(config_sha256(config), known);
    config.health_url = "http://127.0.0.1:8080/health";
    EXPECT_EQ(config_sha256(config), "be9051ab5a3c21d7823a1f3650a54b135db7a0d2f8da3ceb88a104a79f7b12bb");
}

TEST_F(Identity, EveryOneOfTheSixSettingsChangesTheHash) {
    const std::string before = config_sha256(config);
    const auto changed = [&](auto change) {
        config::AgentConfig other = config;
        change(other);
        return config_sha256(other) != before;
    };
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.app_name = "x"; }));
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.backend_url = "x"; }));
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.health_url = "x"; }));
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.network = "x"; }));
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.release_tag = "x"; }));
    EXPECT_TRUE(changed([](config::AgentConfig& c) { c.repo = "x"; }));
}

TEST_F(Identity, IsSealedOnlyByTheMeasuredRoot) {
    const auto sealed = [&] { return std::get<bool>(claims_of(config).value().at("sealed")); };
    EXPECT_FALSE(sealed());
    config.sealed = true;  // Raises nothing.
    EXPECT_FALSE(sealed());
    write(folder / "sealed", "false\n");
    EXPECT_FALSE(sealed());
    write(folder / "sealed", "true\n");
    EXPECT_TRUE(sealed());
    config.sealed = std::nullopt;
    EXPECT_TRUE(sealed());
    config.sealed = false;  // May lower it.
    EXPECT_FALSE(sealed());
}

TEST_F(Identity, ASealedAgentSendsPlaintextOnlyToItself) {
    write(folder / "sealed", "true");
    for (const char* local :
         {"http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "unix:/run/a.sock"}) {
        config.backend_url = local;
        EXPECT_EQ(refusal(), "") << local;
    }
    for (const char* remote : {"http://10.0.0.1", "https://app.example", "http://127.0.0.1.example"}) {
        config.backend_url = remote;
        EXPECT_EQ(refusal(), "sealed_backend_not_local") << remote;
    }
    config.backend_url = "http://127.0.0.1:1";
    config.health_url = "http://10.0.0.1/health";
    EXPECT_EQ(refusal(), "sealed_backend_not_local");
    config.sealed = false;  // It claims nothing then.
    EXPECT_EQ(refusal(), "");
}

TEST_F(Identity, ASealedImagesClaimsComeFromTheMeasuredRootAlone) {
    write(folder / "sealed", "true");
    write(folder / "measurements.json",
          R"({"vm_image_id":"image-7","sealed":false,"config_sha256":"forged"})");
    const Claims claims = claims_of(config).value();
    EXPECT_EQ(std::get<std::string>(claims.at("vm_image_id")), "image-7");
    EXPECT_EQ(std::get<bool>(claims.at("sealed")), true);
    EXPECT_EQ(std::get<std::string>(claims.at("config_sha256")), config_sha256(config));
    config.measurements_file = folder / "other.json";
    write(*config.measurements_file, "{}");
    EXPECT_EQ(refusal(), "sealed_measurements_file");
    config.sealed = false;  // The image is the same.
    EXPECT_EQ(refusal(), "sealed_measurements_file");
}

TEST_F(Identity, AnUnsealedAgentClaimsWhatItsFileSaysButTwo) {
    config.measurements_file = folder / "claims.json";
    write(*config.measurements_file,
          R"({"agent":"1.2","debug":true,"nothing":null,"sealed":true,"config_sha256":"forged"})");
    const Claims claims = claims_of(config).value();
    EXPECT_EQ(claims.size(), 5u);
    EXPECT_EQ(std::get<std::string>(claims.at("agent")), "1.2");
    EXPECT_EQ(std::get<bool>(claims.at("debug")), true);
    EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(claims.at("nothing")));
    EXPECT_EQ(std::get<bool>(claims.at("sealed")), false);
    EXPECT_EQ(std::get<std::string>(claims.at("config_sha256")), config_sha256(config));
}

TEST_F(Identity, RefusesAMeasurementsFileItCannotUse) {
    config.measurements_file = folder / "claims.json";
    EXPECT_EQ(refusal(), "measurements_invalid");
    for (const char* text :
         {"", "[]", "{", "\"text\"", R"({"a":1})", R"({"a":{"b":"c"}})", R"({"a":["b"]})"}) {
        write(*config.measurements_file, text);
        EXPECT_EQ(refusal(), "measurements_invalid") << text;
    }
}

}  // namespace
}  // namespace ee::agent

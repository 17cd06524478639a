#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "config/control_plane_config.h"
#include "config/describe.h"
#include "config/sources.h"
#include "config/value.h"

namespace ee::config {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

// A folder of its own for each test, gone afterwards.
class ConfigTest : public testing::Test {
protected:
    ConfigTest() {
        std::string pattern = testing::TempDir() + "ee_config_XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~ConfigTest() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, std::string_view text) const {
        const std::string path = folder_ + "/" + name;
        std::ofstream(path) << text;
        return path;
    }

    static std::variant<ControlPlaneConfig, ExitRequest> load(std::vector<const char*> flags,
                                                              const Environment& environment = {}) {
        flags.insert(flags.begin(), "easyenclave-control");
        return load_control_plane_config(static_cast<int>(flags.size()), flags.data(), environment);
    }
    static ControlPlaneConfig good(std::vector<const char*> flags, const Environment& environment = {}) {
        auto loaded = load(std::move(flags), environment);
        if (const auto* exit = std::get_if<ExitRequest>(&loaded)) ADD_FAILURE() << exit->text;
        return std::holds_alternative<ControlPlaneConfig>(loaded) ? std::get<ControlPlaneConfig>(loaded)
                                                                  : ControlPlaneConfig{};
    }
    // The text of an exit with `code`.
    static std::string exit_text(int code, std::vector<const char*> flags,
                                 const Environment& environment = {}) {
        const auto loaded = load(std::move(flags), environment);
        const auto* exit = std::get_if<ExitRequest>(&loaded);
        if (exit == nullptr) return ADD_FAILURE() << "the configuration was accepted", "";
        EXPECT_EQ(exit->code, code) << exit->text;
        return exit->text;
    }
    static std::string refusal(std::vector<const char*> flags, const Environment& environment = {}) {
        return exit_text(exit_config_invalid, std::move(flags), environment);
    }

    std::string folder_;
};

TEST_F(ConfigTest, DefaultsAreThoseOfTheDocumentation) {
    const ControlPlaneConfig config = good({});
    EXPECT_EQ(config.control.host, "0.0.0.0");
    EXPECT_EQ(config.control.port, 8088);
    EXPECT_EQ(config.proxy.host, "0.0.0.0");
    EXPECT_EQ(config.proxy.port, 9090);
    EXPECT_FALSE(config.control_tls || config.proxy_tls || config.public_url || config.app_domain);
    EXPECT_THAT(config.trusted_proxies, ElementsAre("127.0.0.0/8", "::1/128"));
    EXPECT_FALSE(config.allowlist_dir || config.collateral_dir || config.tdx_root_ca);
    EXPECT_EQ(config.allowlist_ttl, 300s);
    EXPECT_EQ(config.allowlist_asset, "agent-attestation-allowlist.json");
    EXPECT_EQ(config.github_api_url, "https://api.github.com");
    EXPECT_TRUE(config.github_token.empty());
    EXPECT_EQ(config.webhook_url, std::nullopt);
    EXPECT_TRUE(config.webhook_secrets.empty());
    EXPECT_EQ(config.attest_interval, 3600s);
    EXPECT_EQ(config.attest_deadline, 30s);
    EXPECT_EQ(config.registration_ttl, std::chrono::days(30));
    EXPECT_EQ(config.registration_warn, std::chrono::days(3));
    EXPECT_EQ(config.name_reserve, std::chrono::days(90));
    EXPECT_EQ(config.health_timeout, 120s);
    EXPECT_THAT(config.admin_tokens, IsEmpty());
    EXPECT_THAT(config.metrics_tokens, IsEmpty());
    EXPECT_EQ(config.db_path, "data/control-plane.db");
    EXPECT_EQ(config.proxy_timeout, 15s);
    EXPECT_EQ(config.stream_idle_time, 300s);
    EXPECT_EQ(config.body_bytes_max, 64u << 20);
    EXPECT_FALSE(config.buffered_bytes_max);
    EXPECT_EQ(config.rate_limit_client_rps, 0u);
    EXPECT_EQ(config.rate_limit_app_rps, 0u);
    EXPECT_EQ(config.streams_per_agent_max, 256u);
    EXPECT_EQ(config.tunnels_max, 200'000u);
    EXPECT_EQ(config.unregistered_max, 4096u);
    EXPECT_EQ(config.unregistered_per_address_max, 32u);
    EXPECT_EQ(config.apps_max, 100'000u);
    EXPECT_EQ(config.new_apps_per_address_max, 1000u);
    EXPECT_EQ(config.admissions_per_second_max, 2000u);
    EXPECT_EQ(config.drain_timeout, 20s);
    EXPECT_EQ(config.log_level, "info");
    EXPECT_EQ(config.log_format, "auto");
    EXPECT_THAT(config.warnings, IsEmpty());
}

TEST_F(ConfigTest, AFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault) {
    const std::string file = write("ee.toml", "EE_CONTROL_PORT = 1\nEE_PROXY_PORT = 2\nEE_DRAIN_SEC = 3\n");
    const ControlPlaneConfig config = good({"--config", file.c_str(), "--control-port", "7"},
                                           {{"EE_CONTROL_PORT", "5"}, {"EE_PROXY_PORT", "6"}});
    EXPECT_EQ(config.control.port, 7);
    EXPECT_EQ(config.proxy.port, 6);
    EXPECT_EQ(config.drain_timeout, 3s);
    EXPECT_EQ(config.health_timeout, 120s);
}

TEST_F(ConfigTest, FlagsTakeTheirValueEitherWayAndTheLastOneWins) {
    EXPECT_EQ(good({"--control-port=1", "--control-port", "2"}).control.port, 2);
    EXPECT_EQ(good({"--control-port", "2", "--control-port=1"}).control.port, 1);
}

TEST_F(ConfigTest, AnEmptyVariableMeansUnset) {
    const std::string file = write("ee.toml", "EE_PROXY_PORT = 2\n");
    const ControlPlaneConfig config = good(
        {"--config", file.c_str()}, {{"EE_CONTROL_PORT", ""}, {"EE_PROXY_PORT", ""}, {"EE_TLS_CERT", ""}});
    EXPECT_EQ(config.control.port, 8088);
    EXPECT_EQ(config.proxy.port, 2);
    EXPECT_FALSE(config.control_tls);
}

TEST_F(ConfigTest, PortZeroIsAllowedForBothListeners) {
    const ControlPlaneConfig config = good({}, {{"EE_CONTROL_PORT", "0"}, {"EE_PROXY_PORT", "0"}});
    EXPECT_EQ(config.control.port, 0);
    EXPECT_EQ(config.proxy.port, 0);
}

TEST_F(ConfigTest, EveryKindOfValueArrivesTyped) {
    const std::string cert = write("cert.pem", "x");
    const ControlPlaneConfig config = good({}, {{"EE_TLS_CERT", cert},
                                                {"EE_TLS_KEY", cert},
                                                {"EE_PROXY_TLS_CERT", cert},
                                                {"EE_PROXY_TLS_KEY", cert},
                                                {"EE_PUBLIC_URL", "https://control.example.com/"},
                                                {"EE_APP_DOMAIN", "App.Example.com"},
                                                {"EE_TRUSTED_PROXIES", "none"},
                                                {"EE_ALLOWLIST_DIR", folder_},
                                                {"EE_COLLATERAL_DIR", folder_},
                                                {"EE_TDX_ROOT_CA", cert},
                                                {"EE_NETWORKS_FILE", cert},
                                                {"EE_MAX_BODY_BYTES", "1 MiB"},
                                                {"EE_LOG_LEVEL", "debug"}});
    ASSERT_TRUE(config.control_tls && config.proxy_tls);
    EXPECT_EQ(config.control_tls->certificate, cert);
    EXPECT_EQ(config.proxy_tls->key, cert);
    EXPECT_EQ(config.public_url, "https://control.example.com");
    EXPECT_EQ(config.app_domain, "app.example.com");
    EXPECT_THAT(config.trusted_proxies, IsEmpty());
    EXPECT_EQ(config.allowlist_dir, folder_);
    EXPECT_EQ(config.collateral_dir, folder_);
    EXPECT_EQ(config.tdx_root_ca, cert);
    EXPECT_EQ(config.networks_file, cert);
    EXPECT_EQ(config.body_bytes_max, 1u << 20);
    EXPECT_EQ(config.log_level, "debug");
}

TEST_F(ConfigTest, ACollateralServiceIsAnAddressWithoutAQuery) {
    EXPECT_EQ(good({}, {}).pccs_url, std::nullopt);
    for (const char* url : {"https://pccs.example.com:8081", "http://127.0.0.1:1/a/sgx/certification/v4/"})
        EXPECT_EQ(good({}, {{"EE_PCCS_URL", url}}).pccs_url, url);
    EXPECT_THAT(refusal({}, {{"EE_PCCS_URL", "https://pccs.example.com/?a=b"}}),
                HasSubstr("EE_PCCS_URL has a query"));
    for (const char* url : {"pccs.example.com", "ftp://pccs.example.com", "https://user@pccs.example.com"})
        EXPECT_THAT(refusal({}, {{"EE_PCCS_URL", url}}), HasSubstr("EE_PCCS_URL")) << url;
}

TEST_F(ConfigTest, TokensAreAListSoThatTheyCanBeRotated) {
    const ControlPlaneConfig config = good({}, {{"EE_ADMIN_TOKEN", "old, new"}});
    ASSERT_EQ(config.admin_tokens.size(), 2u);
    EXPECT_EQ(config.admin_tokens[0].reveal(), "old");
    EXPECT_EQ(config.admin_tokens[1].reveal(), "new");
}

TEST_F(ConfigTest, ASecretMayComeFromAFile) {
    const std::string admin = write("admin", "s3cret\n"), metrics = write("metrics", "other\n");
    const ControlPlaneConfig config =
        good({"--metrics-token-file", metrics.c_str()}, {{"EE_ADMIN_TOKEN_FILE", admin}});
    ASSERT_EQ(config.admin_tokens.size(), 1u);
    EXPECT_EQ(config.admin_tokens[0].reveal(), "s3cret");
    ASSERT_EQ(config.metrics_tokens.size(), 1u);
    EXPECT_EQ(config.metrics_tokens[0].reveal(), "other");
}

TEST_F(ConfigTest, AnEmptyTokenClosesTheRoleWhateverTheFileSays) {
    const std::string file = write("ee.toml", "EE_ADMIN_TOKEN = \"s3cret\"\n");
    EXPECT_THAT(good({"--config", file.c_str()}, {{"EE_ADMIN_TOKEN", ""}}).admin_tokens, IsEmpty());
    EXPECT_THAT(good({}, {{"EE_ADMIN_TOKEN_FILE", write("empty", "\n")}}).admin_tokens, IsEmpty());
}

TEST_F(ConfigTest, ASecretFileMustBeReadableSmallAndAlone) {
    const std::string token = write("token", "s3cret");
    EXPECT_THAT(refusal({}, {{"EE_ADMIN_TOKEN_FILE", folder_ + "/none"}}),
                AllOf(HasSubstr("EE_ADMIN_TOKEN_FILE"), HasSubstr("must be a file that can be read")));
    EXPECT_THAT(refusal({}, {{"EE_ADMIN_TOKEN_FILE", folder_}}),
                HasSubstr("must be a file that can be read"));
    EXPECT_THAT(refusal({}, {{"EE_ADMIN_TOKEN_FILE", write("big", std::string(70'000, 'x'))}}),
                HasSubstr("must hold at most 64 KiB"));
    EXPECT_THAT(
        refusal({}, {{"EE_ADMIN_TOKEN_FILE", token}, {"EE_ADMIN_TOKEN", "other"}}),
        AllOf(HasSubstr("EE_ADMIN_TOKEN and EE_ADMIN_TOKEN_FILE are both set"), Not(HasSubstr("other"))));
}

TEST_F(ConfigTest, OnlySecretsHaveAFileVariant) {
    EXPECT_THAT(refusal({"--control-port-file", "/dev/null"}),
                HasSubstr("--control-port-file is not a flag"));
    EXPECT_THAT(good({}, {{"EE_CONTROL_PORT_FILE", "/dev/null"}}).warnings,
                ElementsAre(HasSubstr("EE_CONTROL_PORT_FILE")));
}

TEST_F(ConfigTest, EveryBadSettingIsNamedAtOnce) {
    const std::string file = write("ee.toml", "EE_DRAIN_SEC = 99999\nEE_ADMIT_RPS = 1.5\n");
    const std::string text = refusal({"--config", file.c_str(), "--control-port", "99999", "--nonsense", "1"},
                                     {{"EE_PROXY_BIND", "localhost"},
                                      {"EE_MAX_BODY_BYTES", "64 MB"},
                                      {"EE_TRUSTED_PROXIES", "10.0.0.0/99"},
                                      {"EE_LOG_FORMAT", "xml"},
                                      {"EE_APP_DOMAIN", "*.app"},
                                      {"EE_PUBLIC_URL", "control.example.com"},
                                      {"EE_ALLOWLIST_DIR", "/nowhere"},
                                      {"EE_TLS_CERT", "/nowhere"}});
    for (const char* part :
         {"has 13 problems",
          "EE_CONTROL_PORT = \"99999\" (flag --control-port): must be a whole number from 0 to 65535",
          "EE_PROXY_BIND = \"localhost\" (environment): must be an IPv4 or IPv6 address",
          "EE_MAX_BODY_BYTES = \"64 MB\" (environment): must be a number of bytes, or of KiB, MiB or GiB, "
          "from 1 KiB to 1 GiB",
          "EE_TRUSTED_PROXIES = \"10.0.0.0/99\"",
          "EE_LOG_FORMAT = \"xml\" (environment): must be auto, json or text", "EE_APP_DOMAIN = \"*.app\"",
          "EE_PUBLIC_URL = \"control.example.com\"",
          "EE_ALLOWLIST_DIR = \"/nowhere\" (environment): must be a folder that exists",
          "EE_TLS_CERT = \"/nowhere\"", "EE_TLS_CERT is set without EE_TLS_KEY",
          "--nonsense is not a flag of easyenclave-control", "EE_DRAIN_SEC = \"99999\" (",
          "ee.toml:1): must be a whole number of seconds from 0 to 3600",
          "ee.toml:2: EE_ADMIT_RPS must be a string"})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_EQ(text, refusal({"--config", file.c_str(), "--control-port", "99999", "--nonsense", "1",
                             "--check-config"},
                            {{"EE_PROXY_BIND", "localhost"},
                             {"EE_MAX_BODY_BYTES", "64 MB"},
                             {"EE_TRUSTED_PROXIES", "10.0.0.0/99"},
                             {"EE_LOG_FORMAT", "xml"},
                             {"EE_APP_DOMAIN", "*.app"},
                             {"EE_PUBLIC_URL", "control.example.com"},
                             {"EE_ALLOWLIST_DIR", "/nowhere"},
                             {"EE_TLS_CERT", "/nowhere"}}))
        << "--check-config and starting say the same";
}

TEST_F(ConfigTest, RatlsIsOffOnOrRequired) {
    const std::string cert = write("cert.pem", "x");
    const Environment tls{{"EE_TLS_CERT", cert}, {"EE_TLS_KEY", cert}};
    const auto with = [&](Environment more) {
        more.insert(tls.begin(), tls.end());
        return more;
    };
    EXPECT_EQ(good({}).ratls, RatlsMode::off);
    EXPECT_EQ(good({}).direct_host_label, "control-direct");
    const ControlPlaneConfig on = good({}, with({{"EE_RATLS", "on"}}));
    EXPECT_EQ(on.ratls, RatlsMode::on);
    EXPECT_FALSE(on.ratls_listen);
    const ControlPlaneConfig required = good({}, with({{"EE_RATLS", "require"},
                                                       {"EE_RATLS_PORT", "8089"},
                                                       {"EE_CONTROL_BIND", "127.0.0.1"},
                                                       {"EE_DNS_CONTROL_DIRECT_HOST", "direct"}}));
    EXPECT_EQ(required.ratls, RatlsMode::require);
    EXPECT_EQ(required.ratls_listen->host, "127.0.0.1");
    EXPECT_EQ(required.ratls_listen->port, 8089);
    EXPECT_EQ(required.direct_host_label, "direct");

    const ControlPlaneConfig off = good({}, {{"EE_RATLS_PORT", "8089"}});
    EXPECT_FALSE(off.ratls_listen);
    EXPECT_THAT(off.warnings, ElementsAre("EE_RATLS_PORT has no effect: EE_RATLS is off"));
    for (const char* mode : {"on", "require"})
        EXPECT_THAT(refusal({}, {{"EE_RATLS", mode}}),
                    HasSubstr("EE_RATLS is " + std::string(mode) + " and EE_TLS_CERT is not set"));
    EXPECT_THAT(refusal({}, with({{"EE_RATLS", "yes"}})), HasSubstr("must be off, on or require"));
    EXPECT_THAT(refusal({}, with({{"EE_RATLS", "on"}, {"EE_RATLS_PORT", "8088"}})),
                HasSubstr("EE_RATLS_PORT and EE_CONTROL_PORT are both 8088"));
    EXPECT_THAT(refusal({}, with({{"EE_RATLS", "on"}, {"EE_RATLS_PORT", "9090"}})),
                HasSubstr("EE_RATLS_PORT and EE_PROXY_PORT are both 9090"));
    EXPECT_THAT(refusal({}, with({{"EE_RATLS", "on"}, {"EE_DNS_CONTROL_DIRECT_HOST", "a.b"}})),
                HasSubstr("EE_DNS_CONTROL_DIRECT_HOST"));
}

TEST_F(ConfigTest, ThePassthroughListenerIsOffUntilItHasAPortAndNeedsADomain) {
    const Environment domain{{"EE_APP_DOMAIN", "app.example.com"}};
    const auto with = [&](Environment more) {
        more.insert(domain.begin(), domain.end());
        return more;
    };
    EXPECT_FALSE(good({}, with({{"EE_PASSTHROUGH_BIND", "127.0.0.1"}})).passthrough);
    const ControlPlaneConfig on = good({}, with({{"EE_PASSTHROUGH_PORT", "443"}}));
    EXPECT_EQ(on.passthrough->host, "0.0.0.0");
    EXPECT_EQ(on.passthrough->port, 443);
    EXPECT_EQ(
        good({}, with({{"EE_PASSTHROUGH_PORT", "0"}, {"EE_PASSTHROUGH_BIND", "::1"}})).passthrough->host,
        "::1");
    EXPECT_THAT(refusal({}, {{"EE_PASSTHROUGH_PORT", "443"}}),
                HasSubstr("EE_PASSTHROUGH_PORT is set and EE_APP_DOMAIN is not"));
    EXPECT_THAT(refusal({}, with({{"EE_PASSTHROUGH_PORT", "65536"}})), HasSubstr("EE_PASSTHROUGH_PORT"));
    EXPECT_THAT(refusal({}, with({{"EE_PASSTHROUGH_PORT", "9090"}})),
                HasSubstr("EE_PASSTHROUGH_PORT and EE_PROXY_PORT are both 9090 on 0.0.0.0"));
    EXPECT_THAT(refusal({}, with({{"EE_PASSTHROUGH_PORT", "8088"}})),
                HasSubstr("EE_PASSTHROUGH_PORT and EE_CONTROL_PORT are both 8088 on 0.0.0.0"));
    EXPECT_EQ(
        good({}, with({{"EE_PASSTHROUGH_PORT", "9090"}, {"EE_PASSTHROUGH_BIND", "::1"}})).passthrough->port,
        9090);
}

TEST_F(ConfigTest, NoTextEverShowsASecret) {
    const std::string token = write("token", "hunter2 hunter2");
    const std::string bad_toml = write("bad.toml", "EE_ADMIN_TOKEN = hunter2\n");
    const std::string good_toml = write("good.toml", "EE_ADMIN_TOKEN = \"hunter2\"\n");
    const std::string texts[] = {
        refusal({}, {{"EE_ADMIN_TOKEN", "hunter2,"}}),
        refusal({}, {{"EE_ADMIN_TOKEN_FILE", token}}),
        refusal({"--admin-token", "hunter2 x"}),
        refusal({"--admin-token", "a", "hunter2"}),
        refusal({"--config", bad_toml.c_str()}),
        exit_text(0, {"--print-config"}, {{"EE_ADMIN_TOKEN", "hunter2"}}),
        exit_text(0, {"--print-config", "--config", good_toml.c_str()}),
        exit_text(0, {"--check-config"}, {{"EE_GITHUB_TOKEN", "hunter2"}}),
        exit_text(0, {"--print-config"}, {{"EE_GITHUB_TOKEN", "hunter2"}}),
        refusal({}, {{"EE_GITHUB_TOKEN", "hunter2"}, {"EE_GITHUB_API_URL", "http://ghe.example.com"}}),
    };
    for (const std::string& text : texts) EXPECT_THAT(text, Not(HasSubstr("hunter2")));
    EXPECT_THAT(texts[0], HasSubstr("EE_ADMIN_TOKEN (environment): must be"));
    EXPECT_THAT(texts[5], HasSubstr("EE_ADMIN_TOKEN = \"********\"  # environment"));
}

TEST_F(ConfigTest, ReleasesComeFromGitHubAServerOfOnesOwnOrNowhere) {
    EXPECT_EQ(good({}, {{"EE_GITHUB_API_URL", "https://ghe.example.com/api/v3/"}}).github_api_url,
              "https://ghe.example.com/api/v3");
    EXPECT_FALSE(good({}, {{"EE_GITHUB_API_URL", "none"}}).github_api_url);
    const ControlPlaneConfig config =
        good({}, {{"EE_GITHUB_TOKEN", "ghp_x"}, {"EE_ALLOWLIST_ASSET", "list.json"}});
    EXPECT_EQ(config.github_token.reveal(), "ghp_x");
    EXPECT_EQ(config.allowlist_asset, "list.json");
    // Nobody on the way may read the token.
    for (const char* loopback : {"http://127.0.0.1:8000", "http://localhost", "http://[::1]:80/api"})
        EXPECT_TRUE(good({}, {{"EE_GITHUB_TOKEN", "x"}, {"EE_GITHUB_API_URL", loopback}}).github_api_url);
    for (const char* elsewhere :
         {"http://ghe.example.com", "http://localhost.example.com", "http://10.0.0.1:8000", "http://[::2]"})
        EXPECT_THAT(refusal({}, {{"EE_GITHUB_TOKEN", "x"}, {"EE_GITHUB_API_URL", elsewhere}}),
                    HasSubstr("is not https"));
    EXPECT_TRUE(good({}, {{"EE_GITHUB_API_URL", "http://ghe.example.com"}}).github_api_url);
}

TEST_F(ConfigTest, WebhooksAreSignedAndNobodyOnTheWayReadsThem) {
    const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const auto with = [&](const std::string& url, const std::string& secrets) {
        return Environment{{"EE_WEBHOOK_URL", url}, {"EE_WEBHOOK_SECRET", secrets}};
    };
    const ControlPlaneConfig config =
        good({}, with("https://hooks.example.com/in?x=y", secret + "," + secret));
    EXPECT_EQ(config.webhook_url, "https://hooks.example.com/in?x=y");
    ASSERT_EQ(config.webhook_secrets.size(), 2u);
    EXPECT_EQ(config.webhook_secrets[0].reveal(), secret);
    for (const char* loopback : {"http://127.0.0.1:8000/in", "http://localhost", "http://[::1]:80/"})
        EXPECT_TRUE(good({}, with(loopback, secret)).webhook_url);
    const std::pair<Environment, const char*> cases[] = {
        {with("http://hooks.example.com", secret), "EE_WEBHOOK_URL begins with http://"},
        {with("http://127.0.0.1.example.com", secret), "EE_WEBHOOK_URL begins with http://"},
        {with("http://10.0.0.1", secret), "EE_WEBHOOK_URL begins with http://"},
        {with("https://user@hooks.example.com", secret), "a host and no user name"},
        {with("https://user:password@hooks.example.com", secret), "a host and no user name"},
        {with("ftp://hooks.example.com", secret), "EE_WEBHOOK_URL"},
        {{{"EE_WEBHOOK_URL", "https://hooks.example.com"}}, "EE_WEBHOOK_SECRET is not"},
        {with("https://hooks.example.com", secret.substr(6)), "must be whsec_"},
        {with("https://hooks.example.com", "whsec_c2hvcnQ="), "must be whsec_"},
        {with("https://hooks.example.com", secret + ",whsec_!"), "must be whsec_"},
    };
    for (const auto& [environment, sentence] : cases)
        EXPECT_THAT(refusal({}, environment), AllOf(HasSubstr(sentence), HasSubstr("has 1 problem:")))
            << sentence;
    EXPECT_THAT(refusal({}, with("https://hooks.example.com", "whsec_hunter2")), Not(HasSubstr("hunter2")));
    EXPECT_THAT(good({}, {{"EE_WEBHOOK_SECRET", secret}}).warnings, Contains(HasSubstr("EE_WEBHOOK_SECRET")));
    // Often a secret by itself: it is shown as far as the host, and may come from a file.
    for (const auto& [url, shown] :
         {std::pair("https://hooks.example.com:444/T0/s3cret", "com:444/********\""),
          std::pair("https://hooks.example.com?s3cret", "com?********\""),
          std::pair("https://hooks.example.com", "example.com\"")})
        EXPECT_THAT(exit_text(0, {"--print-config"}, with(url, secret)),
                    AllOf(HasSubstr(std::string("EE_WEBHOOK_URL = \"https://hooks.")), HasSubstr(shown),
                          Not(HasSubstr("s3cret"))));
    EXPECT_THAT(refusal({}, with("ftp://hooks.example.com/s3cret", secret)), Not(HasSubstr("s3cret")));
    EXPECT_EQ(good({}, {{"EE_WEBHOOK_URL_FILE", write("url", "https://hooks.example.com/in\n")},
                        {"EE_WEBHOOK_SECRET", secret}})
                  .webhook_url,
              "https://hooks.example.com/in");
}

TEST_F(ConfigTest, NoTwoRolesShareAToken) {
    const Environment shared = {{"EE_ADMIN_TOKEN", "one,hunter2"}, {"EE_LAUNCHER_TOKEN", "hunter2,two"}};
    const std::string text = refusal({}, shared);
    EXPECT_THAT(text, HasSubstr("EE_ADMIN_TOKEN and EE_LAUNCHER_TOKEN have a token in common"));
    EXPECT_THAT(text, Not(HasSubstr("hunter2")));
    EXPECT_THAT(refusal({}, {{"EE_UPTIME_TOKEN", "x"}, {"EE_AUDITOR_TOKEN", "x"}, {"EE_METRICS_TOKEN", "x"}}),
                HasSubstr("has 3 problems:"));
    good({}, {{"EE_ADMIN_TOKEN", "one,two"}, {"EE_LAUNCHER_TOKEN", "three"}});
}

TEST_F(ConfigTest, ACellHasAtLeastTwoWindows) {
    EXPECT_THAT(refusal({}, {{"EE_HEALTH_TIMEOUT_SEC", "1801"}}),
                AllOf(HasSubstr("EE_HEALTH_TIMEOUT_SEC = 1801"), HasSubstr("at most 1800")));
    good({}, {{"EE_HEALTH_TIMEOUT_SEC", "1800"}});
    good({}, {{"EE_HEALTH_TIMEOUT_SEC", "43200"}, {"EE_SETTLE_PERIOD", "day"}});
    EXPECT_THAT(refusal({}, {{"EE_HEALTH_TIMEOUT_SEC", "43201"}, {"EE_SETTLE_PERIOD", "day"}}),
                HasSubstr("at most 43200"));
}

TEST_F(ConfigTest, SettingsThatContradictEachOtherAreRefused) {
    const std::string file = write("x.pem", "x");
    const std::pair<Environment, const char*> cases[] = {
        {{{"EE_GITHUB_API_URL", "nowhere"}}, "a host and no user name; or none"},
        {{{"EE_GITHUB_API_URL", "https://x.example.com/?a=b"}}, "EE_GITHUB_API_URL has a query"},
        {{{"EE_GITHUB_TOKEN", "a,b"}}, "EE_GITHUB_TOKEN (environment): must be one token"},
        {{{"EE_ALLOWLIST_ASSET", "../x"}}, "EE_ALLOWLIST_ASSET"},
        {{{"EE_TLS_KEY", file}}, "EE_TLS_KEY is set without EE_TLS_CERT"},
        {{{"EE_PROXY_TLS_CERT", file}}, "EE_PROXY_TLS_CERT is set without EE_PROXY_TLS_KEY"},
        {{{"EE_REGISTRATION_WARN_DAYS", "31"}},
         "EE_REGISTRATION_WARN_DAYS = 31 is more than EE_REGISTRATION_TTL_DAYS = 30"},
        {{{"EE_PROXY_PORT", "8088"}}, "EE_CONTROL_PORT and EE_PROXY_PORT are both 8088 on 0.0.0.0"},
    };
    for (const auto& [environment, sentence] : cases) {
        EXPECT_THAT(refusal({}, environment), AllOf(HasSubstr(sentence), HasSubstr("has 1 problem:")));
    }
    EXPECT_EQ(good({}, {{"EE_PROXY_PORT", "8088"}, {"EE_PROXY_BIND", "127.0.0.1"}}).proxy.port, 8088);
    EXPECT_EQ(good({}, {{"EE_REGISTRATION_WARN_DAYS", "30"}}).registration_warn, std::chrono::days(30));
}

TEST_F(ConfigTest, AnUnknownVariableIsAWarningWithTheNearestName) {
    const ControlPlaneConfig config = good({}, {{"EE_CONTROL_PROT", "1"}, {"PATH", "/bin"}, {"EEL", "x"}});
    EXPECT_THAT(config.warnings, ElementsAre(AllOf(HasSubstr("EE_CONTROL_PROT"),
                                                   HasSubstr("the nearest name is EE_CONTROL_PORT"))));
}

TEST_F(ConfigTest, AVariableOfTheOtherProgramIsNoWarning) {
    EXPECT_THAT(good({}, {{"EE_APP_NAME", "x"}, {"EE_NODE_TOKEN_FILE", "x"}}).warnings, IsEmpty());
}

TEST_F(ConfigTest, AFlagOfTheOtherProgramIsRefused) {
    EXPECT_THAT(refusal({"--app-name", "x"}), HasSubstr("--app-name is not a flag of easyenclave-control"));
    EXPECT_THAT(refusal({"--control-prot", "1"}), HasSubstr("the nearest one is --control-port"));
    EXPECT_THAT(refusal({"--Control-Port", "1"}), HasSubstr("--Control-Port is not a flag"));
}

TEST_F(ConfigTest, AnUnknownKeyOfTheFileIsAWarningThatNamesTheLine) {
    const std::string file = write("ee.toml", "\nEE_DRAIN_SECS = 1\n");
    EXPECT_THAT(good({"--config", file.c_str()}).warnings,
                ElementsAre(AllOf(HasSubstr("ee.toml:2"), HasSubstr("the nearest name is EE_DRAIN_SEC"))));
}

TEST_F(ConfigTest, ASettingThatIsNotBuiltYetSaysThatItHasNoEffect) {
    const ControlPlaneConfig config = good({}, {{"EE_THREADS", "4"}, {"CLOUDFLARE_ZONE", "example.com"}});
    EXPECT_THAT(config.warnings,
                ElementsAre(AllOf(HasSubstr("EE_THREADS (environment)"), HasSubstr("not available")),
                            HasSubstr("CLOUDFLARE_ZONE")));
}

TEST_F(ConfigTest, TheFileTakesTextsNumbersBooleansAndArrays) {
    const std::string file = write("ee.toml",
                                   "EE_CONTROL_PORT = 8443\nEE_PROXY_PORT = \"9443\"\n"
                                   "EE_TRUSTED_PROXIES = [\"loopback\", \"10.0.0.0/8\"]\n"
                                   "EE_ADMIN_TOKEN = [\"old\", \"new\"]\n");
    const ControlPlaneConfig config = good({"--config", file.c_str()});
    EXPECT_EQ(config.control.port, 8443);
    EXPECT_EQ(config.proxy.port, 9443);
    EXPECT_THAT(config.trusted_proxies, ElementsAre("127.0.0.0/8", "::1/128", "10.0.0.0/8"));
    EXPECT_EQ(config.admin_tokens.size(), 2u);
}

TEST_F(ConfigTest, ABrokenFileIsRefusedWithItsLine) {
    EXPECT_THAT(refusal({"--config", "/nowhere.toml"}), HasSubstr("/nowhere.toml cannot be read"));
    const std::string broken = write("broken.toml", "EE_DRAIN_SEC = 1\nEE_CONTROL_PORT = [\n");
    EXPECT_THAT(refusal({"--config", broken.c_str()}), HasSubstr("not valid TOML"));
    const std::string twice = write("twice.toml", "EE_DRAIN_SEC = 1\nEE_DRAIN_SEC = 2\n");
    EXPECT_THAT(refusal({"--config", twice.c_str()}), HasSubstr("twice.toml:2"));
    const std::string table = write("table.toml", "[EE_DRAIN_SEC]\nx = 1\n");
    EXPECT_THAT(refusal({"--config", table.c_str()}), HasSubstr("EE_DRAIN_SEC must be a string"));
}

TEST_F(ConfigTest, ArgumentsThatAreNotFlagsOrLackAValueAreRefused) {
    EXPECT_THAT(refusal({"serve"}), HasSubstr("argument 1 is not a flag"));
    EXPECT_THAT(refusal({"--control-port"}), HasSubstr("--control-port lacks a value"));
    EXPECT_THAT(refusal({"--control-port", "--proxy-port", "1"}), HasSubstr("--control-port lacks a value"));
    EXPECT_THAT(refusal({"--config"}), HasSubstr("--config lacks a value"));
}

TEST_F(ConfigTest, HelpListsEveryFlagAndWinsOverEverythingElse) {
    const std::string help = exit_text(0, {"--nonsense", "1", "--help"});
    for (const Setting& setting : settings()) {
        if (!concerns(setting.program, Program::control_plane) || setting.rule.kind == Kind::reserved)
            continue;
        EXPECT_THAT(help, HasSubstr(flag_of(setting.name) + " VALUE, " + std::string(setting.name)));
    }
    EXPECT_EQ(exit_text(0, {"--version"}), "easyenclave-control " + std::string(version()) + "\n");
}

TEST_F(ConfigTest, PrintedSettingsAreAFileThatLoadsToTheSame) {
    const Environment environment{{"EE_CONTROL_PORT", "7"}, {"EE_APP_DOMAIN", "app.example.com"}};
    const std::string printed = exit_text(0, {"--print-config", "--drain-sec", "5"}, environment);
    EXPECT_THAT(printed, HasSubstr("EE_CONTROL_PORT = 7  # environment\n"));
    EXPECT_THAT(printed, HasSubstr("EE_DRAIN_SEC = 5  # flag --drain-sec\n"));
    EXPECT_THAT(printed, HasSubstr("EE_PROXY_PORT = 9090  # default\n"));
    EXPECT_THAT(printed, HasSubstr("# EE_TLS_CERT is not set\n"));

    const std::string file = write("printed.toml", printed);
    const ControlPlaneConfig config = good({"--config", file.c_str()});
    EXPECT_EQ(config.control.port, 7);
    EXPECT_EQ(config.app_domain, "app.example.com");
    EXPECT_EQ(config.drain_timeout, 5s);
    EXPECT_EQ(config.body_bytes_max, 64u << 20);
}

TEST_F(ConfigTest, CheckingAGoodConfigurationExitsWithZeroAndItsWarnings) {
    const std::string text = exit_text(0, {"--check-config"}, {{"EE_DRIAN_SEC", "1"}});
    EXPECT_THAT(text, AllOf(HasSubstr("the configuration is good"), HasSubstr("warning: EE_DRIAN_SEC")));
}

TEST_F(ConfigTest, WhatInspectionsFindIsToldWithItsOwnProblems) {
    const std::string file = write("networks.toml", "x");
    std::vector<std::filesystem::path> asked;
    Findings findings{.problems = {"line 1 is wrong", "line 2 is wrong"}, .warnings = {"line 3 is unwise"}};
    const Inspections<ControlPlaneConfig> inspections = {
        {{"EE_DRAIN_SEC", "EE_NETWORKS_FILE"}, [&](const ControlPlaneConfig& config) {
             asked.push_back(*config.networks_file);
             return findings;
         }}};
    const auto load_with = [&](std::vector<const char*> flags, const std::string& name) {
        flags.insert(flags.begin(), "easyenclave-control");
        return load_control_plane_config(static_cast<int>(flags.size()), flags.data(),
                                         {{"EE_NETWORKS_FILE", name}, {"EE_THREADS", "1"}}, inspections);
    };
    for (const char* action : {"--check-config", "--log-level=info"}) {
        const auto refused = std::get<ExitRequest>(load_with({action, "--control-port=x"}, file));
        EXPECT_EQ(refused.code, exit_config_invalid);
        EXPECT_THAT(refused.text, HasSubstr("3 problems"));
        EXPECT_THAT(refused.text, HasSubstr("EE_CONTROL_PORT"));
        EXPECT_THAT(refused.text, HasSubstr("\n  line 1 is wrong\n  line 2 is wrong\n"));
        EXPECT_THAT(refused.text, HasSubstr("warning: line 3 is unwise"));
    }
    EXPECT_EQ(asked, (std::vector<std::filesystem::path>{file, file}));
    EXPECT_EQ(std::get<ExitRequest>(load_with({"--print-config"}, file)).code, 0) << "it shows, no more";
    findings.problems.clear();
    const auto config = std::get<ControlPlaneConfig>(load_with({}, file));
    EXPECT_THAT(config.warnings, testing::Contains("line 3 is unwise"));
    // A file that is not there is a problem by itself.
    asked.clear();
    EXPECT_EQ(std::get<ExitRequest>(load_with({}, folder_ + "/none")).code, exit_config_invalid);
    EXPECT_TRUE(asked.empty());
}

TEST_F(ConfigTest, ASimulatedPlatformNeedsItsFolder) {
    EXPECT_THAT(refusal({}, {{"EE_QUOTE_PROVIDER", "simulated"}}),
                HasSubstr("EE_QUOTE_PROVIDER is simulated and EE_SIMULATED_TDX_DIR is not set"));
}

TEST_F(ConfigTest, WhatAStartAloneReadsIsNamedWhereItHasChanged) {
    const std::string file = write("ee.toml", "EE_ATTEST_INTERVAL_SEC = 600\nEE_LOG_LEVEL = \"info\"\n");
    const ControlPlaneConfig at_start = good({"--config", file.c_str()});
    EXPECT_THAT(waiting_for_restart(at_start, good({"--config", file.c_str()})), IsEmpty());
    write("ee.toml",
          "EE_ATTEST_INTERVAL_SEC = 60\nEE_LOG_LEVEL = \"warn\"\nEE_ADMIN_TOKEN = \"new\"\nEE_DRAIN_SEC = 1\n"
          "EE_WEBHOOK_URL = \"https://hooks.example/secret\"\n"
          "EE_WEBHOOK_SECRET = \"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"\n");
    EXPECT_THAT(waiting_for_restart(at_start, good({"--config", file.c_str()})),
                ElementsAre("EE_ATTEST_INTERVAL_SEC", "EE_WEBHOOK_URL", "EE_WEBHOOK_SECRET", "EE_DRAIN_SEC"));
    // It has been taken away again: the default.
    write("ee.toml", "EE_ATTEST_INTERVAL_SEC = 600\n");
    EXPECT_THAT(waiting_for_restart(at_start, good({"--config", file.c_str()})), IsEmpty());
}

}  // namespace
}  // namespace ee::config

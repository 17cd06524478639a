#include "config/dangerous_settings.h"

#include <gmock/gmock.h>

namespace ee::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

ControlPlaneConfig harmless() {
    ControlPlaneConfig config;
    config.control.host = "0.0.0.0";
    config.control_tls = TlsFiles{"cert.pem", "key.pem"};
    config.github_api_url = "https://api.github.com";
    config.trusted_proxies = {"127.0.0.0/8", "::1/128"};
    config.quote_provider = "auto";
    config.health_timeout = std::chrono::seconds(15);
    return config;
}

TEST(DangerousSettings, OfHarmlessOnesNothingIsSaid) {
    EXPECT_THAT(dangerous_settings(harmless()), IsEmpty());
    ControlPlaneConfig local = harmless();
    local.control_tls.reset();
    for (const char* host : {"127.0.0.1", "127.1.2.3", "::1"}) {
        local.control.host = host;
        EXPECT_THAT(dangerous_settings(local), IsEmpty()) << host;
    }
}

TEST(DangerousSettings, EachIsNamed) {
    const auto with = [](auto change) {
        ControlPlaneConfig config = harmless();
        change(config);
        return dangerous_settings(config);
    };
    EXPECT_THAT(with([](auto& c) { c.control_tls.reset(); }), ElementsAre(StartsWith("EE_TLS_CERT")));
    EXPECT_THAT(with([](auto& c) { c.tdx_root_ca = "root.pem"; }), ElementsAre(StartsWith("EE_TDX_ROOT_CA")));
    EXPECT_THAT(with([](auto& c) { c.quote_provider = "simulated"; }),
                ElementsAre(StartsWith("EE_QUOTE_PROVIDER")));
    EXPECT_THAT(with([](auto& c) { c.allowlist_dir = "lists"; }),
                ElementsAre(StartsWith("EE_ALLOWLIST_DIR")));
    EXPECT_THAT(with([](auto& c) { c.github_api_url = "http://mirror"; }),
                ElementsAre(StartsWith("EE_GITHUB_API_URL")));
    EXPECT_THAT(with([](auto& c) { c.health_timeout = std::chrono::seconds(14); }),
                ElementsAre(StartsWith("EE_HEALTH_TIMEOUT_SEC is 14")));
    EXPECT_THAT(with([](auto& c) { c.trusted_proxies = {"10.0.0.0/8", "0.0.0.0/0", "::/0"}; }),
                ElementsAre(StartsWith("EE_TRUSTED_PROXIES has 0.0.0.0/0"),
                            StartsWith("EE_TRUSTED_PROXIES has ::/0")));
}

}  // namespace
}  // namespace ee::config

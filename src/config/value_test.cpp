#include "config/value.h"

#include <gtest/gtest.h>

namespace ee::config {
namespace {

struct TextCase {
    std::string text;
    bool good;
};

void expect_each(bool (*check)(std::string_view), const std::vector<TextCase>& cases) {
    for (const TextCase& c : cases) EXPECT_EQ(check(c.text), c.good) << '"' << c.text << '"';
}

TEST(ConfigValue, AWholeNumberIsDecimalDigitsAndNothingElse) {
    const std::pair<std::string_view, std::optional<std::int64_t>> cases[] = {
        {"0", 0},
        {"8088", 8088},
        {"007", 7},
        {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
        {"9223372036854775808", std::nullopt},
        {"", std::nullopt},
        {"-1", std::nullopt},
        {"+1", std::nullopt},
        {" 1", std::nullopt},
        {"1 ", std::nullopt},
        {"1_0", std::nullopt},
        {"1e3", std::nullopt},
        {"0x10", std::nullopt},
        {"1.0", std::nullopt},
        {"\u0661\u0662", std::nullopt},
    };
    for (const auto& [text, value] : cases) EXPECT_EQ(parse_integer(text), value) << text;
}

TEST(ConfigValue, AByteSizeTakesBinaryUnitsOnly) {
    const std::pair<std::string_view, std::optional<std::int64_t>> cases[] = {
        {"65536", 65536},
        {"64 KiB", 65536},
        {"64KiB", 65536},
        {"64 mib", 64 << 20},
        {"1 GiB", 1 << 30},
        {"12 B", 12},
        {"64 MB", std::nullopt},
        {"64 M", std::nullopt},
        {"MiB", std::nullopt},
        {"1.5 MiB", std::nullopt},
        {"-1 MiB", std::nullopt},
        {"64 MiB x", std::nullopt},
        {"9223372036854775807 GiB", std::nullopt},
    };
    for (const auto& [text, value] : cases) EXPECT_EQ(parse_byte_size(text), value) << text;
}

TEST(ConfigValue, ABooleanIsOneOfEightWords) {
    for (const char* word : {"true", "TRUE", "yes", "on", "1"}) EXPECT_EQ(parse_boolean(word), true) << word;
    for (const char* word : {"false", "False", "no", "off", "0"})
        EXPECT_EQ(parse_boolean(word), false) << word;
    for (const char* word : {"", "2", "truee", "enabled", " true"})
        EXPECT_EQ(parse_boolean(word), std::nullopt) << word;
}

TEST(ConfigValue, NetworksExpandTheWords) {
    using List = std::vector<std::string>;
    EXPECT_EQ(parse_networks("loopback"), (List{"127.0.0.0/8", "::1/128"}));
    EXPECT_EQ(parse_networks("10.0.0.0/8, 192.0.2.7 ,2001:db8::/32"),
              (List{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"}));
    EXPECT_EQ(parse_networks("docker,10.0.0.0/8"), (List{"172.16.0.0/12", "10.0.0.0/8"}));
    EXPECT_EQ(parse_networks("none"), List{});
    const auto cloudflare = parse_networks("cloudflare");
    ASSERT_TRUE(cloudflare);
    EXPECT_EQ(cloudflare->size(), 22u);
    for (const std::string& network : *cloudflare) EXPECT_TRUE(parse_networks(network)) << network;
}

TEST(ConfigValue, NetworksRefuseWhatIsNeitherNetworkNorWord) {
    for (const char* text : {"", ",", "10.0.0.0/8,", "10.0.0.0/33", "2001:db8::/129", "10.0.0/8", "10.0.0.0/",
                             "10.0.0.0/x", "example.com", "Loopback", "none,loopback", "::1%lo"})
        EXPECT_FALSE(parse_networks(text)) << text;
}

TEST(ConfigValue, TokensAreTrimmedAndVisible) {
    EXPECT_EQ(parse_tokens("one"), std::vector<std::string>{"one"});
    EXPECT_EQ(parse_tokens(" one , two\n"), (std::vector<std::string>{"one", "two"}));
    for (const char* text : {"", ",", "one,", "one,,two", "two words", "t\xc3\xb6ken", "a\x01"})
        EXPECT_FALSE(parse_tokens(text)) << text;
}

TEST(ConfigValue, Addresses) {
    expect_each(is_ip_address, {{"0.0.0.0", true},
                                {"127.0.0.1", true},
                                {"::", true},
                                {"2001:db8::1", true},
                                {"", false},
                                {"localhost", false},
                                {"256.0.0.1", false},
                                {"[::1]", false},
                                {std::string("1.2.3.4\0x", 9), false}});
}

TEST(ConfigValue, Domains) {
    expect_each(is_domain, {{"app.example.com", true},
                            {"App.Example.com", true},
                            {"localhost", true},
                            {"", false},
                            {".example.com", false},
                            {"example.com.", false},
                            {"a..b", false},
                            {"*.example.com", false}});
}

TEST(ConfigValue, IdentitiesFollowTheRulesOfTheTunnel) {
    struct Case {
        Kind kind;
        std::string_view good, bad;
    };
    const Case cases[] = {{Kind::repository, "org/repo", "org"},
                          {Kind::release_tag, "v0.1.3", "/v1"},
                          {Kind::dns_label, "myapp", "MyApp"},
                          {Kind::network_name, "forge-1", "forge 1"},
                          {Kind::identifier, "3f2b:x.y_z-1", "a b"}};
    for (const Case& c : cases) {
        EXPECT_TRUE(accepts({.kind = c.kind}, c.good)) << c.good;
        EXPECT_FALSE(accepts({.kind = c.kind}, c.bad)) << c.bad;
    }
}

TEST(ConfigValue, AUrlHasAKnownSchemeAHostAndNoUser) {
    struct Case {
        std::string_view text;
        bool any_path;
        bool origin;
    };
    const Case cases[] = {
        {"http://example.com", true, true},
        {"https://example.com/", true, true},
        {"http://127.0.0.1:8080", true, true},
        {"http://[::1]:8080", true, true},
        {"http://[::1]", true, true},
        {"http://example.com/path?query", true, false},
        {"http://example.com?query", true, false},
        {"ftp://example.com", false, false},
        {"HTTP://example.com", false, false},
        {"://example.com", false, false},
        {"example.com", false, false},
        {"http://", false, false},
        {"http://:80", false, false},
        {"http://example.com:", false, false},
        {"http://example.com:0", false, false},
        {"http://example.com:65536", false, false},
        {"http://user@example.com", false, false},
        {"http://user:password@example.com", false, false},
        {"http://[::1", false, false},
        {"http://[127.0.0.1]", false, false},
        {"http://exa mple.com", false, false},
        {"http://example.com/#part", false, false},
        {"http://example.com/\r\nX: y", false, false},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(is_url(c.text, "http https", false), c.any_path) << c.text;
        EXPECT_EQ(is_url(c.text, "http https", true), c.origin) << c.text;
    }
    EXPECT_TRUE(is_url("wss://control.example.com:8088/v1/tunnel", "ws wss", false));
    EXPECT_TRUE(is_url("unix:/run/app.sock", "http https unix", true));
    EXPECT_FALSE(is_url("unix:/run/app.sock", "http https", true));
    EXPECT_TRUE(is_url("h2c+unix:/run/app.sock", "http h2c unix", true));
    EXPECT_FALSE(is_url("h2c+unix:run/app.sock", "http h2c unix", true));
    EXPECT_FALSE(is_url("h2c+unix:/run/app.sock", "http unix", true));
    EXPECT_FALSE(is_url("h2c+unix:/run/app.sock", "http h2c", true));
    EXPECT_FALSE(is_url("http+unix:/run/app.sock", "http h2c unix", true));
    EXPECT_FALSE(is_url("unix:run/app.sock", "http https unix", true));
    EXPECT_FALSE(is_url("unix://example.com", "http https", true));
    EXPECT_FALSE(is_url("w://control.example.com", "ws wss", false));
}

TEST(ConfigValue, RangesHoldAtBothEnds) {
    const Rule rule{.kind = Kind::integer, .min = 2, .max = 5};
    for (const char* text : {"2", "5"}) EXPECT_TRUE(accepts(rule, text)) << text;
    for (const char* text : {"1", "6", "x"}) EXPECT_FALSE(accepts(rule, text)) << text;
}

TEST(ConfigValue, AChoiceIsOneWholeWord) {
    const Rule rule{.kind = Kind::choice, .words = "auto json text"};
    for (const char* text : {"auto", "json", "text"}) EXPECT_TRUE(accepts(rule, text)) << text;
    for (const char* text : {"", "aut", "auto json", "JSON", " json"})
        EXPECT_FALSE(accepts(rule, text)) << text;
}

TEST(ConfigValue, FilesAndFoldersMustExist) {
    EXPECT_TRUE(accepts({.kind = Kind::file}, "/dev/null"));
    EXPECT_FALSE(accepts({.kind = Kind::file}, "/"));
    EXPECT_FALSE(accepts({.kind = Kind::file}, "/nowhere/at/all"));
    EXPECT_TRUE(accepts({.kind = Kind::directory}, "/"));
    EXPECT_FALSE(accepts({.kind = Kind::directory}, "/dev/null"));
    EXPECT_TRUE(accepts({.kind = Kind::path}, "data/not-yet-there.db"));
}

}  // namespace
}  // namespace ee::config

#include "http/target.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

TEST(Target, SplitsAtTheFirstQuestionMark) {
    EXPECT_EQ(split_origin_form("/a/b?c=d?e").path, "/a/b");
    EXPECT_EQ(split_origin_form("/a/b?c=d?e").query, "c=d?e");
    EXPECT_EQ(split_origin_form("/a").path, "/a");
    EXPECT_EQ(split_origin_form("/a").query, "");
}

TEST(Target, DecodesOneSegmentStrictly) {
    const struct {
        const char* segment;
        std::optional<std::string> decoded;
    } rows[] = {
        {"plain+x", "plain+x"},
        {"a%2Fb%2f", "a/b/"},
        {"%41%7e", "A~"},
        {"", ""},
        {"%C3%A4", "\xc3\xa4"},
        {"%", std::nullopt},
        {"%4", std::nullopt},
        {"%4g", std::nullopt},
        {"%%41", std::nullopt},
        {"%00", std::nullopt},
        {"%0d%0a", std::nullopt},
        {"%7F", std::nullopt},
        {"%g0%90%80%80", std::nullopt},
        {"%C3", std::nullopt},
        {"%C0%AF", std::nullopt},
        {"%u0041", std::nullopt},
    };
    for (const auto& row : rows) EXPECT_EQ(percent_decode_segment(row.segment), row.decoded) << row.segment;
}

TEST(Target, TakesAQueryApart) {
    std::string_view query = "&&a%20b=c%20=d&%zz&=&e&";
    const struct {
        std::optional<std::string> name;
        std::string_view value;
    } rows[] = {{"a b", "c%20=d"}, {std::nullopt, ""}, {"", ""}, {"e", ""}};
    for (const auto& row : rows) {
        const auto taken = take_query_parameter(query);
        ASSERT_TRUE(taken);
        EXPECT_EQ(taken->name, row.name);
        EXPECT_EQ(taken->value, row.value);
    }
    EXPECT_FALSE(take_query_parameter(query));
    EXPECT_EQ(query, "");
}

TEST(Target, FindsOneQueryParameter) {
    EXPECT_EQ(*query_parameter("limit=50&cursor=a%2Bb+c", "cursor"), "a+b c");
    EXPECT_EQ(*query_parameter("limit=50", "cursor"), std::nullopt);
    EXPECT_EQ(*query_parameter("", "cursor"), std::nullopt);
    EXPECT_EQ(*query_parameter("dry_run&x=", "dry_run"), "");
    EXPECT_EQ(*query_parameter("%6cimit=1", "limit"), "1");
    EXPECT_EQ(*query_parameter("bad%zz=1&limit=2", "limit"), "2");
    for (const char* query : {"limit=1&limit=1", "limit=%zz", "limit=%00"}) {
        const auto refused = query_parameter(query, "limit");
        ASSERT_FALSE(refused) << query;
        EXPECT_EQ(refused.error().code, "invalid_parameter:limit");
    }
}

TEST(Target, ReadsAuthorities) {
    using Kind = Authority::Kind;
    const struct {
        const char* text;
        const char* host;
        std::optional<std::uint16_t> port;
        Kind kind;
    } rows[] = {
        {"app.example", "app.example", std::nullopt, Kind::name},
        {"App_1.example.:8080", "App_1.example.", 8080, Kind::name},
        {"h:", "h", std::nullopt, Kind::name},
        {"192.0.2.1:1", "192.0.2.1", 1, Kind::ipv4},
        {"192.0.2.256", "192.0.2.256", std::nullopt, Kind::name},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535, Kind::ipv6},
        {"[::1]", "::1", std::nullopt, Kind::ipv6},
    };
    for (const auto& row : rows) {
        const auto authority = parse_authority(row.text);
        ASSERT_TRUE(authority) << row.text;
        EXPECT_EQ(authority->host, row.host) << row.text;
        EXPECT_EQ(authority->port, row.port) << row.text;
        EXPECT_EQ(authority->kind, row.kind) << row.text;
    }
    const std::string too_long(254, 'a'), digits(250, '1'), bracketed = "[" + digits + "]";
    EXPECT_EQ(parse_authority(digits)->kind, Kind::name);
    for (const std::string_view text :
         {std::string_view(""),           std::string_view(":80"),    std::string_view("h:0"),
          std::string_view("h:65536"),    std::string_view("h:+1"),   std::string_view("h:1:2"),
          std::string_view("h:000080"),   std::string_view("::1"),    std::string_view("[::1"),
          std::string_view("[::1]x"),     std::string_view("[]"),     std::string_view("[h]"),
          std::string_view("[::1%eth0]"), std::string_view("u@h"),    std::string_view("h/x"),
          std::string_view("h h"),        std::string_view("h,i"),    std::string_view("h%41"),
          std::string_view("\xc3\xa4"),   std::string_view("h\0", 2), std::string_view(too_long),
          std::string_view(bracketed)}) {
        EXPECT_FALSE(parse_authority(text)) << text;
    }
}

TEST(Target, KnowsLabelsAndDomains) {
    EXPECT_EQ(first_label("app.example.com"), "app");
    EXPECT_EQ(first_label("app"), "app");
    EXPECT_TRUE(is_under_domain("App.Example.COM", "example.com"));
    EXPECT_TRUE(is_under_domain("a.b.example.com", "example.com"));
    for (const char* host :
         {"example.com", ".example.com", "badexample.com", "app.example.org", "app.example.com."}) {
        EXPECT_FALSE(is_under_domain(host, "example.com")) << host;
    }
    EXPECT_FALSE(is_under_domain("app.", ""));
    for (const char* label : {"a", "0", "my-app-1", "a--b"}) EXPECT_TRUE(is_dns_label(label)) << label;
    for (const char* label : {"", "-a", "a-", "A", "a.b", "a_b", "\xc3\xa4"})
        EXPECT_FALSE(is_dns_label(label)) << label;
    EXPECT_TRUE(is_dns_label(std::string(63, 'a')));
    EXPECT_FALSE(is_dns_label(std::string(64, 'a')));
    EXPECT_EQ(to_lower("AbZ[9\xc3"), "abz[9\xc3");
}

}  // namespace
}  // namespace ee::http

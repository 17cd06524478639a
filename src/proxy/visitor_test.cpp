#include "proxy/visitor.h"

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

using http::Field;

TrustSettings trust(std::string app_domain = "apps.example") {
    return {.trusted_proxies = {*net::Cidr::parse("127.0.0.0/8"), *net::Cidr::parse("10.0.0.0/8"),
                                *net::Cidr::parse("fd00::/8")},
            .cloudflare = {*net::Cidr::parse("10.7.0.0/16"), *net::Cidr::parse("192.0.2.0/24")},
            .app_domain = std::move(app_domain)};
}

struct Seen {
    std::string client;
    bool trusted;

    friend bool operator==(const Seen&, const Seen&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Seen& seen) {
        return out << seen.client << (seen.trusted ? " trusted" : "");
    }
};

Seen identify(std::string_view peer, std::vector<Field> fields) {
    http::RequestHead head;
    head.fields = std::move(fields);
    const Visitor visitor = identify_visitor(head, {*net::IpAddress::parse(peer), 5}, trust());
    return {visitor.client.to_string(), visitor.peer_trusted};
}

// ---- Who ----

TEST(Visitor, IsThePeerItselfUnlessATrustedProxySaysOtherwise) {
    EXPECT_EQ(identify("192.0.2.1", {}), (Seen{"192.0.2.1", false}));
    EXPECT_EQ(identify("192.0.2.1", {{"X-Forwarded-For", "198.51.100.7"}}), (Seen{"192.0.2.1", false}));
    EXPECT_EQ(identify("10.0.0.1", {}), (Seen{"10.0.0.1", true}));
    EXPECT_EQ(identify("10.0.0.1", {{"X-Forwarded-For", "198.51.100.7"}}), (Seen{"198.51.100.7", true}));
    EXPECT_EQ(identify("fd00::1", {{"x-forwarded-for", "2001:db8::7"}}), (Seen{"2001:db8::7", true}));
    EXPECT_EQ(identify("::ffff:10.0.0.1", {{"X-Forwarded-For", "::ffff:198.51.100.7"}}),
              (Seen{"198.51.100.7", true}));
}

TEST(Visitor, IsWhomCloudflareNamesWhereItsEdgeIsTrusted) {
    const Field named{"CF-Connecting-IP", "198.51.100.7"}, forwarded{"X-Forwarded-For", "203.0.113.9"};
    EXPECT_EQ(identify("10.7.0.1", {named}), (Seen{"198.51.100.7", true}));
    EXPECT_EQ(identify("10.7.0.1", {forwarded, named}), (Seen{"198.51.100.7", true}));
    EXPECT_EQ(identify("10.7.0.1", {{"cf-connecting-ip", " 2001:db8::7 "}}), (Seen{"2001:db8::7", true}));
    // Not of others, nor what names nobody, or two.
    EXPECT_EQ(identify("10.0.0.1", {forwarded, named}), (Seen{"203.0.113.9", true}));
    EXPECT_EQ(identify("192.0.2.1", {named}), (Seen{"192.0.2.1", false})) << "its edge, and not trusted";
    EXPECT_EQ(identify("10.7.0.1", {forwarded}), (Seen{"203.0.113.9", true}));
    EXPECT_EQ(identify("10.7.0.1", {forwarded, {"CF-Connecting-IP", "unknown"}}),
              (Seen{"203.0.113.9", true}));
    EXPECT_EQ(identify("10.7.0.1", {forwarded, named, {"CF-Connecting-IP", "198.51.100.8"}}),
              (Seen{"203.0.113.9", true}));
}

TEST(Visitor, KnowsWhetherItIsCloudflaresWord) {
    const auto is_its_word = [](std::string_view peer, std::string_view said) {
        http::RequestHead head;
        head.fields = {{"CF-Connecting-IP", said}};
        return identify_visitor(head, {*net::IpAddress::parse(peer), 5}, trust()).is_cloudflares_word;
    };
    EXPECT_TRUE(is_its_word("10.7.0.1", "198.51.100.7"));
    EXPECT_FALSE(is_its_word("10.7.0.1", "unknown"));
    EXPECT_FALSE(is_its_word("10.0.0.1", "198.51.100.7")) << "trusted, and not its edge";
    EXPECT_FALSE(is_its_word("192.0.2.1", "198.51.100.7")) << "its edge, and not trusted";
}

TEST(Visitor, IsTheRightMostUntrustedAddressOfTheChain) {
    struct Row {
        std::vector<Field> fields;
        const char* client;
    };
    const Row rows[] = {
        // What stands left of the first untrusted address was written by anybody.
        {{{"X-Forwarded-For", "1.1.1.1, 198.51.100.7"}}, "198.51.100.7"},
        {{{"X-Forwarded-For", "198.51.100.7, 10.0.0.9"}}, "198.51.100.7"},
        {{{"X-Forwarded-For", "1.1.1.1,198.51.100.7 ,\t10.0.0.9,127.0.0.1"}}, "198.51.100.7"},
        {{{"X-Forwarded-For", "10.0.0.8, 10.0.0.9"}}, "10.0.0.8"},  // All trusted: the first.
        // Several fields are one list (RFC 9110 section 5.3).
        {{{"X-Forwarded-For", "1.1.1.1"}, {"A", "b"}, {"x-forwarded-for", "198.51.100.7"}}, "198.51.100.7"},
        {{{"X-Forwarded-For", "198.51.100.7"}, {"X-Forwarded-For", "10.0.0.9"}}, "198.51.100.7"},
        // Nobody we trust wrote what is left of something malformed.
        {{{"X-Forwarded-For", "198.51.100.7, unknown"}}, "10.0.0.1"},
        {{{"X-Forwarded-For", "198.51.100.7, , 10.0.0.9"}}, "10.0.0.9"},
        {{{"X-Forwarded-For", "198.51.100.7, 10.0.0.9, "}}, "10.0.0.1"},
        {{{"X-Forwarded-For", "198.51.100.7:4711"}}, "10.0.0.1"},
        {{{"X-Forwarded-For", ""}}, "10.0.0.1"},
        {{{"X-Forwarded-For", ","}}, "10.0.0.1"},
        {{{"X-Real-IP", "198.51.100.7"}, {"Forwarded", "for=198.51.100.7"}}, "10.0.0.1"},
    };
    for (const Row& row : rows)
        EXPECT_EQ(identify("10.0.0.1", row.fields), (Seen{row.client, true})) << row.fields[0].value;
}

// ---- Which app ----

// The app, or "missing_app".
std::string app(std::string_view authority, bool trusted, std::vector<Field> fields = {},
                const std::string& domain = "apps.example") {
    http::RequestHead head;
    head.authority = authority;
    head.fields = std::move(fields);
    const auto selected = select_app(head, trusted, trust(domain));
    return selected ? *selected : selected.error().code;
}

TEST(SelectApp, TakesTheFirstLabelOfAHostUnderTheAppDomain) {
    for (const bool trusted : {false, true}) {
        EXPECT_EQ(app("myapp.apps.example", trusted), "myapp");
        EXPECT_EQ(app("MyApp.Apps.Example:8443", trusted), "myapp");
        EXPECT_EQ(app("my-app2.apps.example", trusted), "my-app2");
        EXPECT_EQ(app("myapp.extra.apps.example", trusted), "myapp");
        for (const char* other : {"", "apps.example", "myapp.example", "myapp.apps.example.evil",
                                  "myappapps.example", "127.0.0.1", "[::1]", "my_app.apps.example",
                                  "-a.apps.example", "a-.apps.example", ".apps.example"})
            EXPECT_EQ(app(other, trusted), "missing_app") << other;
    }
    EXPECT_EQ(app(std::string(64, 'a') + ".apps.example", false), "missing_app");
    EXPECT_EQ(app(std::string(63, 'a') + ".apps.example", false), std::string(63, 'a'));
}

TEST(SelectApp, WithoutAnAppDomainBelievesTheHostOfATrustedPeerOnly) {
    EXPECT_EQ(app("myapp.any.example", true, {}, ""), "myapp");
    EXPECT_EQ(app("myapp", true, {}, ""), "myapp");
    EXPECT_EQ(app("myapp.any.example", false, {}, ""), "missing_app");
    for (const char* address : {"127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", ""})
        EXPECT_EQ(app(address, true, {}, ""), "missing_app") << address;
}

// One of them may be the visitor's.
TEST(SelectApp, NamedTwiceItIsNoApp) {
    http::RequestHead head;
    head.authority = "other.apps.example";
    for (const char* second : {"myapp", "mine"}) {
        head.fields = {{"X-EE-App", "myapp"}, {"x-ee-app", second}};
        const auto selected = select_app(head, true, trust());
        ASSERT_FALSE(selected);
        EXPECT_EQ(selected.error().code, "missing_app");
        EXPECT_NE(selected.error().detail.find("more than one X-EE-App"), std::string::npos);
    }
}

TEST(SelectApp, ATrustedPeerMayNameIt) {
    for (const std::string domain : {"", "apps.example"}) {
        EXPECT_EQ(app("other.apps.example", true, {{"x-ee-app", "MyApp"}}, domain), "myapp");
        EXPECT_EQ(app("127.0.0.1", true, {{"X-EE-App", "myapp"}}, domain), "myapp");
        EXPECT_EQ(app("", true, {{"X-EE-App", "myapp"}}, domain), "myapp");
        for (const char* bad : {"", "my app", "my.app", "../x", "-a"})
            EXPECT_EQ(app("other.apps.example", true, {{"X-EE-App", bad}}, domain), "missing_app") << bad;
    }
    EXPECT_EQ(app("other.apps.example", false, {{"X-EE-App", "myapp"}, {"X-EE-App", "x"}}), "other");
    EXPECT_EQ(app("other.apps.example", false, {{"X-EE-App", "myapp"}}), "other");
    EXPECT_EQ(app("127.0.0.1", false, {{"X-EE-App", "myapp"}}), "missing_app");
}

TEST(SelectApp, ToldByWhomItDoesNotBelieveItSaysSo) {
    http::RequestHead head;
    head.authority = "127.0.0.1";
    const auto says_so = [&](bool trusted) {
        const auto selected = select_app(head, trusted, trust());
        return !selected && selected.error().detail.find("EE_TRUSTED_PROXIES") != std::string::npos;
    };
    EXPECT_FALSE(says_so(false)) << "it named none";
    head.fields = {{"X-EE-App", "myapp"}};
    EXPECT_TRUE(says_so(false));
    head.fields = {{"X-EE-App", "my app"}};
    EXPECT_FALSE(says_so(true));
}

}  // namespace
}  // namespace ee::proxy

#include "net/url.h"

#include <gtest/gtest.h>

#include "net/address.h"

namespace ee::net {
namespace {

TEST(Url, ParsesWhatTheSettingsUse) {
    const Url ws = parse_url("WSS://control.example.com:8088/v1/tunnel?x=1").value();
    EXPECT_EQ(ws.scheme, "wss");
    EXPECT_EQ(ws.host, "control.example.com");
    EXPECT_EQ(ws.port, 8088);
    EXPECT_EQ(ws.path, "/v1/tunnel?x=1");
    EXPECT_EQ(ws.authority(), "control.example.com:8088");
    EXPECT_EQ(parse_url("http://[::1]:80").value().authority(), "[::1]");
    EXPECT_EQ(parse_url("unix:/run/app.sock").value().host, "/run/app.sock");
    EXPECT_TRUE(parse_url("h2c+unix:/run/app.sock").value().is_unix());
    EXPECT_EQ(parse_url("h2c+unix:/run/app.sock").value().host, "/run/app.sock");
    EXPECT_TRUE(parse_url("h2c+unix:/run/app.sock").value().is_loopback());
    for (const auto& [text, is_http2] : {std::pair{"h2c://h", true},
                                         {"h2c+unix:/s", true},
                                         {"unix:/s", false},
                                         {"http://h", false},
                                         {"https://h", false}})
        EXPECT_EQ(parse_url(text).value().is_http2(), is_http2) << text;
    EXPECT_TRUE(parse_url("http://127.9.0.1").value().is_loopback());
    EXPECT_TRUE(parse_url("http://[::1]").value().is_loopback());
    EXPECT_FALSE(parse_url("http://10.0.0.1").value().is_loopback());
}

TEST(Url, RefusesTheRestWithAReason) {
    for (const char* bad :
         {"", "localhost:80", "ftp://x", "http://", "http://u@h", "http://h:0", "http://h:65536",
          "http://h:x", "http://[::1", "http://[zz]", "http://[::1]x", "http://h/#f", "unix:relative",
          "h2c+unix:relative", "unix", "http+unix:/x", "http://a b"})
        EXPECT_FALSE(parse_url(bad)) << bad;
}

}  // namespace
}  // namespace ee::net

#include "agent/advice.h"

#include <gtest/gtest.h>

namespace ee::agent {
namespace {

// The commonest mistakes in EE_CONTROL_WS and EE_TLS_CA, by what they look like from here.
TEST(ConnectionAdvice, NamesTheSettingForWhichThereIsNoTunnel) {
    struct Row {
        LostConnection lost;
        std::string_view named;
    };
    const Row rows[] = {
        {{false, "connect_failed", "c.example:8088: Connection refused"}, "host and port"},
        {{true, "tls_failed", "error:0A00010B:SSL routines::wrong version number"}, "ws://"},
        {{true, "tls_failed",
          "error:0A000086:SSL routines::certificate verify failed (certificate: self-signed certificate)"},
         "EE_TLS_CA"},
        {{false, "closed", "the peer closed the connection"}, "wss://"},
        {{false, "connection_lost", "Connection reset by peer"}, "wss://"},
        {{false, "timeout", ""}, "wss://"},
        {{false, "bad_handshake", "no HTTP answer to the upgrade"}, "wss://"},
        {{true, "closed", "the peer closed the connection"}, "host and port"},
        {{true, "bad_handshake", "", 404}, "/v1/tunnel"},
        {{true, "bad_handshake", "", 400}, "EE_CONTROL_PORT"},
        {{true, "bad_handshake", "", 101}, "on the way"},
        {{true, "bad_handshake", "", 429}, "tries again"},
        {{true, "bad_handshake", "", 503}, "tries again"},
    };
    for (const Row& row : rows)
        EXPECT_NE(connection_advice(row.lost).find(row.named), std::string_view::npos)
            << row.lost.code << " " << row.lost.status << ": " << connection_advice(row.lost);
    EXPECT_EQ(connection_advice({true, "invalid_url", ""}), "");
}

}  // namespace
}  // namespace ee::agent

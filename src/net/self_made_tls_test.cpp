// A server with a certificate of its own making and a client that judges it by itself, without sockets.
#include <gtest/gtest.h>

#include "net/test_certificate.h"
#include "net/tls.h"

namespace ee::net {
namespace {

using crypto::KeyKind;
using crypto::SigningKey;

constexpr std::string_view first = "first/1";
constexpr std::string_view second = "second";

struct SelfMadeTls : testing::Test {
    SelfMadeTls() { certificate = self_made_certificate(key); }
    std::shared_ptr<const TlsContext> context() const {
        const std::string_view protocols[] = {first, second};
        return TlsContext::self_made_server(certificate, key, protocols).value();
    }
    // Until neither side has anything to say; what each has heard.
    void carry() {
        for (bool any = true; any;) {
            const std::string to_server = std::exchange(client->output(), {});
            const std::string to_client = std::exchange(server->output(), {});
            any = !to_server.empty() || !to_client.empty();
            take(*server, to_server, server_heard, server_error);
            take(*client, to_client, client_heard, client_error);
        }
    }
    static void take(TlsSession& session, std::string_view bytes, std::string& heard, std::string& error) {
        char buffer[4096];
        session.feed(bytes);
        for (;;) {
            const auto count = session.read(buffer);
            if (!count) error = count.error().code;
            if (!count || *count == 0) break;
            heard.append(buffer, *count);
        }
        session.feed({});
    }
    void shake_hands(std::string_view protocol) {
        server = std::make_unique<TlsSession>(context(), "");
        client = std::make_unique<TlsSession>(TlsContext::judging_client(protocol).value(), "myapp.app.test");
        char none[1];
        ASSERT_TRUE(client->read({none, 0}));
        carry();
        ASSERT_TRUE(client->handshake_done() && server->handshake_done()) << client_error << server_error;
    }

    SigningKey key = SigningKey::generate(KeyKind::p256);
    Bytes certificate;
    std::unique_ptr<TlsSession> server, client;
    std::string server_heard, client_heard, server_error, client_error;
};

TEST_F(SelfMadeTls, ShowsItsCertificateAndBothSidesExportTheSame) {
    shake_hands(second);
    EXPECT_EQ(client->peer_certificate(), certificate) << "whatever it is worth, expired as it is";
    EXPECT_EQ(server->peer_certificate(), std::nullopt);
    ASSERT_TRUE(client->channel_binding());
    EXPECT_EQ(client->channel_binding(), server->channel_binding());
    const auto before = client->channel_binding();
    shake_hands(second);
    EXPECT_NE(client->channel_binding(), before) << "another connection";
    EXPECT_EQ(client->peer_certificate(), certificate) << "shown again: no session is resumed";
}

TEST_F(SelfMadeTls, PicksAProtocolThatIsOfferedAndServesWithoutOne) {
    shake_hands(second);
    EXPECT_EQ(client->protocol(), second);
    EXPECT_EQ(server->protocol(), second);
    shake_hands(first);
    EXPECT_EQ(client->protocol(), first);
    shake_hands("third");
    EXPECT_EQ(client->protocol(), "");
    EXPECT_EQ(server->protocol(), "");
}

TEST_F(SelfMadeTls, EndsEachSideByItself) {
    shake_hands(first);
    client->close();
    carry();
    EXPECT_EQ(server_error, "tls_closed");
    ASSERT_EQ(server->write("still here"), 10u);
    carry();
    EXPECT_EQ(client_heard, "still here");
    EXPECT_EQ(client_error, "");
    server->close();
    carry();
    EXPECT_EQ(client_error, "tls_closed");
}

TEST_F(SelfMadeTls, NeedsAKeyThatIsTheCertificates) {
    const SigningKey other = SigningKey::generate(KeyKind::p256);
    const std::string_view protocols[] = {first};
    EXPECT_EQ(TlsContext::self_made_server(certificate, other, protocols).error().code, "tls_config_invalid");
    EXPECT_EQ(TlsContext::self_made_server(Bytes(10, 0x30), key, protocols).error().code,
              "tls_config_invalid");
}

}  // namespace
}  // namespace ee::net

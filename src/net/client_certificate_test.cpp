// Who is asked for a client certificate, and what the server makes of it. The client is OpenSSL by itself.

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "crypto/certificate.h"
#include "crypto/issuing.h"
#include "net/tls.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;
using crypto::KeyKind;
using crypto::SigningKey;
using When = CertificateRequest::When;

using ContextPtr = std::unique_ptr<SSL_CTX, crypto::FreeWith<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, crypto::FreeWith<SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, crypto::FreeWith<SSL_SESSION_free>>;

Bytes self_signed(const SigningKey& key, std::size_t padding = 0) {
    const crypto::CertificateContent content{
        .serial = {1},
        .subject = {{"CN", "self"}},
        .not_before = wall_now() - 1h,
        .not_after = wall_now() + 1h,
        .path_length_max = {},
        .subject_alternatives = {},
        .extensions = {{.oid = "1.2.3.4", .critical = false, .der = Bytes(padding)}}};
    return crypto::issue_certificate(content, key.spki(), {key, content.subject});
}

// How a handshake is made.
struct Hello {
    std::string name{};
    int version = TLS1_3_VERSION;
    const SigningKey* key = nullptr;  // shown with a certificate of its own when the server asks
    SSL_SESSION* earlier = nullptr;
    std::size_t padding = 0;  // bytes that make the certificate larger
};

// A client and a server session, their bytes carried by hand.
class Handshake {
public:
    Handshake(const std::shared_ptr<const TlsContext>& server, const Hello& hello)
        : context_(SSL_CTX_new(TLS_client_method())), server_(server, "") {
        SSL_CTX_set_min_proto_version(context_.get(), hello.version);
        SSL_CTX_set_max_proto_version(context_.get(), hello.version);
        if (hello.key != nullptr) {
            const Bytes der = self_signed(*hello.key, hello.padding);
            SSL_CTX_use_certificate_ASN1(context_.get(), static_cast<int>(der.size()), der.data());
            SSL_CTX_use_PrivateKey(context_.get(), hello.key->get());
        }
        client_.reset(SSL_new(context_.get()));
        SSL_set_connect_state(client_.get());
        SSL_set_bio(client_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        std::string name = hello.name;
        if (!name.empty())
            SSL_ctrl(client_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
        if (hello.earlier != nullptr) SSL_set_session(client_.get(), hello.earlier);
        carry();
    }

    bool done() const { return server_.handshake_done() && SSL_is_init_finished(client_.get()) == 1; }
    std::string error;  // the server's
    std::optional<Bytes> seen() const { return server_.peer_certificate(); }
    bool resumed() const { return SSL_session_reused(client_.get()) == 1; }
    // After the server has sent what it sends behind the handshake: tickets.
    SessionPtr session() const { return SessionPtr(SSL_get1_session(client_.get())); }

private:
    // Both sides, until neither has anything to say.
    void carry() {
        char buffer[4096];
        for (int quiet = 0; quiet < 2 && error.empty();) {
            SSL_do_handshake(client_.get());
            char nothing;
            SSL_peek(client_.get(), &nothing, 1);  // Takes in tickets.
            std::string out(1 << 16, '\0');
            const int size = BIO_read(SSL_get_wbio(client_.get()), out.data(), static_cast<int>(out.size()));
            out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
            server_.feed(out);
            const auto read = server_.read({buffer, sizeof buffer});
            if (!read) error = read.error().code;
            std::string& answer = server_.output();
            quiet = out.empty() && answer.empty() ? quiet + 1 : 0;
            if (!answer.empty())
                BIO_write(SSL_get_rbio(client_.get()), answer.data(), static_cast<int>(answer.size()));
            answer.clear();
        }
    }

    ContextPtr context_;
    TlsSession server_;
    SslPtr client_;
};

class ClientCertificate : public testing::TestWithParam<int> {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "ee-client-certificate-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        std::ofstream(folder_ / "cert.pem") << crypto::certificate_to_pem(self_signed(server_key_));
        ASSERT_TRUE(crypto::save_signing_key(folder_ / "key.pem", server_key_));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::shared_ptr<const TlsContext> server(const CertificateRequest& request) const {
        return TlsContext::server(folder_ / "cert.pem", folder_ / "key.pem", request).value();
    }
    Hello hello(const std::string& name, bool shows = true, SSL_SESSION* earlier = nullptr) const {
        return {name, GetParam(), shows ? &key_ : nullptr, earlier};
    }

    SigningKey server_key_ = SigningKey::generate(KeyKind::p256);
    SigningKey key_ = SigningKey::generate(KeyKind::p256);
    std::filesystem::path folder_;
    const CertificateRequest by_name_{When::by_name, "control-direct"};
};
INSTANTIATE_TEST_SUITE_P(Tls, ClientCertificate, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) { return version.param == TLS1_2_VERSION ? "v12" : "v13"; });

TEST_P(ClientCertificate, IsAskedForByTheFirstLabelOfTheServerName) {
    const struct {
        const char* name;
        bool asked;
    } rows[] = {{"control-direct.example.com", true},
                {"Control-DIRECT.example.com", true},
                {"control-direct", true},
                {"control.example.com", false},
                {"control-direct-2.example.com", false},
                {"x.control-direct.example.com", false},
                {"control-direc.example.com", false},
                {"", false}};
    const auto context = server(by_name_);
    for (const auto& row : rows) {
        const Handshake made(context, hello(row.name));
        ASSERT_TRUE(made.done()) << row.name << made.error;
        ASSERT_EQ(made.seen().has_value(), row.asked) << row.name;
        if (!row.asked) continue;
        EXPECT_EQ(crypto::Certificate::from_der(*made.seen()).value().spki(), key_.spki());
    }
}

TEST_P(ClientCertificate, IsAskedForAlwaysOrNever) {
    for (const char* name : {"", "control.example.com"}) {
        EXPECT_TRUE(Handshake(server({When::always}), hello(name)).seen()) << name;
        EXPECT_FALSE(Handshake(server({}), hello(name)).seen()) << name;
    }
}

TEST_P(ClientCertificate, MayBeLeftOut) {
    const Handshake made(server({When::always}), hello("", false));
    EXPECT_TRUE(made.done()) << made.error;
    EXPECT_FALSE(made.seen());
}

TEST_P(ClientCertificate, MayHaveAnEd25519Key) {
    key_ = SigningKey::generate(KeyKind::ed25519);
    const Handshake made(server({When::always}), hello(""));
    ASSERT_TRUE(made.done()) << made.error;
    EXPECT_EQ(crypto::Certificate::from_der(made.seen().value()).value().spki(), key_.spki());
}

// A session taken up again would carry the certificate over without the key having signed anything.
TEST_P(ClientCertificate, IsShownInEachHandshakeAnew) {
    for (const auto& context : {server({When::always}), server(by_name_)}) {
        const Handshake first(context, hello("control-direct.example.com"));
        const SessionPtr kept = first.session();
        ASSERT_TRUE(first.seen());
        const Handshake again(context, hello("control-direct.example.com", true, kept.get()));
        ASSERT_TRUE(again.done()) << again.error;
        EXPECT_FALSE(again.resumed());
        EXPECT_TRUE(again.seen());
        // Who has the session but not the key shows nothing.
        const Handshake thief(context, hello("control-direct.example.com", false, kept.get()));
        ASSERT_TRUE(thief.done()) << thief.error;
        EXPECT_FALSE(thief.resumed());
        EXPECT_FALSE(thief.seen());
        // Nor at another name, where none is asked for.
        const Handshake elsewhere(context, hello("control.example.com", false, kept.get()));
        ASSERT_TRUE(elsewhere.done()) << elsewhere.error;
        EXPECT_FALSE(elsewhere.resumed());
        EXPECT_FALSE(elsewhere.seen());
    }
}

TEST_P(ClientCertificate, IsAskedForAlsoOfAClientThatComesWithASessionOfAnotherName) {
    const auto context = server(by_name_);
    const Handshake first(context, hello("control.example.com"));
    ASSERT_FALSE(first.seen());
    const SessionPtr kept = first.session();
    const Handshake again(context, hello("control.example.com", true, kept.get()));
    ASSERT_TRUE(again.done() && again.resumed()) << "browsers go on resuming";
    EXPECT_FALSE(again.seen());
    const Handshake direct(context, hello("control-direct.example.com", true, kept.get()));
    ASSERT_TRUE(direct.done()) << direct.error;
    EXPECT_FALSE(direct.resumed());
    EXPECT_TRUE(direct.seen());
}

TEST_P(ClientCertificate, MayBeLargeButNotWithoutEnd) {
    Hello large = hello("");
    large.padding = 20'000;  // More than any quote.
    EXPECT_TRUE(Handshake(server({When::always}), large).seen());
    large.padding = 70'000;
    const Handshake flood(server({When::always}), large);
    EXPECT_FALSE(flood.done());
    EXPECT_EQ(flood.error, "tls_failed");
}

}  // namespace
}  // namespace ee::net

#include "agent/sealed.h"

#include <fcntl.h>

#include <gtest/gtest.h>

#include "agent/sealed_stream.h"
#include "crypto/digest.h"
#include "http/test_server.h"
#include "net/test_peer.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

// Quotes that name what they are over; may be held back, or refused.
struct TestProvider final : attestation::QuoteProvider {
    Result<Bytes> quote(const ByteArray<64>& report_data) override {
        const std::lock_guard wait(gate);
        ++made;
        if (!refusal.code.empty()) return fail(refusal);
        Bytes out = to_bytes(report_data);
        out.resize(padded_to, 'q');
        return out;
    }

    std::mutex gate;
    std::atomic<int> made = 0;
    Error refusal;
    std::size_t padded_to = 64;
};

// A stream of a tunnel between this program's two ends of HTTP/2, with a TLS client at the far one.
class SealedTest : public testing::Test, StreamEnds, http::Http2Observer {
protected:
    struct Far final : http::Http2Observer {
        void on_head(http::Http2StreamId, const http::Http2Head& head, bool) override {
            status = head.status;
            for (const http::Field& field : head.fields)
                if (field.name == "ee-error") error = field.value;
        }
        void on_body(http::Http2StreamId stream, std::string_view bytes) override {
            received.append(bytes);
            if (consumes) session->consume(stream, bytes.size());
        }
        void on_end(http::Http2StreamId, std::span<const http::Field>) override { ended = true; }
        void on_reset(http::Http2StreamId, std::uint32_t) override { reset = true; }

        http::Http2Session* session = nullptr;
        int status = 0;
        std::string error, received;
        bool ended = false, reset = false, consumes = true;
    };

    SealedTest() : null_(::open("/dev/null", O_WRONLY | O_CLOEXEC)) {
        settings.identity = {"agent", "myapp", "org/repo", "v1", "sandbox-1"};
        settings.backend = app.url();
        far.session = &far_session;
    }
    void TearDown() override {
        stream.reset();
        sealed.reset();
        loop.collect();
    }
    void start() { sealed.emplace(loop, workers, resolver, provider, log, settings); }

    // ---- As the tunnel's HTTP/2 connection ----
    http::Http2Session& session() override { return near_session; }
    void on_output() override {}
    void forget(http::Http2StreamId) override { forgotten = true; }
    void on_head(http::Http2StreamId opened, const http::Http2Head&, bool) override {
        stream = std::make_shared<SealedStream>(static_cast<StreamEnds&>(*this), *sealed, opened);
        stream->begin();
    }
    // As the tunnel's streams do: whoever is forgotten hears no more.
    void on_body(http::Http2StreamId, std::string_view bytes) override {
        if (!forgotten) stream->body(bytes);
    }
    void on_end(http::Http2StreamId, std::span<const http::Field> trailers) override {
        if (!forgotten) stream->end_body(trailers);
    }
    void on_reset(http::Http2StreamId, std::uint32_t) override {
        if (!forgotten) stream->cancel();
    }
    void on_body_taken(http::Http2StreamId, std::size_t bytes) override {
        if (!forgotten) stream->taken(bytes);
    }
    void exchange() {
        for (bool any = true; any;) {
            std::string out, in;
            far_session.pull(out, 1 << 20);
            near_session.pull(in, 1 << 20);
            any = !out.empty() || !in.empty();
            ASSERT_TRUE(near_session.receive(out));
            ASSERT_TRUE(far_session.receive(in));
        }
    }

    // ---- As the visitor ----
    void visit(std::string_view protocol = attestation::connect_alpn) {
        exchange();
        tls = std::make_unique<net::TlsSession>(*net::TlsContext::judging_client(protocol), "myapp.app.test");
        char none[1];
        ASSERT_TRUE(tls->read({none, 0}));
        id = far_session
                 .open({.method = "CONNECT",
                        .scheme = "https",
                        .authority = "a",
                        .path = "/",
                        .protocol = "ee-tls"},
                       "", false)
                 .value();
        flush();
    }
    void flush() {
        if (!tls->output().empty()) far_session.send_body(id, std::exchange(tls->output(), {}));
        exchange();
    }
    // What has come, decrypted.
    std::string& read() {
        exchange();
        char buffer[16 * 1024];
        const std::string ciphertext = std::exchange(far.received, {});
        tls->feed(ciphertext);
        for (;;) {
            const auto count = tls->read(buffer);
            if (!count) error = count.error().code;
            if (!count || *count == 0) break;
            plaintext.append(buffer, *count);
        }
        tls->feed({});
        flush();
        return plaintext;
    }
    bool until(const std::function<bool()>& done) {
        return run_until(loop, [&] {
            if (tls) read();
            return done();
        });
    }
    void shake_hands() {
        ASSERT_TRUE(until([&] { return tls->handshake_done(); }));
    }
    void say(std::string_view text) {
        ASSERT_TRUE(tls->write(text));
        flush();
    }

    net::Fd null_;
    TestProvider provider;
    net::Loop loop;
    net::WorkerPool workers{2, 64};
    net::Resolver resolver{loop, workers};
    telemetry::Log log{telemetry::LogLevel::debug, telemetry::LogFormat::json, null_.get()};
    http::TestServer app{loop};
    SealedSettings settings;
    std::optional<Sealed> sealed;

    Far far;
    http::Http2Session far_session{{.role = http::Http2Settings::Role::client}, far};
    http::Http2Session near_session{{.role = http::Http2Settings::Role::server, .connect_protocol = true},
                                    static_cast<http::Http2Observer&>(*this)};
    http::Http2StreamId id = 0;
    std::shared_ptr<SealedStream> stream;
    bool forgotten = false;
    std::unique_ptr<net::TlsSession> tls;
    std::string plaintext, error;
};

// ---- The certificate ----

TEST_F(SealedTest, ShowsACertificateOverItsKeyThatNamesTheApp) {
    start();
    visit();
    shake_hands();
    const auto der = tls->peer_certificate();
    ASSERT_TRUE(der);
    const auto certificate = attestation::read_ratls_certificate(*der, wall_now());
    ASSERT_TRUE(certificate) << certificate.error().detail;
    EXPECT_EQ(certificate->identity, settings.identity);
    EXPECT_EQ(certificate->quote, to_bytes(certificate->report_data)) << "the quote is over what it must be";
    EXPECT_LE(certificate->not_after - certificate->not_before, attestation::ratls_life_max);
    EXPECT_GE(certificate->not_after, wall_now() + 11h);
}

TEST_F(SealedTest, MakesOneCertificateForAllWhoAskAndRenewsItAtHalfItsLife) {
    settings.certificate_life = 4s;
    start();
    std::vector<ByteArray<32>> keys;
    const auto ask = [&] {
        sealed->certificate([&](Result<std::shared_ptr<const SealedCertificate>> made) {
            ASSERT_TRUE(made) << made.error().detail;
            keys.push_back((*made)->spki_sha256);
        });
    };
    ask();
    ask();
    ASSERT_TRUE(until([&] { return keys.size() == 2; }));
    EXPECT_EQ(keys[0], keys[1]);
    EXPECT_EQ(provider.made, 1);
    ask();
    EXPECT_EQ(keys.size(), 3u) << "at once";
    // Past half of it the old one still serves, while another is made.
    const MonoTime half = loop.now() + 2s;
    ASSERT_TRUE(until([&] { return loop.now() >= half; }));
    ask();
    EXPECT_EQ(keys.size(), 4u);
    EXPECT_EQ(keys[3], keys[0]);
    ASSERT_TRUE(until([&] { return provider.made == 2; }));
    ASSERT_TRUE(until([&] {
        ask();
        return keys.back() != keys[0];
    }));
    EXPECT_EQ(provider.made, 2);
}

TEST_F(SealedTest, SaysThatItHasNoCertificateAndTriesAgainAfterAWhile) {
    provider.refusal = {"quote_provider_failed", "no TDX here"};
    settings.retry_time = 1s;
    start();
    visit();
    ASSERT_TRUE(until([&] { return far.ended; }));
    EXPECT_EQ(far.status, 502);
    EXPECT_EQ(far.error, "sealed_unavailable");
    EXPECT_TRUE(forgotten);
    bool refused = false, made = false;
    sealed->certificate([&](auto result) { refused = !result; });
    EXPECT_TRUE(refused) << "at once, from memory";
    EXPECT_EQ(provider.made, 1);
    provider.refusal = {};
    const MonoTime later = loop.now() + 1s;
    ASSERT_TRUE(until([&] { return loop.now() >= later; }));
    sealed->certificate([&](auto result) { made = result.has_value(); });
    ASSERT_TRUE(until([&] { return made; }));
}

TEST_F(SealedTest, MakesNoQuoteWhereThereIsToBeNoCertificate) {
    settings.refusal = Error{"sealed_unavailable", "EE_SEALED=false"};
    start();
    visit();
    ASSERT_TRUE(until([&] { return far.ended; }));
    EXPECT_EQ(far.status, 502);
    EXPECT_EQ(far.error, "sealed_unavailable");
    EXPECT_EQ(provider.made, 0);
}

// ---- Fresh quotes ----

TEST_F(SealedTest, MakesFreshQuotesOneAtATimeAndRefusesTooMany) {
    settings.quotes_waiting_max = 3;
    start();
    std::vector<std::string> heard;
    {
        const std::lock_guard hold(provider.gate);
        for (std::uint8_t i = 0; i < 5; ++i)
            sealed->quote({i}, [&, i](Result<Bytes> quote) {
                heard.push_back(std::to_string(i) + (quote ? "" : " " + quote.error().code));
                EXPECT_TRUE(!quote || (*quote)[0] == i);
            });
        EXPECT_EQ(heard, std::vector<std::string>{"4 overloaded"});
    }
    ASSERT_TRUE(until([&] { return heard.size() == 5; }));
    EXPECT_EQ(heard, (std::vector<std::string>{"4 overloaded", "0", "1", "2", "3"}));
}

// ---- A connection ----

TEST_F(SealedTest, AnswersANonceByAQuoteOverThisConnectionAndThenCarriesBytes) {
    provider.padded_to = 5000;
    start();
    visit();
    shake_hands();
    EXPECT_EQ(far.status, 200);
    EXPECT_EQ(tls->protocol(), "easyenclave-connect/1");
    const std::string nonce = "0123456789abcdef0123456789abcdef";
    say(nonce.substr(0, 10));
    run_turns(loop, 20);
    EXPECT_EQ(read(), "");
    say(nonce.substr(10));
    ASSERT_TRUE(until([&] { return plaintext.size() == 4 + 5000; }));
    EXPECT_EQ(plaintext.substr(0, 4), std::string("\0\0\x13\x88", 4));
    ByteArray<32> bytes{};
    std::ranges::copy(as_bytes(nonce), bytes.begin());
    const auto certificate = attestation::read_ratls_certificate(*tls->peer_certificate(), wall_now());
    const attestation::ReportData expected =
        attestation::report_data_connect(bytes, *tls->channel_binding(), certificate->spki_sha256);
    EXPECT_EQ(plaintext.substr(4, 64), as_text(expected));
    plaintext.clear();
    say("GET");
    ASSERT_TRUE(until([&] { return app.peers.size() == 1 && app.peers[0]->received == "GET"; }));
    app.peers[0]->say("answer");
    ASSERT_TRUE(until([&] { return plaintext == "answer"; }));
    // Each side ends by itself.
    tls->close();
    flush();
    ASSERT_TRUE(until([&] { return app.peers[0]->closed == "closed"; }));
    ASSERT_TRUE(until([&] { return error == "tls_closed" && far.ended; }));
    far_session.end_body(id);
    exchange();
    EXPECT_TRUE(forgotten);
    EXPECT_FALSE(far.reset);
}

TEST_F(SealedTest, CarriesBytesAtOnceWithoutThatProtocol) {
    start();
    visit("http/1.1");
    shake_hands();
    EXPECT_EQ(tls->protocol(), "http/1.1") << "what the backend speaks";
    const std::string bytes(32, 'n');
    say(bytes);
    ASSERT_TRUE(until([&] { return app.peers.size() == 1 && app.peers[0]->received == bytes; }));
    EXPECT_EQ(provider.made, 1) << "no quote but the certificate's";
}

TEST_F(SealedTest, TakesNothingBeforeItsQuote) {
    for (const bool with_nonce : {true, false}) {
        plaintext.clear();
        error.clear();
        far = {};
        far.session = &far_session;
        if (!sealed) start();
        visit();
        shake_hands();
        std::unique_lock hold(provider.gate);
        if (with_nonce) {
            say(std::string(32, 'n') + "x");
        } else {
            say(std::string(32, 'n'));
            say("x");
        }
        EXPECT_EQ(read(), "");
        EXPECT_EQ(error, "tls_closed");
        EXPECT_TRUE(far.ended);
        hold.unlock();
        far_session.end_body(id);
        ASSERT_TRUE(until([&] { return forgotten; }));
        ASSERT_TRUE(until([&] { return app.peers.empty() || !app.peers.back()->closed.empty(); }));
        EXPECT_TRUE(app.peers.empty() || app.peers.back()->received.empty());
        forgotten = false;
    }
}

TEST_F(SealedTest, AQuoteThatCannotBeMadeIsNotAnswered) {
    start();
    visit();
    shake_hands();
    provider.refusal = {"quote_provider_failed", "x"};
    say(std::string(32, 'n'));
    ASSERT_TRUE(until([&] { return far.ended; }));
    EXPECT_EQ(plaintext, "");
    EXPECT_EQ(error, "tls_closed");
}

TEST_F(SealedTest, WaitsForHandshakeAndNonceForSoLong) {
    settings.handshake_time = 2s;
    start();
    visit();
    shake_hands();
    ASSERT_TRUE(until([&] { return far.reset; }));
    EXPECT_TRUE(forgotten);
}

TEST_F(SealedTest, AnswersABrokenHandshakeByAnAlert) {
    start();
    exchange();
    id =
        far_session
            .open(
                {.method = "CONNECT", .scheme = "https", .authority = "a", .path = "/", .protocol = "ee-tls"},
                std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10), false)
            .value();
    exchange();
    ASSERT_TRUE(run_until(loop, [&] {
        exchange();
        return far.ended;
    }));
    EXPECT_EQ(far.received[0], 21) << "an alert of TLS";
    EXPECT_EQ(far.status, 200);
}

TEST_F(SealedTest, SlowsABackendWhoseBytesTheVisitorDoesNotTake) {
    start();
    visit("http/1.1");
    shake_hands();
    ASSERT_TRUE(until([&] { return app.peers.size() == 1; }));
    far.consumes = false;
    app.peers[0]->say(std::string(32 << 20, 'x'));
    ASSERT_TRUE(run_until(loop, [&] {
        exchange();
        return far.received.size() >= 1'000'000;  // About the stream's window.
    }));
    for (int i = 0; i < 100; ++i) {
        run_turns(loop, 1);
        exchange();
    }
    EXPECT_LE(near_session.queued_bytes(), 1u << 20) << "what waits for the tunnel is bounded";
    EXPECT_GT(app.peers[0]->stream.pending_output(), 16u << 20) << "the rest has stayed with the backend";
}

}  // namespace
}  // namespace ee::agent

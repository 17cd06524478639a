#include "net/tls.h"

#include <string>

#include <gtest/gtest.h>

#include "net/loop.h"
#include "net/stream.h"
#include "net/test_certificate.h"
#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

class TlsPair : public testing::Test {
protected:
    std::unique_ptr<TlsSession> as_client(const std::string& server = "127.0.0.1") const {
        return std::make_unique<TlsSession>(certificate_.client(), server);
    }
    std::unique_ptr<TlsSession> as_server() const {
        return std::make_unique<TlsSession>(certificate_.server(), "");
    }

    const TestCertificate certificate_;
};

TEST_F(TlsPair, CarriesBytesAndBothEndsExportTheSameChannel) {
    Loop loop;
    auto [left, right] = socket_pair();
    Echo near, far;
    Stream client(loop, std::move(left), near, as_client());
    Stream server(loop, std::move(right), far, as_server());
    far.echo = &server;
    server.start();
    client.start();
    const std::string big(3 << 20, 'z');
    client.write(big);
    EXPECT_TRUE(run_until(loop, [&] { return near.received.size() == big.size(); }));
    EXPECT_EQ(near.received, big);
    ASSERT_TRUE(client.tls()->channel_binding());
    EXPECT_EQ(client.tls()->channel_binding(), server.tls()->channel_binding());
    client.close_after_flush();
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "closed"; }));
}

TEST_F(TlsPair, ClientRefusesACertificateOfAnotherName) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream client(loop, std::move(left), near, as_client("other.example"));
    Stream server(loop, std::move(right), far, as_server());
    server.start();
    client.start();
    client.write("secret");
    EXPECT_TRUE(run_until(loop, [&] { return !near.closed.empty() && !far.closed.empty(); }));
    EXPECT_EQ(near.closed, "tls_failed");
    EXPECT_EQ(far.received, "");
}

TEST_F(TlsPair, AServerSaysWhyAHandshakeCameToNothing) {
    Loop loop;
    const auto reason = [&](auto&& begin) {
        auto [left, right] = socket_pair();
        Recorder far;
        Stream server(loop, std::move(right), far, as_server());
        server.start();
        begin(std::move(left));
        EXPECT_TRUE(run_until(loop, [&] { return !far.closed.empty(); }));
        EXPECT_EQ(far.closed, "tls_failed");
        const auto failure = server.tls()->handshake_failure();
        return failure ? std::string(to_word(*failure)) : "none";
    };
    const auto saying = [&](std::string_view text) {
        return reason([&](const Fd& socket) {
            ASSERT_EQ(::write(socket.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
        });
    };
    EXPECT_EQ(saying("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "plain_http");
    EXPECT_EQ(saying("SSH-2.0-OpenSSH_9.2\r\n"), "no_tls");
    Recorder near;
    std::optional<Stream> client;
    EXPECT_EQ(reason([&](Fd socket) {
                  client.emplace(loop, std::move(socket), near, as_client("other.example"));
                  client->start();
              }),
              "certificate_refused");
}

// As a process that is killed ends its connections: the kernel says so, TLS does not.
TEST_F(TlsPair, SaysAtOnceThatThePeerHasShutItsSideThoughOutputWaitsForIt) {
    struct Ending final : Recorder {
        void on_ending() override { ++endings; }
        int endings = 0;
    };
    Loop loop;
    auto [left, right] = socket_pair();
    const Fd wire(::dup(left.get()));
    Recorder near;
    Ending far;
    Stream client(loop, std::move(left), near, as_client());
    Stream server(loop, std::move(right), far, as_server());
    server.start();
    client.start();
    client.write("hello");
    ASSERT_TRUE(run_until(loop, [&] { return far.received == "hello"; }));
    client.pause_reading();
    const std::string big(8 << 20, 'z');
    server.write(big);
    run_turns(loop, 50);
    ASSERT_GT(server.pending_output(), 0u);
    ASSERT_EQ(::shutdown(wire.get(), SHUT_WR), 0);
    ASSERT_TRUE(run_until(loop, [&] { return far.endings > 0; }));
    EXPECT_EQ(far.closed, "");
    // It may still read, and gets all of it.
    client.resume_reading();
    ASSERT_TRUE(run_until(loop, [&] { return near.received.size() == big.size() && !far.closed.empty(); }));
    EXPECT_EQ(near.received, big);
    EXPECT_EQ(far.endings, 1);
}

TEST_F(TlsPair, AnEndWithoutCloseNotifyIsNoCleanEnd) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream client(loop, std::move(left), near, as_client());
    Stream server(loop, std::move(right), far, as_server());
    server.start();
    client.start();
    client.write("first half");
    ASSERT_TRUE(run_until(loop, [&] { return far.received == "first half"; }));
    client.abort();
    EXPECT_TRUE(run_until(loop, [&] { return !far.closed.empty(); }));
    EXPECT_EQ(far.closed, "connection_lost");
}

TEST_F(TlsPair, ClosingDoesNotWaitForAHandshakeThatNeverEnds) {
    Loop loop;
    auto [left, right] = socket_pair();  // The right side says nothing.
    Recorder near;
    Stream client(loop, std::move(left), near, as_client());
    client.start();
    client.write("never under a key");
    client.close_after_flush(1h);
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    std::string sent(4096, '\0');
    const ssize_t count = ::read(right.get(), sent.data(), sent.size());
    ASSERT_GT(count, 0);  // The ClientHello.
    EXPECT_EQ(sent.find("never"), std::string::npos);
}

TEST_F(TlsPair, NothingIsDeliveredAfterTheOwnerClosed) {
    struct Closer final : Recorder {
        void on_data(std::span<char> data) override {
            Recorder::on_data(data);
            stream->close_after_flush();
        }
        Stream* stream = nullptr;
    };
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Closer far;
    Stream client(loop, std::move(left), near, as_client());
    Stream server(loop, std::move(right), far, as_server());
    far.stream = &server;
    server.start();
    client.start();
    const std::string records(40 * 1024, 'r');  // Three records (RFC 8446 section 5.1), one segment.
    client.write(records);
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    EXPECT_EQ(far.received.size(), 16384u);
}

TEST_F(TlsPair, GarbageInPlaceOfAHandshakeEndsTheConnection) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder far;
    Stream server(loop, std::move(right), far, as_server());
    server.start();
    ASSERT_EQ(::write(left.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "tls_failed"; }));
}

TEST(TlsContext, NamesTheFileItCannotUse) {
    const auto made = TlsContext::server("/nonexistent/cert.pem", "/nonexistent/key.pem");
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().detail.find("/nonexistent/cert.pem"), std::string::npos);
}

}  // namespace
}  // namespace ee::net

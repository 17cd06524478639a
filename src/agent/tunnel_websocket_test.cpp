// What passes through an agent between the tunnel and a backend: WebSockets, and heads that are not final.

#include <gtest/gtest.h>

#include "agent/http2_test_server.h"
#include "agent/tunnel_streams.h"
#include "http/websocket_handshake.h"

namespace ee::agent {
namespace {

using http::Http2StreamId;

const http::Http2Head websocket{
    .method = "CONNECT", .scheme = "https", .authority = "app.test", .path = "/ws", .protocol = "websocket"};
const http::Http2Head get{.method = "GET", .scheme = "https", .authority = "app.test", .path = "/"};

// A backend with one connection, which keeps its side open when we shut ours.
struct HalfOpenServer {
    struct Peer final : net::Recorder {
        Peer(net::Loop& loop, net::Fd socket) : stream(loop, std::move(socket), *this) { stream.start(); }
        bool on_input_end() override { return has_ended = true; }

        net::Stream stream;
        bool has_ended = false;
    };
    explicit HalfOpenServer(net::Loop& loop)
        : listener(
              net::Listener::open(loop, "127.0.0.1", 0, [this, &loop](net::Fd socket, const net::Endpoint&) {
                  peer.emplace(loop, std::move(socket));
              }).value()) {}

    net::Url url() const { return {"http", "127.0.0.1", listener->port(), ""}; }
    bool has_request() const { return peer && peer->received.find("\r\n\r\n") != std::string::npos; }

    std::optional<Peer> peer;
    std::unique_ptr<net::Listener> listener;
};

struct TunnelWebSocketTest : testing::Test, http::Http2Observer {
    void on_head(Http2StreamId, const http::Http2Head& head, bool) override { status = head.status; }
    void on_interim(Http2StreamId, int, std::span<const http::Field> fields) override {
        interim.push_back(owned(fields));
    }
    void on_body(Http2StreamId id, std::string_view bytes) override {
        body.append(bytes);
        control->consume(id, bytes.size());
    }
    void on_end(Http2StreamId, std::span<const http::Field>) override { has_ended = true; }
    void on_reset(Http2StreamId, std::uint32_t code) override { reset = code; }

    TunnelWebSocketTest() { serve_by(server.url()); }
    ~TunnelWebSocketTest() override {
        streams.reset();
        backend.reset();
        loop.collect();
    }
    void serve_by(const net::Url& url) {
        streams.reset();
        control.emplace(
            http::Http2Settings{.role = http::Http2Settings::Role::client, .connect_protocol = true}, *this);
        backend = make_backend(loop, resolver, {.url = url, .tls = nullptr});
        streams.emplace(loop, *backend, nullptr, log, [] {});
        move();
    }
    // What either side of the tunnel has to say.
    void move() {
        std::string bytes;
        control->pull(bytes, 1 << 24);
        EXPECT_TRUE(streams->receive(bytes));
        bytes.clear();
        struct Said final : http::Http2Sink {
            void write(std::string_view more) override { text.append(more); }
            std::string text;
        } said;
        streams->pull(said, 1 << 24);
        EXPECT_TRUE(control->receive(said.text));
    }
    bool until(const std::function<bool()>& done) {
        return net::run_until(loop, [&] {
            move();
            return done();
        });
    }
    Http2StreamId ask(const http::Http2Head& head, bool end) {
        const Http2StreamId id = control->open(head, "", end).value();
        move();
        return id;
    }
    std::string& received() { return server.peer->received; }
    // The backend has the request, and answers it with 101.
    void switch_protocols() {
        ASSERT_TRUE(until([&] { return server.has_request(); }));
        const std::string name = "\r\nSec-WebSocket-Key: ";
        const std::size_t at = received().find(name) + name.size();
        const std::string key = received().substr(at, received().find("\r\n", at) - at);
        received().clear();
        server.peer->stream.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " +
            http::websocket_accept(key) + "\r\n\r\n");
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    telemetry::Log log{telemetry::LogLevel::error, telemetry::LogFormat::json};
    HalfOpenServer server{loop};
    std::unique_ptr<Backend> backend;
    std::optional<TunnelStreams> streams;
    std::optional<http::Http2Session> control;
    int status = 0;
    std::vector<std::vector<http::OwnedField>> interim;
    std::string body;
    bool has_ended = false;
    std::optional<std::uint32_t> reset;
};

TEST_F(TunnelWebSocketTest, WhatTheVisitorSaysBeforeTheBackendHasSwitchedComesToItThen) {
    const Http2StreamId id = ask(websocket, false);
    control->send_body(id, "early ");
    ASSERT_TRUE(until([&] { return server.has_request(); }));
    control->send_body(id, "bytes");
    move();
    EXPECT_TRUE(received().ends_with("\r\n\r\n"));
    switch_protocols();
    ASSERT_TRUE(until([&] { return received() == "early bytes"; }));
    EXPECT_EQ(status, 200);
    control->send_body(id, " and late ones");
    EXPECT_TRUE(until([&] { return received() == "early bytes and late ones"; }));
}

TEST_F(TunnelWebSocketTest, SoDoesItsEndAlsoOneThatComesWithTheHead) {
    for (const bool has_bytes : {true, false}) {
        SCOPED_TRACE(has_bytes);
        serve_by(server.url());
        const Http2StreamId id = ask(websocket, !has_bytes);
        if (has_bytes) {
            control->send_body(id, "all");
            control->end_body(id);
        }
        switch_protocols();
        ASSERT_TRUE(until([&] { return server.peer->has_ended; }));
        EXPECT_EQ(received(), has_bytes ? "all" : "");
        EXPECT_EQ(status, 200);
    }
}

TEST_F(TunnelWebSocketTest, WhatTheBackendSaysBehindTheVisitorsEndPasses) {
    const Http2StreamId id = ask(websocket, false);
    switch_protocols();
    ASSERT_TRUE(until([&] { return status == 200; }));
    control->send_body(id, "last words");
    control->end_body(id);
    ASSERT_TRUE(until([&] { return server.peer->has_ended; }));
    EXPECT_EQ(received(), "last words");
    server.peer->stream.write("close ");
    ASSERT_TRUE(until([&] { return body == "close "; }));
    server.peer->stream.write("frame");
    server.peer->stream.close_after_flush();
    EXPECT_TRUE(until([&] { return has_ended; }));
    EXPECT_EQ(body, "close frame");
    EXPECT_FALSE(reset);
    EXPECT_TRUE(until([&] { return server.peer->closed == "closed"; }));
    EXPECT_EQ(streams->open_requests(), 0u);
}

TEST_F(TunnelWebSocketTest, OneWhoseBackendDoesNotEndGoesWithItsStream) {
    const Http2StreamId id = ask(websocket, false);
    switch_protocols();
    control->end_body(id);
    ASSERT_TRUE(until([&] { return server.peer->has_ended; }));
    control->reset(id, http::http2_code::cancel);  // As when it is idle for too long, or the visitor left.
    EXPECT_TRUE(until([&] { return streams->open_requests() == 0; }));
    server.peer->stream.write("into the void");
    EXPECT_TRUE(until([&] { return !server.peer->closed.empty(); }));
    EXPECT_EQ(body, "");
}

TEST_F(TunnelWebSocketTest, AsManyEarlyBytesAreHeldAsTheStreamsWindowTakes) {
    const std::string much(3 << 20, 'x');
    const Http2StreamId id = ask(websocket, false);
    control->send_body(id, much);
    ASSERT_TRUE(until([&] { return server.has_request(); }));
    EXPECT_EQ(control->queued_bytes(id), much.size() - (1 << 20));
    switch_protocols();
    EXPECT_TRUE(until([&] { return received().size() == much.size(); }));
}

TEST_F(TunnelWebSocketTest, EarlyBytesOfAWebSocketThatIsRefusedAreGivenBack) {
    const Http2StreamId id = ask(websocket, false);
    control->send_body(id, std::string(3 << 20, 'x'));
    ASSERT_TRUE(until([&] { return server.has_request(); }));
    server.peer->stream.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno");
    ASSERT_TRUE(until([&] { return body == "no" && control->queued_bytes(id) == 0; }));
    server.peer->stream.write("ne");
    EXPECT_TRUE(until([&] { return has_ended; }));
    EXPECT_EQ(status, 403);
    EXPECT_EQ(body, "none");
}

TEST_F(TunnelWebSocketTest, AnInterimAnswerPassesWithoutALength) {
    ask(get, true);
    ASSERT_TRUE(until([&] { return server.has_request(); }));
    server.peer->stream.write(
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(until([&] { return has_ended || reset; }));
    EXPECT_FALSE(reset);
    EXPECT_EQ(interim, (std::vector<std::vector<http::OwnedField>>{{{"link", "</a>"}}}));
    EXPECT_EQ(body, "ok");
}

TEST_F(TunnelWebSocketTest, OverHttp2ToTheBackendTheyAreHeldAsWell) {
    Http2TestServer http2(loop, {.connect_protocol = true});
    serve_by(http2.url());
    const Http2StreamId id = ask(websocket, false);
    control->send_body(id, "early");
    control->end_body(id);
    ASSERT_TRUE(until([&] { return http2.has(0, 1); }));
    EXPECT_EQ(http2.request(0, 1).body, "");
    http2.peers[0]->session.keep_receiving(1);
    http2.peers[0]->answer(1, 200, "", false);
    ASSERT_TRUE(until([&] { return http2.request(0, 1).has_ended; }));
    EXPECT_EQ(http2.request(0, 1).body, "early");
    http2.peers[0]->session.send_body(1, "bye");
    http2.peers[0]->session.end_body(1);
    http2.peers[0]->stream.flush_later();
    EXPECT_TRUE(until([&] { return has_ended && body == "bye"; }));
}

}  // namespace
}  // namespace ee::agent

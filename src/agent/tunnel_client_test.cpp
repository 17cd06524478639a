#include "agent/tunnel_client.h"

#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "agent/http2_test_server.h"
#include "agent/witness.h"
#include "crypto/ed25519.h"
#include "http/server.h"
#include "http/test_server.h"
#include "tunnel/message_sink.h"
#include "tunnel/test_agent.h"
#include "tunnel/tunnels.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;
using tunnel::TestVisitor;

// Quotes that name what they are over; may be held back, or refused.
struct TestProvider final : attestation::QuoteProvider {
    Result<Bytes> quote(const ByteArray<64>& report_data) override {
        const std::lock_guard wait(gate);
        ++asked;
        if (!refusal.code.empty()) return fail(refusal);
        return to_bytes(report_data);
    }
    void refuse_no_more() {
        const std::lock_guard wait(gate);
        refusal = {};
    }

    std::mutex gate;
    Error refusal;
    std::atomic<int> asked = 0;
};

std::string text_frame(std::string_view text) {
    std::string out;
    http::append_frame(out, http::Opcode::text, text);
    return out;
}

std::string proxy_request(std::string_view id) {
    std::string out;
    protocol::append_proxy_request(out, {.request_id = id, .method = "GET", .path = "/" + std::string(id)});
    return out;
}

// The text messages among what a client has sent.
std::vector<std::string> texts(std::string sent) {
    http::FrameDecoder decoder(http::FrameDecoder::Role::server, {1 << 20, 1 << 20});
    std::vector<std::string> out;
    for (std::span<char> data = sent;;) {
        std::size_t consumed = 0;
        const auto step = decoder.next(data, consumed);
        data = data.subspan(consumed);
        if (!step || !*step) return out;
        if ((*step)->kind == http::Event::Kind::text) out.emplace_back((*step)->payload);
    }
}

// The client against this program's own server side, over TCP.
class TunnelClientTest : public testing::TestWithParam<tunnel::Wire>, http::RequestHandler {
protected:
    TunnelClientTest() : log_file_(::memfd_create("log", MFD_CLOEXEC)) {
        EE_CHECK(server.listen("127.0.0.1", 0, nullptr));
        settings.control = {"ws", "127.0.0.1", server.port(), "/v1/tunnel"};
        settings.identity = {.agent_id = "a1",
                             .node_id = "n1",
                             .app_name = "myapp",
                             .repo = "org/repo",
                             .release_tag = "v1",
                             .network = "sandbox-1"};
        settings.node_token = Secret("ee_secret");
        settings.measurements["sealed"] = false;
        settings.measurements["config_sha256"] = "00";
        settings.reconnect_min = 1ms;
        settings.reconnect_max = 8ms;
    }
    void TearDown() override {
        client.reset();
        backend.reset();
        server.close();
        loop.collect();
    }
    net::Url backend_url() const { return http2_app ? http2_app->url() : app.url(); }
    void start() {
        backend = make_backend(loop, resolver,
                               BackendSettings{.url = backend_url(), .tls = nullptr, .timeout = 5s});
        client.emplace(loop, workers, resolver, provider, *backend, log, settings);
        client->start();
    }
    void serve() {
        start();
        ASSERT_TRUE(until([&] { return owner.has("activated"); }));
        run_turns(loop, 5);
    }
    // A server that speaks only when the test says so. Answers the n-th client's socket.
    net::Peer& raw_client(std::size_t n) {
        EXPECT_TRUE(until([&] { return raw.peers.size() > n; }));
        return *raw.peers[n];
    }
    net::Peer& raw_upgraded(std::size_t n, std::string_view protocol = "") {
        EXPECT_TRUE(until([&] { return raw.has_request(n); }));
        const std::string& request = raw.peers[n]->received;
        const std::size_t key = request.find("Sec-WebSocket-Key: ") + 19;
        raw.peers[n]->say(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " +
            http::websocket_accept(request.substr(key, 24)) +
            (protocol.empty() ? "" : "\r\nSec-WebSocket-Protocol: " + std::string(protocol)) + "\r\n\r\n");
        raw.peers[n]->received.clear();
        return *raw.peers[n];
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    // How much of what the peer says is left once no more of it is taken.
    std::size_t unread(net::Peer& peer) {
        for (std::uint64_t taken = 1; peer.stream.bytes_out() != taken;) {
            taken = peer.stream.bytes_out();
            net::run_for(loop, 200ms);
        }
        return peer.stream.pending_output();
    }
    std::string logged() const {
        std::string text(1 << 20, '\0');
        text.resize(
            static_cast<std::size_t>(std::max(0L, ::pread(log_file_.get(), text.data(), text.size(), 0))));
        return text;
    }
    // The longest wait before another try, of those it has told of.
    std::chrono::milliseconds longest_wait() const {
        const std::string text = logged();
        constexpr std::string_view name = "\"retry_in_ms\":";
        int longest = 0;
        for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
            longest = std::max(longest, std::atoi(text.c_str() + at + name.size()));
        return std::chrono::milliseconds(longest);
    }
    // Its tunnel ends so, and it comes back.
    void drain_and_return(const char* reason) {
        const std::size_t before = owner.count("activated");
        session().drain(reason, std::nullopt);
        ASSERT_TRUE(until([&] { return owner.count("activated") > before && tunnels.size() == 1; }));
    }
    tunnel::Session& session() {
        tunnel::Session* found = nullptr;
        tunnels.for_each([&](tunnel::Session& any) {
            if (any.machine().state() != tunnel::SessionState::closed) found = &any;
        });
        EE_CHECK(found != nullptr);
        return *found;
    }
    void ask(TestVisitor& visitor, std::string_view path = "/") {
        const http::Field host[] = {{"Host", "app.example"}};
        ASSERT_TRUE(session().open_stream(
            {.method = "GET", .target = path, .fields = host, .body = {}, .authority = "app.example"},
            visitor, loop.now() + 10s));
    }

    http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
    void on_request(http::Exchange& exchange) override {
        EE_CHECK(tunnels.accept(exchange, exchange.peer().ip));
    }
    std::string on_refused(const http::Refusal&) override { return ""; }

    net::Fd log_file_;
    TestProvider provider;
    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    telemetry::Log log{telemetry::LogLevel::debug, telemetry::LogFormat::json, log_file_.get()};
    tunnel::TestOwner owner;
    bool is_v2() const { return GetParam() == tunnel::Wire::v2; }
    static tunnel::TunnelSettings tunnel_settings() {
        tunnel::TunnelSettings out;
        out.takes_v2 = GetParam() == tunnel::Wire::v2;
        return out;
    }
    tunnel::Tunnels tunnels{loop, owner, tunnel_settings(), tunnel::TunnelLimits{}, tunnel::test_entropy()};
    http::Server server{loop, static_cast<http::RequestHandler&>(*this), http::ServerLimits{}};
    http::TestServer app{loop}, raw{loop};
    std::optional<Http2TestServer> http2_app;  // In place of `app`.
    TunnelClientSettings settings;
    std::unique_ptr<Backend> backend;
    std::optional<TunnelClient> client;
};

// ---- Registration and challenges ----

TEST_P(TunnelClientTest, RegistersAndBindsItsAnswerToTheChallenge) {
    serve();
    const tunnel::AttestAnswer& answer = *owner.answer;
    EXPECT_EQ(answer.registration.app_name, "myapp");
    EXPECT_EQ(answer.registration.repo, "org/repo");
    EXPECT_EQ(answer.registration.release_tag, "v1");
    EXPECT_EQ(answer.registration.network, "sandbox-1");
    EXPECT_EQ(answer.registration.agent_id, "a1");
    EXPECT_EQ(answer.registration.node_id, "n1");
    EXPECT_EQ(answer.registration.tunnel_version, is_v2() ? "2" : "1");
    EXPECT_EQ(answer.registration.max_requests, 64u);

    const protocol::AttestResponse& response = answer.response;
    const attestation::ReportData expected =
        attestation::report_data_layout2({.nonce = answer.nonce,
                                          .agent_key = response.agent_key,
                                          .channel = {},
                                          .wire = is_v2() ? "2" : "1",
                                          .identity = settings.identity,
                                          .measurements = settings.measurements});
    EXPECT_FALSE(response.node_token);  // There is no TLS.
    EXPECT_TRUE(response.layout2);
    EXPECT_EQ(response.nonce, answer.nonce);
    EXPECT_EQ(response.report_data, expected);
    EXPECT_EQ(response.quote, to_bytes(expected));
    EXPECT_EQ(response.measurements, settings.measurements);
    const auto key = crypto::Ed25519PublicKey::from_spki(response.agent_key);
    ASSERT_TRUE(key);
    EXPECT_TRUE(key->verifies(attestation::session_message(expected), response.signature));
}

TEST_P(TunnelClientTest, AnswersLaterChallengesWithTheSameKeyAndAnotherNonce) {
    serve();
    const auto first = owner.answer;
    session().challenge(protocol::ChallengeReason::operator_request);
    ASSERT_TRUE(until([&] { return owner.has("renewed"); }));
    EXPECT_EQ(owner.answer->response.agent_key, first->response.agent_key);
    EXPECT_NE(owner.answer->response.report_data, first->response.report_data);
}

TEST_P(TunnelClientTest, StaysWhenNoQuoteCanBeMade) {
    provider.refusal = {"quote_provider_failed", "no TDX here"};
    start();
    ASSERT_TRUE(until([&] { return owner.has("check claim"); }));
    run_turns(loop, 200);
    EXPECT_FALSE(owner.has("verify"));
    EXPECT_EQ(tunnels.size(), 1u);
}

TEST_P(TunnelClientTest, MakesAnotherQuoteWhereOneFailed) {
    provider.refusal = {"quote_provider_busy", "try again"};
    settings.quote_retry_time = 1ms;
    start();
    ASSERT_TRUE(until([&] { return provider.asked >= 3; }));
    provider.refuse_no_more();
    ASSERT_TRUE(until([&] { return owner.has("activated"); }));
    EXPECT_EQ(owner.count("verify"), 1u);
    EXPECT_NE(logged().find("quote_provider_busy"), std::string::npos);
}

TEST_P(TunnelClientTest, AsksForAQuoteAgainThatFoundNoRoom) {
    settings.quote_retry_time = 1ms;
    std::mutex gate;
    {
        const std::lock_guard hold(gate);
        // The one that is run, and the eight that may wait.
        for (int jobs = 0; jobs < 9;) jobs += workers.run([&] { const std::lock_guard wait(gate); }) ? 1 : 0;
        start();
        ASSERT_TRUE(until([&] { return owner.has("check claim"); }));
        ASSERT_TRUE(until([&] { return logged().find("too many quotes") != std::string::npos; }));
    }
    ASSERT_TRUE(until([&] { return owner.has("activated"); }));
    EXPECT_EQ(provider.asked, 1);
}

TEST_P(TunnelClientTest, GivesAChallengeUpAtItsDeadline) {
    provider.refusal = {"quote_provider_failed", "no TDX here"};
    settings.quote_retry_time = 1ms;
    settings.drain_timeout = 60s;
    settings.control.port = raw.listener->port();
    start();
    raw_upgraded(0).say(text_frame(protocol::encode(protocol::AttestRequest{.deadline_s = 1})));
    ASSERT_TRUE(until([&] { return provider.asked > 0; }));
    bool stopped = false;  // Which waits for what it owes.
    client->stop([&] { stopped = true; });
    run_turns(loop, 5);
    EXPECT_FALSE(stopped);
    EXPECT_TRUE(until([&] { return stopped; }));
    EXPECT_GE(provider.asked, 5);
}

TEST_P(TunnelClientTest, MayDieWhileAQuoteIsMade) {
    provider.gate.lock();
    start();
    ASSERT_TRUE(until([&] { return owner.has("check claim"); }));
    run_turns(loop, 50);
    client.reset();
    provider.gate.unlock();
    std::atomic<bool> drained = false;
    ASSERT_TRUE(workers.run([&] { drained = true; }));  // After the quote: one thread.
    EXPECT_TRUE(until([&] { return drained.load(); }));
    run_turns(loop, 5);
    EXPECT_FALSE(owner.has("verify"));
}

TEST_P(TunnelClientTest, AQuoteForAnEarlierConnectionIsDropped) {
    provider.gate.lock();
    start();
    ASSERT_TRUE(until([&] { return owner.has("check claim"); }));
    run_turns(loop, 50);
    session().refuse({"rate_limited", ""}, std::nullopt);
    ASSERT_TRUE(until([&] { return owner.count("check claim") == 2; }));
    provider.gate.unlock();
    ASSERT_TRUE(until([&] { return owner.has("activated"); }));
    EXPECT_EQ(owner.count("verify"), 1u);
    EXPECT_FALSE(owner.has("tolerated unexpected_attestation"));
}

TEST_P(TunnelClientTest, IgnoresMessagesItDoesNotKnow) {
    settings.control.port = raw.listener->port();
    start();
    net::Peer& peer = raw_upgraded(0);
    for (const char* text : {"{}", "[]", "nonsense", R"({"type":"news"})", R"({"type":"status"})",
                             R"({"type":"proxy_request","request_id":"1"})"})
        http::append_frame(peer.stream.output(), http::Opcode::text, text);
    http::append_frame(peer.stream.output(), http::Opcode::ping, "still there?");
    peer.stream.flush_later();
    EXPECT_TRUE(until([&] { return peer.received.size() > 18; }));
    EXPECT_EQ(peer.closed, "");
    EXPECT_EQ(raw.peers.size(), 1u);
}

// ---- Requests and health ----

TEST_P(TunnelClientTest, CarriesRequestsToTheBackendAndAnswersBack) {
    struct Fields final : tunnel::StreamObserver {
        void on_head(int, std::span<const http::Field> headers, std::optional<std::uint64_t>, bool) override {
            for (const http::Field& field : headers)
                names.append(field.name).append("=").append(field.value).append(";");
        }
        void on_body(std::string_view bytes) override { body = bytes; }
        void on_end(std::span<const http::Field>) override { ended = true; }
        void on_failed(const Error& error) override { body = error.code; }
        std::string names, body;
        bool ended = false;
    } visitor;
    serve();
    const http::Field fields[] = {{"Host", "myapp.example"}, {"x-a", "1"}};
    ASSERT_TRUE(session().open_stream(
        {.method = "POST", .target = "/p?q=1", .fields = fields, .body = "in", .authority = "myapp.example"},
        visitor, loop.now() + 10s));
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    EXPECT_EQ(app.peers[0]->received,
              "POST /p?q=1 HTTP/1.1\r\nHost: myapp.example\r\nx-a: 1\r\nContent-Length: 2\r\n\r\nin");
    app.peers[0]->say(
        "HTTP/1.1 201 Created\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nEE-Agent: forged\r\n"
        "content-length: 3\r\n\r\nout");
    ASSERT_TRUE(until([&] { return visitor.ended; }));
    EXPECT_EQ(visitor.names, "set-cookie=a=1;set-cookie=b=2;content-length=3;");
    EXPECT_EQ(visitor.body, "out");
}

TEST_P(TunnelClientTest, CarriesRequestsToABackendOfHttp2) {
    http2_app.emplace(loop);
    serve();
    TestVisitor visitor, broken;
    ask(visitor, "/h2");
    ASSERT_TRUE(until([&] { return http2_app->has(0, 1); }));
    EXPECT_EQ(http2_app->request(0, 1).path, "/h2");
    EXPECT_EQ(http2_app->request(0, 1).authority, "app.example");
    http2_app->peers[0]->answer(1, 200, "out");
    ASSERT_TRUE(until([&] { return visitor.got == "200 out."; })) << visitor.got;
    ask(broken);
    ASSERT_TRUE(until([&] { return http2_app->has(0, 3); }));
    http2_app->listener->close();
    http2_app->peers[0]->stream.abort();
    ASSERT_TRUE(until([&] { return !broken.got.empty(); }));
    EXPECT_EQ(broken.got, "backend_unreachable");
}

TEST_P(TunnelClientTest, TellsOfACheckpointOnlyWhereItHoldsOne) {
    Witness witness(loop, workers, log, "/dev/null/state");
    settings.witness = &witness;
    serve();
    client->report_health(true, "");
    ASSERT_TRUE(until([&] { return owner.has("health pass"); })) << testing::PrintToString(owner.events);
    const std::string note =
        ledger::sign_checkpoint({.log_id = std::string(32, 'a'), .head = {.size = 1, .root = {1}}},
                                crypto::SigningKey::generate(crypto::KeyKind::ed25519));
    witness.told(note, "");
    client->report_health(true, "");
    EXPECT_TRUE(until([&] { return owner.has("health pass, holding " + note); }));
    client.reset();
}

TEST_P(TunnelClientTest, A2xxOpensNoWebSocketWhereTheBackendDoesNotSwitch) {
    if (!is_v2()) return;  // A tunnel of version 1 carries none.
    serve();
    TestVisitor first, visitor;
    ask(first);  // With its answer comes what the agent takes.
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    app.peers[0]->say("HTTP/1.1 204 No Content\r\n\r\n");
    ASSERT_TRUE(until([&] { return first.got == "204 ."; }));
    app.peers[0]->received.clear();
    ASSERT_TRUE(session().open_stream({.method = "CONNECT",
                                       .target = "/",
                                       .fields = {},
                                       .body = {},
                                       .body_follows = true,
                                       .scheme = "http",
                                       .authority = "app.example",
                                       .protocol = "websocket"},
                                      visitor, loop.now() + 10s));
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    ASSERT_TRUE(until([&] { return !visitor.got.empty(); }));
    EXPECT_EQ(visitor.got, "bad_agent_answer");
}

TEST_P(TunnelClientTest, SaysWhatBecameOfTheBackend) {
    serve();
    TestVisitor broken, unreachable;
    ask(broken);
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    app.peers[0]->say("nonsense\r\n\r\n");
    ASSERT_TRUE(until([&] { return !broken.got.empty(); }));
    EXPECT_EQ(broken.got, "bad_agent_answer");
    app.listener->close();
    ask(unreachable);
    ASSERT_TRUE(until([&] { return !unreachable.got.empty(); }));
    EXPECT_EQ(unreachable.got, "backend_unreachable");
}

TEST_P(TunnelClientTest, SaysAfterEveryAttestationHowTheBackendIs) {
    start();
    client->report_health(false, "down");
    ASSERT_TRUE(until([&] { return owner.has("health fail"); }));
    EXPECT_TRUE(owner.has("activated"));
    client->report_health(true, "");
    ASSERT_TRUE(until([&] { return owner.has("health pass"); }));
    session().refuse({"rate_limited", ""}, std::nullopt);
    ASSERT_TRUE(until([&] { return owner.count("health pass") == 2; }));
    EXPECT_EQ(owner.count("activated"), 2u);
}

// ---- Lost connections ----

TEST_P(TunnelClientTest, ComesBackAfterEveryKindOfEnd) {
    serve();
    for (std::size_t i = 2; i <= 4; ++i) {
        if (i == 2) session().refuse({"rate_limited", "too many"}, std::nullopt);
        if (i == 3) session().drain("draining", std::nullopt);
        if (i == 4) server.close(), EE_CHECK(server.listen("127.0.0.1", settings.control.port, nullptr));
        if (i == 4) session().refuse({"app_forgotten", ""}, std::nullopt);
        ASSERT_TRUE(until([&] { return owner.count("activated") == i; })) << i;
    }
    TestVisitor visitor;
    run_turns(loop, 5);
    ASSERT_TRUE(until([&] { return tunnels.size() == 1; }));
    ask(visitor);
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(until([&] { return visitor.got == "200 ok."; }));
}

TEST_P(TunnelClientTest, WaitsAsLongAsItIsAskedTo) {
    serve();
    const MonoTime before = std::chrono::steady_clock::now();
    session().refuse({"collateral_unavailable", ""}, 1);
    ASSERT_TRUE(until([&] { return owner.count("activated") == 2; }));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 1s);
}

TEST_P(TunnelClientTest, ComesBackEverMoreSlowlyWhileAnotherOfItsIdTakesItsPlace) {
    settings.reconnect_min = 2ms;
    settings.reconnect_max = 50ms;
    serve();
    for (int i = 0; i < 20; ++i) drain_and_return("draining");
    EXPECT_LT(longest_wait(), 2ms) << "each time it has served";
    int rounds = 0;
    while (longest_wait() < 10ms && ++rounds < 100) drain_and_return("superseded");
    EXPECT_LT(rounds, 100);
    // The first time that its tunnel ends otherwise it waits as long still, and then no more.
    drain_and_return("draining");
    ASSERT_EQ(::ftruncate(log_file_.get(), 0), 0);
    for (int i = 0; i < 20; ++i) drain_and_return("draining");
    EXPECT_LT(longest_wait(), 2ms);
}

TEST_P(TunnelClientTest, ARequestUnderWayWhenTheTunnelIsLostIsForgotten) {
    serve();
    TestVisitor visitor;
    ask(visitor);
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    session().refuse({"rate_limited", ""}, std::nullopt);
    EXPECT_EQ(visitor.got, "tunnel_closed");
    ASSERT_TRUE(until([&] { return owner.count("activated") == 2; }));
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    run_turns(loop, 20);
    EXPECT_FALSE(owner.has("dropped unknown_request"));
    bool stopped = false;
    client->stop([&] { stopped = true; });
    EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_P(TunnelClientTest, TriesAgainWhenTheUpgradeFails) {
    settings.control.port = raw.listener->port();
    settings.handshake_timeout = 60ms;
    start();
    raw_client(0).stream.abort();
    ASSERT_TRUE(until([&] { return raw.has_request(1); }));
    raw.peers[1]->say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(until([&] { return raw.has_request(2); }));
    raw.peers[2]->say("220 mail.example ESMTP\r\n\r\n");
    ASSERT_TRUE(until([&] { return raw.has_request(3); }));
    raw.peers[3]->say(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: forged\r\n\r\n");
    ASSERT_TRUE(until([&] { return raw.has_request(4); }));
    // The fifth is not answered at all.
    EXPECT_TRUE(until([&] { return raw.has_request(5); }));
    EXPECT_TRUE(until([&] { return !raw.peers[4]->closed.empty(); }));
}

TEST_P(TunnelClientTest, SaysWhatToCheckWhereThereIsNoTunnel) {
    settings.control.port = raw.listener->port();
    start();
    raw_client(0).stream.abort();
    ASSERT_TRUE(until([&] { return raw.has_request(1); }));
    EXPECT_NE(logged().find("must begin with wss://"), std::string::npos) << logged();
    raw.peers[1]->say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(until([&] { return raw.has_request(2); }));
    EXPECT_NE(logged().find("must have the path /v1/tunnel"), std::string::npos) << logged();
    // What ends a tunnel says itself why.
    ASSERT_EQ(::ftruncate(log_file_.get(), 0), 0);
    raw_upgraded(2).stream.close_after_flush();
    ASSERT_TRUE(until([&] { return raw.has_request(3); }));
    EXPECT_NE(logged().find("\"advice\":\"\""), std::string::npos) << logged();
}

TEST_P(TunnelClientTest, EndsATunnelThatBreaksTheProtocol) {
    settings.control.port = raw.listener->port();
    start();
    const std::string frames[] = {
        std::string("\x81\x80\0\0\0\0", 6),                   // Masked.
        std::string("\x82\x01x", 3),                          // Binary, which v1 never sends.
        std::string("\x81\x7f\0\0\0\0\x00\x40\x00\x01", 10),  // 4 MiB and a byte are announced.
        std::string("\x81\x01\xff", 3),                       // No UTF-8.
        std::string("\x88\x02\x03\xe9", 4),                   // A close.
    };
    for (std::size_t i = 0; i < std::size(frames); ++i) {
        net::Peer& peer = raw_upgraded(i);
        ASSERT_TRUE(until([&] { return !peer.received.empty(); })) << i;  // `register`.
        peer.say(frames[i]);
        ASSERT_TRUE(until([&] { return peer.closed == "closed"; })) << i;
        // A masked close frame with a code says why.
        EXPECT_NE(peer.received.find("\x88\x82"), std::string::npos) << i;
        ASSERT_TRUE(until([&] { return raw.has_request(i + 1); })) << i;
    }
}

TEST_P(TunnelClientTest, EndsATunnelWhoseHttp2IsNoneOrAFlood) {
    if (!is_v2()) return;
    settings.control.port = raw.listener->port();
    start();
    const std::string begin("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    const std::string data_on_no_stream("\0\0\1\0\0\0\0\0\0x", 10);  // RFC 9113 section 6.1
    const std::string ping("\0\0\10\6\0\0\0\0\0pingping", 17);
    std::string flood;
    for (int i = 0; i < 2000; ++i) flood += ping;
    const std::string rows[] = {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", begin + data_on_no_stream,
                                begin + flood};
    for (std::size_t i = 0; i < std::size(rows); ++i) {
        net::Peer& peer = raw_upgraded(i, tunnel::v2_subprotocol);
        http::append_frame(peer.stream.output(), http::Opcode::text,
                           R"({"type":"status","state":"ok","reason":"attested"})");
        http::append_frame(peer.stream.output(), http::Opcode::binary, rows[i]);
        peer.stream.flush_later();
        ASSERT_TRUE(until([&] { return peer.closed == "closed"; })) << i;
        ASSERT_TRUE(until([&] { return raw.has_request(i + 1); })) << i;
    }
}

TEST_P(TunnelClientTest, StopsListeningToAControlPlaneThatDoesNotRead) {
    settings.control.port = raw.listener->port();
    start();
    net::Peer& peer = raw_upgraded(0, is_v2() ? tunnel::v2_subprotocol : "");
    ASSERT_TRUE(until([&] { return !peer.received.empty(); }));  // `register`.
    peer.stream.pause_reading();
    const std::string mark(125, 'x');
    const std::size_t pings = 400'000;
    for (std::size_t i = 0; i < pings; ++i)
        http::append_frame(peer.stream.output(), http::Opcode::ping, mark);
    peer.stream.flush_later();
    EXPECT_GT(unread(peer), 0u);
    peer.received.clear();
    peer.stream.resume_reading();
    const std::size_t pong_bytes = mark.size() + 6;
    ASSERT_TRUE(until([&] { return peer.received.size() >= pings * pong_bytes; }));
    EXPECT_EQ(raw.peers.size(), 1u);
}

TEST_P(TunnelClientTest, StopsListeningToAControlPlaneThatDoesNotReadWhatItRefuses) {
    if (!is_v2()) return;
    settings.control.port = raw.listener->port();
    start();
    net::Peer& peer = raw_upgraded(0, tunnel::v2_subprotocol);
    ASSERT_TRUE(until([&] { return !peer.received.empty(); }));  // `register`.
    peer.stream.pause_reading();
    peer.say(text_frame(R"({"type":"status","state":"ok","reason":"attested"})"));
    std::string frames("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    for (std::uint32_t id = 1; id < 8'000'000; id += 2) {  // GET / of no host.
        frames += std::string("\0\0\3\1\5\0", 6) + static_cast<char>(id >> 16) + static_cast<char>(id >> 8) +
                  static_cast<char>(id) + "\x82\x87\x84";
        if (frames.size() < tunnel::message_bytes_max - 12) continue;
        http::append_frame(peer.stream.output(), http::Opcode::binary, std::exchange(frames, {}));
    }
    peer.stream.flush_later();
    EXPECT_GT(unread(peer), 0u);
    EXPECT_EQ(raw.peers.size(), 1u);
}

TEST_P(TunnelClientTest, TakesWhatItReadsForASignOfLifeOfAControlPlaneItDoesNotListenTo) {
    if (is_v2()) return;  // There so much is never written before it is read.
    settings.control.port = raw.listener->port();
    settings.ping_interval = 50ms;
    settings.silence_max = 3s;  // More than writing the answer takes, however busy the machine.
    start();
    net::Peer& peer = raw_upgraded(0);
    peer.say(text_frame(proxy_request("1")));
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    peer.stream.pause_reading();
    const std::string body(60 << 20, 'x');
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                      body);
    ASSERT_TRUE(until([&] { return app.peers[0]->stream.pending_output() == 0; }));
    const MonoTime end = std::chrono::steady_clock::now() + 6500ms;
    while (std::chrono::steady_clock::now() < end && peer.closed.empty()) {
        http::append_frame(peer.stream.output(), http::Opcode::ping, "which it does not read");
        peer.stream.flush_later();
        net::run_for(loop, 250ms);
        peer.stream.resume_reading();
        run_turns(loop, 2);
        peer.stream.pause_reading();
    }
    EXPECT_EQ(peer.closed, "");
    EXPECT_EQ(raw.peers.size(), 1u);
    EXPECT_LT(peer.received.size(), body.size());
}

TEST_P(TunnelClientTest, AnswersAtOnceWhatIsMoreThanItSaysItTakes) {
    if (is_v2()) return;
    settings.control.port = raw.listener->port();
    settings.max_requests = 2;
    start();
    net::Peer& peer = raw_upgraded(0);
    for (const char* id : {"1", "2", "3"}) peer.say(text_frame(proxy_request(id)));
    ASSERT_TRUE(until([&] { return app.has_request(0) && app.has_request(1); }));
    ASSERT_TRUE(until([&] { return texts(peer.received).size() == 2; }));  // Behind `register`.
    EXPECT_EQ(texts(peer.received)[1],
              R"({"type":"proxy_response","request_id":"3","status":503,)"
              R"("headers":{"Content-Type":"text/plain; charset=utf-8"},"body_b64":"b3ZlcmxvYWRlZA==",)"
              R"("error":"overloaded"})");
    app.peers[0]->say("HTTP/1.1 204 No Content\r\n\r\n");
    ASSERT_TRUE(until([&] { return texts(peer.received).size() == 3; }));
    peer.say(text_frame(proxy_request("4")));
    EXPECT_TRUE(until([&] { return app.peers[0]->received.find("/4") != std::string::npos; }));
    EXPECT_EQ(app.peers.size(), 2u);
}

TEST_P(TunnelClientTest, LeavesAControlPlaneThatHasBeenSilent) {
    settings.control.port = raw.listener->port();
    settings.ping_interval = 20ms;
    settings.silence_max = 1s;  // Or a process that is not scheduled leaves before it has pinged.
    start();
    net::Peer& peer = raw_upgraded(0);
    const MonoTime upgraded = std::chrono::steady_clock::now();
    ASSERT_TRUE(until([&] { return raw.has_request(1); }));
    EXPECT_GE(std::chrono::steady_clock::now() - upgraded, 990ms);
    EXPECT_NE(peer.received.find("\x89\x80"), std::string::npos);  // It had pinged.
}

TEST_P(TunnelClientTest, PongsKeepAQuietTunnel) {
    settings.ping_interval = 50ms;
    settings.silence_max = 2s;
    serve();
    const std::uint64_t before = session().bytes_in();
    net::run_for(loop, 2200ms);
    EXPECT_GT(session().bytes_in(), before);
    EXPECT_EQ(owner.count("activated"), 1u);
}

// ---- Stopping ----

TEST_P(TunnelClientTest, StopsAtOnceWhenNothingIsOpen) {
    serve();
    bool stopped = false;
    client->stop([&] { stopped = true; });
    EXPECT_FALSE(stopped);  // Never within stop().
    ASSERT_TRUE(until([&] { return stopped; }));
    EXPECT_TRUE(until([&] { return tunnels.size() == 0; }));
    EXPECT_EQ(owner.has("health fail"), !is_v2());
    EXPECT_TRUE(owner.has(is_v2() ? "closed agent_stopping" : "closed closed_by_agent"));
    run_turns(loop, 100);
    EXPECT_EQ(owner.count("check claim"), 1u);  // It does not come back.
}

TEST_P(TunnelClientTest, AnswersAChallengeThatIsOpenBeforeItStops) {
    serve();
    provider.gate.lock();
    session().challenge(protocol::ChallengeReason::operator_request);
    run_turns(loop, 50);
    bool stopped = false;
    client->stop([&] { stopped = true; });
    ASSERT_TRUE(until([&] { return owner.has(is_v2() ? "drain agent_stopping" : "health fail"); }));
    run_turns(loop, 50);
    EXPECT_FALSE(stopped);
    EXPECT_EQ(owner.count("verify"), 1u);
    provider.gate.unlock();
    EXPECT_TRUE(until([&] { return owner.count("verify") == 2; }));
    EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_P(TunnelClientTest, FinishesWhatIsOpenAndWhatIsOnItsWayBeforeItStops) {
    serve();
    TestVisitor open, on_its_way;
    ask(open, "/open");
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    bool stopped = false;
    client->stop([&] { stopped = true; });
    ask(on_its_way, "/on-its-way");  // The control plane has not heard yet.
    ASSERT_TRUE(until([&] { return app.has_request(1); }));
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    ASSERT_TRUE(until([&] { return open.got == "200 one."; }));
    EXPECT_FALSE(stopped);
    app.peers[1]->say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
    ASSERT_TRUE(until([&] { return stopped; }));
    EXPECT_TRUE(until([&] { return on_its_way.got == "200 two."; })) << on_its_way.got;
}

TEST_P(TunnelClientTest, ServesWhatTheControlPlaneSentBeforeItHeard) {
    serve();
    TestVisitor on_its_way;
    bool stopped = false;
    client->stop([&] { stopped = true; });  // Nothing is open here.
    ask(on_its_way);
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(until([&] { return on_its_way.got == "200 ok."; })) << on_its_way.got;
    EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_P(TunnelClientTest, ServesWhatTheControlPlaneBeganInTheTurnInWhichItHeard) {
    serve();
    TestVisitor begun;
    // Its head has not left yet when the rest of what the agent said is read.
    owner.health = [&](tunnel::Session&, bool) {
        owner.health = {};
        ask(begun);
    };
    bool stopped = false;
    client->report_health(true, "");
    client->stop([&] { stopped = true; });
    ASSERT_TRUE(until([&] { return app.has_request(0) || !begun.got.empty(); }));
    ASSERT_TRUE(app.has_request(0)) << begun.got;
    EXPECT_FALSE(stopped);
    app.peers[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(until([&] { return begun.got == "200 ok."; })) << begun.got;
    EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_P(TunnelClientTest, StopsAtItsDeadlineWhateverIsOpen) {
    settings.drain_timeout = 60ms;
    serve();
    TestVisitor visitor;
    ask(visitor);
    ASSERT_TRUE(until([&] { return app.has_request(0); }));
    bool stopped = false;
    client->stop([&] { stopped = true; });
    EXPECT_TRUE(until([&] { return stopped; }));
}

TEST_P(TunnelClientTest, StopsWhileItConnectsHandshakesOrWaits) {
    settings.control.port = raw.listener->port();
    settings.drain_timeout = 10s;
    for (const int phase : {0, 1, 2}) {
        settings.reconnect_min = settings.reconnect_max = phase == 2 ? 60000ms : 1ms;
        const std::size_t peer = raw.peers.size();
        start();
        if (phase == 1) {
            ASSERT_TRUE(until([&] { return raw.has_request(peer); }));
        }
        if (phase == 2) raw_client(peer).stream.abort(), run_turns(loop, 20);
        bool stopped = false;
        client->stop([&] { stopped = true; });
        EXPECT_TRUE(run_until(loop, [&] { return stopped; }, 5s)) << phase;
        client.reset();
    }
}

INSTANTIATE_TEST_SUITE_P(Wires, TunnelClientTest, testing::Values(tunnel::Wire::v1, tunnel::Wire::v2),
                         [](const auto& param) { return param.param == tunnel::Wire::v1 ? "V1" : "V2"; });

}  // namespace
}  // namespace ee::agent

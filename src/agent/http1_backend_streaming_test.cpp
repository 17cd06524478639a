// Requests to the backend whose bodies come and go in pieces.

#include <gtest/gtest.h>

#include "agent/http1_backend.h"
#include "http/fields.h"
#include "http/test_server.h"
#include "http/websocket_handshake.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

struct Asker final : http::AnswerObserver, net::Recorder {
    using Recorder::on_data;
    void on_interim(const http::ResponseHead& head) override { interim.push_back(head.status); }
    void on_head(const http::ResponseHead& head) override {
        status = head.status;
        if (at_head) at_head();
    }
    void on_body(std::string_view bytes) override {
        body.append(bytes);
        if (consumes) exchange->body_consumed(bytes.size());
    }
    void on_end(std::span<const http::Field> trailers) override {
        for (const http::Field& field : trailers)
            trailer = std::string(field.name) + ": " + std::string(field.value);
        ended = "end";
    }
    void on_failure(http::RequestFailure failure, const std::string&) override {
        ended = error_code(failure);
    }
    void on_written(std::size_t bytes) override { written += bytes; }
    void on_upgraded(const http::ResponseHead& head, std::unique_ptr<net::Stream> handed) override {
        status = head.status;
        protocol = http::find(head.fields, "sec-websocket-protocol").value_or("");
        stream = std::move(handed);
        stream->set_handler(*this);
        ended = "upgraded";
    }

    http::ClientExchange* exchange = nullptr;
    bool consumes = true;
    std::vector<int> interim;
    int status = 0;
    std::string body, trailer, ended, protocol;
    std::size_t written = 0;
    std::function<void()> at_head;
    std::unique_ptr<net::Stream> stream;
};

class BackendStreaming : public testing::Test {
protected:
    void SetUp() override { restart(); }
    void TearDown() override {
        backend.reset();
        loop.collect();
    }
    void restart() {
        backend.reset();
        settings.url = server->url();
        backend.emplace(loop, resolver, settings);
    }
    void ask(Asker& asker, BackendRequest request) {
        if (request.path.empty()) request.path = "/";
        if (request.method.empty()) request.method = "GET";
        asker.exchange = &backend->open(request, asker);
        EXPECT_EQ(asker.ended, "");  // Never within open().
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    bool ends(Asker& asker, const std::string& how) {
        return until([&] { return !asker.ended.empty(); }) && asker.ended == how;
    }
    // Waits for the head of a request, takes it off what was received, and answers it.
    std::string hear(std::size_t peer = 0) {
        EXPECT_TRUE(until([&] { return server->has_request(peer); }));
        std::string& received = server->peers.at(peer)->received;
        const std::size_t end = received.find("\r\n\r\n") + 4;
        std::string head = received.substr(0, end);
        received.erase(0, end);
        return head;
    }
    std::string serve(std::size_t peer, std::string_view answer) {
        std::string head = hear(peer);
        server->peers[peer]->say(answer);
        return head;
    }
    // A request that leaves a kept connection behind.
    void warm_up(std::size_t peer) {
        Asker asker;
        ask(asker, {.method = "GET", .path = "/", .fields = {}});
        serve(peer, "HTTP/1.1 204 No Content\r\n\r\n");
        ASSERT_TRUE(ends(asker, "end"));
    }
    std::string host() const { return "Host: " + settings.url.authority() + "\r\n"; }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    std::unique_ptr<http::TestServer> server = std::make_unique<http::TestServer>(loop);
    BackendSettings settings;
    std::optional<Http1Backend> backend;
};

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_F(BackendStreaming, WritesHeadsOfBodiesThatFollow) {
    const http::Field fields[] = {{"X-One", "1"},
                                  {"Content-Length", "9"},
                                  {"Transfer-Encoding", "chunked"},
                                  {"Expect", "100-continue"},
                                  {"TE", "trailers"}};
    const std::string start = "PUT / HTTP/1.1\r\nX-One: 1\r\n" + host();
    struct Row {
        BackendRequest request;
        std::string head;
    };
    const Row rows[] = {
        {{.method = "PUT", .path = "/", .fields = fields, .body_follows = true},
         start + "Transfer-Encoding: chunked\r\n\r\n"},
        {{.method = "PUT", .path = "/", .fields = fields, .body_follows = true, .content_length = 3},
         start + "Content-Length: 3\r\n\r\n"},
        {{.method = "PUT",
          .path = "/",
          .fields = fields,
          .body_follows = true,
          .content_length = 3,
          .expect_continue = true,
          .accepts_trailers = true},
         start + "Content-Length: 3\r\nExpect: 100-continue\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
        {{.method = "PUT", .path = "/", .fields = fields}, start + "Content-Length: 0\r\n\r\n"},
    };
    std::size_t peer = 0;
    for (const Row& row : rows) {
        Asker asker;
        ask(asker, row.request);
        EXPECT_EQ(hear(peer++), row.head);
        asker.exchange->cancel();
    }
}

TEST_F(BackendStreaming, CarriesBothBodiesInPiecesAndKeepsTheConnection) {
    for (int round = 0; round < 2; ++round) {
        Asker asker;
        ask(asker,
            {.method = "POST", .path = "/", .fields = {}, .body_follows = true, .expect_continue = true});
        serve(0, "HTTP/1.1 100 Continue\r\n\r\n");
        ASSERT_TRUE(until([&] { return asker.interim == std::vector<int>{100}; }));
        ASSERT_TRUE(asker.exchange->send_body("abc"));
        std::string& received = server->peers[0]->received;
        ASSERT_TRUE(until([&] { return received == "3\r\nabc\r\n" && asker.written == 3; }));
        server->peers[0]->say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n");
        ASSERT_TRUE(until([&] { return asker.body == "de"; }));
        const http::Field sum{"X-Sum", "1"};
        ASSERT_TRUE(asker.exchange->end_body({&sum, 1}));
        ASSERT_TRUE(until([&] { return received.ends_with("0\r\nX-Sum: 1\r\n\r\n"); }));
        received.clear();
        server->peers[0]->say("0\r\ngrpc-status: 0\r\n\r\n");
        ASSERT_TRUE(ends(asker, "end"));
        EXPECT_EQ(asker.trailer, "grpc-status: 0");
        EXPECT_EQ(backend->requests_open(), 0u);
    }
    EXPECT_EQ(server->peers.size(), 1u);
}

TEST_F(BackendStreaming, SendsAgainOnlyWhatIsWholeAndIdempotentAndWasNotAnswered) {
    struct Row {
        const char* what;
        BackendRequest request;
        std::string answer;  // Before the kept connection ends.
        bool again;
    };
    const Row rows[] = {
        {"GET", {.method = "GET", .path = "/", .fields = {}}, "", true},
        {"PUT with its body", {.method = "PUT", .path = "/", .fields = {}, .body = "b"}, "", true},
        {"POST", {.method = "POST", .path = "/", .fields = {}}, "", false},
        {"a body that follows",
         {.method = "PUT", .path = "/", .fields = {}, .body_follows = true},
         "",
         false},
        {"an interim answer",
         {.method = "GET", .path = "/", .fields = {}},
         "HTTP/1.1 103 Early\r\n\r\n",
         false},
    };
    for (const Row& row : rows) {
        restart();
        const std::size_t kept = server->peers.size();
        warm_up(kept);
        Asker asker;
        ask(asker, row.request);
        hear(kept);
        if (!row.answer.empty()) {
            server->peers[kept]->say(row.answer);
            ASSERT_TRUE(until([&] { return !asker.interim.empty(); }));
        }
        server->peers[kept]->stream.abort();
        if (row.again) serve(kept + 1, ok);
        ASSERT_TRUE(until([&] { return !asker.ended.empty(); })) << row.what;
        const std::string failed = row.answer.empty() ? "backend_unreachable" : "bad_backend_answer";
        EXPECT_EQ(asker.ended, row.again ? "end" : failed) << row.what;
        EXPECT_EQ(server->peers.size(), kept + (row.again ? 2 : 1)) << row.what;
    }
}

TEST_F(BackendStreaming, ABackendThatRestartsCostsNoRequestThatWasNotUnderWay) {
    constexpr std::size_t count = 8;
    std::vector<Asker> first(count), after(count);
    for (Asker& asker : first) ask(asker, {.method = "GET", .path = "/", .fields = {}});
    for (std::size_t i = 0; i < count; ++i) serve(i, "HTTP/1.1 204 No Content\r\n\r\n");
    for (Asker& asker : first) ASSERT_TRUE(ends(asker, "end"));
    for (const auto& peer : server->peers) peer->stream.abort();  // All the kept ones at once.
    // POSTs are never sent again, so each needs a connection that lives.
    run_turns(loop, 10);
    for (Asker& asker : after) ask(asker, {.method = "POST", .path = "/", .fields = {}});
    for (std::size_t i = 0; i < count; ++i) serve(count + i, ok);
    for (Asker& asker : after) EXPECT_TRUE(ends(asker, "end"));
}

TEST_F(BackendStreaming, AStalledAskerHoldsUpNobodyElse) {
    Asker stalled, quick;
    stalled.consumes = false;
    ask(stalled, {.method = "GET", .path = "/", .fields = {}});
    const std::string big(32 << 20, 'b');
    serve(0, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(big.size()) + "\r\n\r\n" + big);
    ASSERT_TRUE(until([&] { return stalled.body.size() > 256 * 1024; }));
    run_turns(loop, 50);
    EXPECT_LE(stalled.body.size(), 256u * 1024 + net::Loop::read_buffer_size);
    ask(quick, {.method = "GET", .path = "/", .fields = {}});
    serve(1, ok);
    EXPECT_TRUE(ends(quick, "end"));
    stalled.consumes = true;
    stalled.exchange->body_consumed(stalled.body.size());
    EXPECT_TRUE(ends(stalled, "end"));
    EXPECT_EQ(stalled.body.size(), big.size());
}

TEST_F(BackendStreaming, DropsTheConnectionOfAnAnswerThatCameBeforeTheBody) {
    Asker early, next;
    ask(early, {.method = "POST", .path = "/", .fields = {}, .body_follows = true, .content_length = 10});
    ASSERT_TRUE(early.exchange->send_body("12345"));
    serve(0, ok);
    ASSERT_TRUE(ends(early, "end"));
    EXPECT_TRUE(until([&] { return !server->peers[0]->closed.empty(); }));
    ask(next, {.method = "GET", .path = "/", .fields = {}});
    serve(1, ok);
    EXPECT_TRUE(ends(next, "end"));
}

TEST_F(BackendStreaming, CancellingClosesTheConnectionAndCallsNobody) {
    for (const bool within : {false, true}) {
        Asker asker;
        const std::size_t peer = server->peers.size();
        if (within) asker.at_head = [&] { asker.exchange->cancel(); };
        ask(asker, {.method = "GET", .path = "/", .fields = {}});
        serve(peer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        if (!within) {
            ASSERT_TRUE(until([&] { return asker.body == "half"; }));
            asker.exchange->cancel();
        }
        EXPECT_TRUE(until([&] { return !server->peers[peer]->closed.empty(); }));
        EXPECT_EQ(asker.body, within ? "" : "half");
        EXPECT_EQ(asker.ended, "");
        EXPECT_EQ(backend->requests_open(), 0u);
    }
}

TEST_F(BackendStreaming, SaysWhyARequestFailed) {
    settings.idle_time = 50ms;
    restart();
    const http::Field bad{"X", "a\r\nY: b"};
    Asker unwritable, cancelled, idle, broken, nobody;
    ask(unwritable, {.method = "GET", .path = "/", .fields = {&bad, 1}});
    ask(cancelled, {.method = "GET", .path = "/a b", .fields = {}, .body_follows = true});
    EXPECT_TRUE(cancelled.exchange->send_body("nobody hears"));
    cancelled.exchange->cancel();
    EXPECT_TRUE(ends(unwritable, "bad_request"));
    run_turns(loop, 5);
    EXPECT_EQ(cancelled.ended, "");
    ask(idle, {.method = "GET", .path = "/", .fields = {}});
    EXPECT_TRUE(ends(idle, "backend_timeout"));
    ask(broken, {.method = "GET", .path = "/", .fields = {}});
    serve(1, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    EXPECT_TRUE(ends(broken, "bad_backend_answer"));
    server->listener->close();
    ask(nobody, {.method = "GET", .path = "/", .fields = {}});
    EXPECT_TRUE(ends(nobody, "backend_unreachable"));
    EXPECT_EQ(backend->requests_open(), 0u);
}

TEST_F(BackendStreaming, EndsAnExchangeWhoseBodyIsNotAsLongAsAnnounced) {
    for (const bool too_long : {false, true}) {
        Asker asker;
        const std::size_t peer = server->peers.size();
        ask(asker, {.method = "PUT", .path = "/", .fields = {}, .body_follows = true, .content_length = 3});
        hear(peer);
        EXPECT_FALSE(too_long ? asker.exchange->send_body("GET / HTTP/1.1") : asker.exchange->end_body({}));
        EXPECT_TRUE(until([&] { return !server->peers[peer]->closed.empty(); }));
        EXPECT_EQ(server->peers[peer]->received, "");
        EXPECT_EQ(asker.ended, "");
        EXPECT_EQ(backend->requests_open(), 0u);
    }
}

TEST_F(BackendStreaming, MayGoWhileRequestsAreOpen) {
    Asker asker;
    ask(asker, {.method = "GET", .path = "/", .fields = {}});
    hear();
    backend.reset();
    loop.collect();
    EXPECT_TRUE(until([&] { return !server->peers[0]->closed.empty(); }));
    EXPECT_EQ(asker.ended, "");
}

// ---- WebSockets ----

const http::Field offered[] = {{"Sec-WebSocket-Key", "dGhlIHZpc2l0b3IncyBrZXk="},
                               {"Sec-WebSocket-Version", "8"},
                               {"Sec-WebSocket-Protocol", "chat"},
                               {"Sec-WebSocket-Extensions", "permessage-deflate"},
                               {"Upgrade", "other"}};

std::string key_in(const std::string& head) {
    const std::string name = "\r\nSec-WebSocket-Key: ";
    const std::size_t at = head.find(name) + name.size();
    return head.substr(at, head.find("\r\n", at) - at);
}
std::string switched(const std::string& key) {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
           "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: " +
           http::websocket_accept(key) + "\r\n\r\n";
}

TEST_F(BackendStreaming, OpensAWebSocketWithAKeyOfItsOwn) {
    Asker asker;
    ask(asker, {.method = "GET", .path = "/chat", .fields = offered, .websocket = true});
    const std::string head = hear();
    const std::string key = key_in(head);
    EXPECT_EQ(head,
              "GET /chat HTTP/1.1\r\nSec-WebSocket-Protocol: chat\r\n"
              "Sec-WebSocket-Extensions: permessage-deflate\r\n" +
                  host() + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
                  "Sec-WebSocket-Key: " + key + "\r\n\r\n");
    EXPECT_NE(key, offered[0].value);
    server->peers[0]->say(switched(key) + "first frame");
    ASSERT_TRUE(ends(asker, "upgraded"));
    EXPECT_EQ(asker.protocol, "chat");
    EXPECT_EQ(backend->requests_open(), 0u);
    ASSERT_TRUE(until([&] { return asker.received == "first frame"; }));
    asker.stream->write("answer");
    ASSERT_TRUE(until([&] { return server->peers[0]->received == "answer"; }));
    server->peers[0]->stream.abort();
    EXPECT_TRUE(until([&] { return asker.closed == "closed"; }));
}

TEST_F(BackendStreaming, RefusesA101ThatAnswersAnotherRequest) {
    const auto without = [](std::string text, std::string_view part) {
        return text.erase(text.find(part), part.size());
    };
    for (const int row : {0, 1, 2, 3}) {
        Asker asker;
        ask(asker, {.method = "GET", .path = "/", .fields = offered, .websocket = row < 3});
        const std::string key = row < 3 ? key_in(hear(static_cast<std::size_t>(row))) : "";
        const std::string answers[] = {switched("bm90IHRoZSBrZXkgdGhhdCB3YXM="),
                                       without(switched(key), "Upgrade: WebSocket\r\n"),
                                       without(switched(key), ", Upgrade"), switched(key)};
        if (row == 3) hear(3);
        server->peers[static_cast<std::size_t>(row)]->say(answers[row]);
        EXPECT_TRUE(ends(asker, "bad_backend_answer")) << row;
        EXPECT_TRUE(until([&] { return !server->peers[static_cast<std::size_t>(row)]->closed.empty(); }));
    }
}

// Over HTTP/1.1 it is a GET without a body (RFC 6455 section 4.1).
TEST_F(BackendStreaming, OpensAWebSocketByGetAlone) {
    Asker posted, with_body;
    ask(posted, {.method = "POST", .path = "/", .fields = offered, .websocket = true});
    ask(with_body,
        {.method = "GET", .path = "/", .fields = offered, .body_follows = true, .websocket = true});
    EXPECT_TRUE(ends(posted, "bad_request"));
    EXPECT_TRUE(ends(with_body, "bad_request"));
    EXPECT_TRUE(server->peers.empty());
}

TEST_F(BackendStreaming, PassesOnThatTheBackendWantsNoWebSocket) {
    Asker refused, next;
    ask(refused, {.method = "GET", .path = "/", .fields = offered, .websocket = true});
    serve(0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    ASSERT_TRUE(ends(refused, "end"));
    EXPECT_EQ(refused.status, 403);
    EXPECT_EQ(refused.body, "no");
    ask(next, {.method = "GET", .path = "/", .fields = {}});
    serve(0, ok);  // On the same connection.
    EXPECT_TRUE(ends(next, "end"));
}

}  // namespace
}  // namespace ee::agent

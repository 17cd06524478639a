// Requests over HTTP/2: what is sent, what comes back, and on which connections.

#include "agent/http2_backend.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/health_prober.h"
#include "agent/http2_test_server.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using http::Field;
using http::OwnedField;
using net::run_turns;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Http2BackendTest : public testing::Test, protected Http2BackendFixture {};

// ---- What is sent ----

TEST_F(Http2BackendTest, SendsHeadsWithoutWhatBelongsToTheHop) {
    const Field fields[] = {{"Host", "app.example"}, {"X-One", "1"},
                            {"Connection", "x-hop"}, {"Keep-Alive", "5"},
                            {"TE", "trailers"},      {"Transfer-Encoding", "chunked"},
                            {"Upgrade", "h2c"},      {"Proxy-Connection", ""},
                            {"Content-Length", "9"}, {"Expect", "100-continue"}};
    struct Row {
        BackendRequest request;
        std::vector<OwnedField> fields;
    };
    const Row rows[] = {
        {{.method = "GET", .path = "/a?b=%20", .fields = fields}, {{"x-one", "1"}}},
        {{.method = "POST", .path = "/", .fields = fields}, {{"x-one", "1"}, {"content-length", "0"}}},
        {{.method = "PUT", .path = "/", .fields = fields, .body = "abc"},
         {{"x-one", "1"}, {"content-length", "3"}}},
        {{.method = "PUT", .path = "/", .fields = fields, .body_follows = true, .content_length = 5},
         {{"x-one", "1"}, {"content-length", "5"}}},
        {{.method = "POST", .path = "/", .fields = fields, .body_follows = true, .accepts_trailers = true},
         {{"x-one", "1"}, {"te", "trailers"}}},
        {{.method = "OPTIONS", .path = "*", .fields = fields}, {{"x-one", "1"}}},
    };
    http::Http2StreamId id = 1;
    for (const Row& row : rows) {
        Http2Asker asker;
        ask(asker, row.request);
        ASSERT_TRUE(hears(0, id));
        const Http2TestServer::Request& got = server.request(0, id);
        EXPECT_EQ(got.method, row.request.method);
        EXPECT_EQ(got.path, row.request.path);
        EXPECT_EQ(got.authority, "app.example");
        EXPECT_EQ(got.fields, row.fields);
        asker.exchange->cancel();
        id += 2;
    }
}

TEST_F(Http2BackendTest, NamesTheBackendWhereTheRequestNamesNoHost) {
    Http2Asker asker;
    ask(asker);
    ASSERT_TRUE(hears(0, 1));
    EXPECT_EQ(server.request(0, 1).authority, settings.url.authority());
}

TEST_F(Http2BackendTest, RefusesWhatCannotBeWritten) {
    const Field bad_value{"x", "a\r\nb: c"}, bad_name{"x y", "1"};
    const BackendRequest rows[] = {
        {.method = "GET", .path = "http://other.example/", .fields = {}},
        {.method = "GET", .path = "/a b", .fields = {}},
        {.method = "GE T", .path = "/", .fields = {}},
        {.method = "GET", .path = "/", .fields = {&bad_value, 1}},
        {.method = "GET", .path = "/", .fields = {&bad_name, 1}},
        {.method = "POST", .path = "/", .fields = {}, .websocket = true},
    };
    for (const BackendRequest& request : rows) {
        Http2Asker asker, cancelled;
        ask(asker, request);
        ask(cancelled, request);
        cancelled.exchange->cancel();
        EXPECT_TRUE(ends(asker, "bad_request"));
        EXPECT_EQ(cancelled.ended, "");
    }
    EXPECT_EQ(backend->requests_open(), 0u);
    EXPECT_TRUE(server.peers.empty());
}

TEST_F(Http2BackendTest, CarriesBothBodiesInPiecesAndTrailersBothWays) {
    Http2Asker asker;
    ask(asker, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(asker.exchange->send_body("abc"));  // Before there is a connection.
    ASSERT_TRUE(hears(0, 1));
    Http2TestServer::Request& request = server.request(0, 1);
    ASSERT_TRUE(until([&] { return request.body == "abc" && asker.written == 3; }));
    EXPECT_FALSE(request.has_ended);
    const Field early{"link", "</a>"};
    server.peers[0]->session.interim(1, 103, {&early, 1});
    const Field type{"content-type", "application/grpc"};
    server.peers[0]->answer(1, 200, "de", false, {&type, 1});
    ASSERT_TRUE(until([&] { return asker.body == "de"; }));
    EXPECT_EQ(asker.interim, std::vector<int>{103});
    EXPECT_EQ(asker.status, 200);
    EXPECT_THAT(asker.fields, ElementsAre(OwnedField{"content-type", "application/grpc"}));
    ASSERT_TRUE(asker.exchange->send_body("fg"));
    const Field sum{"X-Sum", "1"}, status{"grpc-status", "0"};
    ASSERT_TRUE(asker.exchange->end_body({&sum, 1}));
    ASSERT_TRUE(hears_all(0, 1));
    EXPECT_EQ(request.body, "abcfg");
    EXPECT_THAT(request.trailers, ElementsAre(OwnedField{"x-sum", "1"}));
    EXPECT_EQ(asker.ended, "");
    server.peers[0]->session.end_body(1, {&status, 1});
    server.peers[0]->stream.flush_later();
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_THAT(asker.trailers, ElementsAre(OwnedField{"grpc-status", "0"}));
    EXPECT_EQ(asker.written, 5u);
    EXPECT_EQ(backend->requests_open(), 0u);
}

TEST_F(Http2BackendTest, AnAnswerMayBeItsHeadAlone) {
    Http2Asker asker;
    ask(asker, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(hears(0, 1));
    const Field fields[] = {{"grpc-status", "12"}};
    server.peers[0]->answer(1, 200, "", true, fields);
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_TRUE(asker.is_empty);
    EXPECT_THAT(asker.fields, ElementsAre(OwnedField{"grpc-status", "12"}));
    // The rest of the request is not waited for.
    run_turns(loop, 5);
    EXPECT_EQ(server.peers[0]->session.open_streams(), 0u);
}

TEST_F(Http2BackendTest, EndsAnExchangeWhoseBodyIsNotAsLongAsAnnouncedOrHasTrailersThatCannotBeSent) {
    const Field bad{"x", "a\nb"};
    for (const int row : {0, 1, 2}) {
        Http2Asker asker;
        const auto id = static_cast<http::Http2StreamId>(2 * row + 1);
        ask(asker, {.method = "PUT",
                    .path = "/",
                    .fields = {},
                    .body_follows = true,
                    .content_length = row == 2 ? std::nullopt : std::optional<std::uint64_t>(3)});
        ASSERT_TRUE(hears(0, id));
        EXPECT_FALSE(row == 0   ? asker.exchange->send_body("abcd")
                     : row == 1 ? asker.exchange->end_body({})
                                : asker.exchange->end_body({&bad, 1}));
        EXPECT_TRUE(until([&] { return server.request(0, id).reset == http::http2_code::cancel; }));
        EXPECT_EQ(server.request(0, id).body, "");
        EXPECT_EQ(asker.ended, "");
        EXPECT_EQ(backend->requests_open(), 0u);
    }
}

// ---- Whole requests ----

struct Outcome {
    int calls = 0, status = 0;
    std::string body, error;
    std::vector<OwnedField> fields;
};

TEST_F(Http2BackendTest, AsksForWholeAnswersToo) {
    settings.body_bytes_max = 1000;
    restart();
    const auto send = [&](Outcome& outcome) {
        protocol::ProxyRequest request;
        request.method = "POST";
        request.path = "/whole";
        request.body = "question";
        request.headers = {{"X-One", "1"}};
        backend->send(request, [&outcome](const http::AnswerView* answer, const Error& error) {
            ++outcome.calls;
            outcome.error = error.code;
            if (answer == nullptr) return;
            outcome.status = answer->head.status;
            outcome.body = answer->body;
            outcome.fields = owned(answer->head.fields);
        });
    };
    Outcome whole, too_large, gone;
    send(whole);
    ASSERT_TRUE(hears_all(0, 1));
    EXPECT_EQ(server.request(0, 1).body, "question");
    // Its end comes later than all of what its length announces.
    const Field fields[] = {{"x-two", "2"}, {"content-length", "6"}};
    server.peers[0]->answer(1, 201, "answer", false, fields);
    run_turns(loop, 5);
    EXPECT_EQ(whole.calls, 0);
    server.peers[0]->session.end_body(1);
    server.peers[0]->stream.flush_later();
    ASSERT_TRUE(until([&] { return whole.calls == 1; }));
    EXPECT_EQ(whole.status, 201);
    EXPECT_EQ(whole.body, "answer");
    EXPECT_THAT(whole.fields, ElementsAre(OwnedField{"x-two", "2"}, OwnedField{"content-length", "6"}));

    send(too_large);
    ASSERT_TRUE(hears_all(0, 3));
    server.peers[0]->answer(3, 200, std::string(1001, 'x'));
    ASSERT_TRUE(until([&] { return too_large.calls == 1; }));
    EXPECT_EQ(too_large.error, "bad_backend_answer");

    send(gone);
    ASSERT_TRUE(hears_all(0, 5));
    server.peers[0]->stream.abort();
    ASSERT_TRUE(until([&] { return gone.calls == 1; }));
    EXPECT_EQ(gone.error, "backend_unreachable");
    EXPECT_EQ(backend->requests_open(), 0u);
}

// ---- Connections ----

TEST_F(Http2BackendTest, SharesAConnectionAndOpensAnotherWhereTheBackendAllowsNoMoreStreams) {
    server.settings.streams_max = 2;
    settings.connections_max = 2;
    restart();
    std::vector<Http2Asker> askers(6);
    for (Http2Asker& asker : askers) ask(asker);
    ASSERT_TRUE(hears(1, 3));
    run_turns(loop, 10);
    EXPECT_EQ(server.peers.size(), 2u);
    for (const auto& peer : server.peers) EXPECT_EQ(peer->requests.size(), 2u);
    askers[5].exchange->cancel();  // One that waits.
    for (const http::Http2StreamId id : {1, 3}) server.peers[1]->answer(id, 200, "");
    ASSERT_TRUE(hears(1, 5));
    run_turns(loop, 10);
    EXPECT_EQ(server.peers[1]->requests.size(), 3u);
    server.peers[1]->answer(5, 200, "");
    for (const http::Http2StreamId id : {1, 3}) server.peers[0]->answer(id, 200, "");
    for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(ends(askers[i], "end")) << i;
    EXPECT_EQ(server.peers.size(), 2u);
}

TEST_F(Http2BackendTest, RefusesMoreThanMayWait) {
    server.settings.streams_max = 1;
    settings.connections_max = settings.waiting_max = 1;
    restart();
    Http2Asker first, waiting, refused;
    ask(first);
    ASSERT_TRUE(hears(0, 1));
    ask(waiting);
    ask(refused);
    EXPECT_TRUE(ends(refused, "backend_unreachable"));
    EXPECT_THAT(refused.why, testing::HasSubstr("as may: 1"));
    server.peers[0]->answer(1, 200, "");
    EXPECT_TRUE(hears(0, 3));
}

TEST_F(Http2BackendTest, ClosesAConnectionThatIsNotUsed) {
    settings.unused_time = 40ms;
    restart();
    Http2Asker open;
    ask(open);
    ASSERT_TRUE(hears(0, 1));
    const auto later = loop.now() + 100ms;
    ASSERT_TRUE(until([&] { return loop.now() > later; }));
    EXPECT_FALSE(server.peers[0]->is_closed);
    server.peers[0]->answer(1, 200, "");
    ASSERT_TRUE(ends(open, "end"));
    EXPECT_TRUE(until([&] { return server.peers[0]->has_goaway && server.peers[0]->is_closed; }));
    EXPECT_EQ(backend->connections(), 0u);
    Http2Asker next;
    ask(next);
    EXPECT_TRUE(hears(1, 1));
}

TEST_F(Http2BackendTest, ReachesAServerOnAUnixSocket) {
    const std::string path = testing::TempDir() + "h2c-" + std::to_string(::getpid()) + ".sock";
    const net::Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening.get(), 1), 0);
    settings.url = net::parse_url("h2c+unix:" + path).value();
    backend.emplace(loop, resolver, settings);
    Http2Asker asker;
    ask(asker);
    run_turns(loop, 5);
    server.peers.push_back(std::make_unique<Http2TestServer::Peer>(
        loop, net::Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)),
        server.settings));
    ASSERT_TRUE(hears(0, 1));
    EXPECT_EQ(server.request(0, 1).authority, "localhost");
    server.peers[0]->answer(1, 200, "ok");
    EXPECT_TRUE(ends(asker, "end"));
    ::unlink(path.c_str());
}

// ---- Slow ones ----

TEST_F(Http2BackendTest, AnAskerThatStopsReadingSlowsItsOwnAnswerAlone) {
    Http2Asker stalled, quick;
    stalled.consumes = false;
    ask(stalled);
    ASSERT_TRUE(hears(0, 1));
    const std::string big(8 << 20, 'b');
    server.peers[0]->answer(1, 200, big);
    ASSERT_TRUE(until([&] { return stalled.body.size() == 256 * 1024; }));
    run_turns(loop, 50);
    EXPECT_EQ(stalled.body.size(), 256u * 1024);
    ask(quick);
    ASSERT_TRUE(hears(0, 3));
    server.peers[0]->answer(3, 200, big);
    EXPECT_TRUE(ends(quick, "end"));
    EXPECT_EQ(quick.body.size(), big.size());
    stalled.consumes = true;
    stalled.exchange->body_consumed(stalled.body.size());
    EXPECT_TRUE(ends(stalled, "end"));
    EXPECT_EQ(stalled.body.size(), big.size());
}

TEST_F(Http2BackendTest, ABackendThatStopsReadingOneBodySlowsThatOneAlone) {
    Http2Asker stalled, quick;
    ask(stalled, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(hears(0, 1));
    server.peers[0]->consumes = false;
    const std::string big(4 << 20, 'b');
    ASSERT_TRUE(stalled.exchange->send_body(big));
    const std::size_t window = server.settings.window_bytes;
    ASSERT_TRUE(until([&] { return server.request(0, 1).body.size() == window; }));
    run_turns(loop, 50);
    EXPECT_EQ(stalled.written, window);
    ask(quick, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(quick.exchange->send_body("quick"));
    ASSERT_TRUE(until([&] { return server.has(1, 1) && server.request(1, 1).body == "quick"; }));
    server.peers[0]->consumes = true;
    server.peers[0]->consume(1);
    EXPECT_TRUE(until([&] { return server.request(0, 1).body.size() == big.size(); }));
    EXPECT_TRUE(until([&] { return stalled.written == big.size(); }));
}

// ---- WebSockets ----

const Field offered[] = {{"host", "app.example"},
                         {"sec-websocket-key", "dGhlIHZpc2l0b3IncyBrZXk="},
                         {"sec-websocket-version", "8"},
                         {"sec-websocket-protocol", "chat"}};

TEST_F(Http2BackendTest, OpensAWebSocketByExtendedConnectWhereTheBackendTakesIt) {
    server.settings.connect_protocol = true;
    restart();
    Http2Asker asker, refused;
    ask(asker, {.method = "GET", .path = "/chat", .fields = offered, .websocket = true});
    ASSERT_TRUE(hears(0, 1));
    const Http2TestServer::Request& request = server.request(0, 1);
    EXPECT_EQ(request.method, "CONNECT");
    EXPECT_EQ(request.protocol, "websocket");
    EXPECT_EQ(request.path, "/chat");
    EXPECT_EQ(request.authority, "app.example");
    EXPECT_THAT(request.fields, UnorderedElementsAre(OwnedField{"sec-websocket-version", "13"},
                                                     OwnedField{"sec-websocket-protocol", "chat"}));
    server.peers[0]->answer(1, 200, "hello", false);
    ASSERT_TRUE(until([&] { return asker.is_open && asker.body == "hello"; }));
    ASSERT_TRUE(asker.exchange->send_body("frame"));
    ASSERT_TRUE(until([&] { return request.body == "frame" && asker.written == 5; }));
    ASSERT_TRUE(asker.exchange->end_body({}));
    ASSERT_TRUE(hears_all(0, 1));
    server.peers[0]->session.end_body(1);
    server.peers[0]->stream.flush_later();
    EXPECT_TRUE(ends(asker, "end"));

    ask(refused, {.method = "GET", .path = "/", .fields = offered, .websocket = true});
    ASSERT_TRUE(hears(0, 3));
    server.peers[0]->answer(3, 403, "no");
    EXPECT_TRUE(ends(refused, "end"));
    EXPECT_EQ(refused.status, 403);
    EXPECT_FALSE(refused.is_open);
}

TEST_F(Http2BackendTest, AsksForNoWebSocketThatTheBackendDoesNotTake) {
    for (int round = 0; round < 2; ++round) {
        Http2Asker asker;
        ask(asker, {.method = "GET", .path = "/", .fields = offered, .websocket = true});
        EXPECT_TRUE(ends(asker, "upgrade_unsupported"));
    }
    ASSERT_EQ(server.peers.size(), 1u);
    EXPECT_TRUE(server.peers[0]->requests.empty());
}

// ---- Health ----

TEST_F(Http2BackendTest, TheProberAsksAHealthUrlOverHttp2) {
    net::Url target = server.url();
    target.path = "/up?full=1";
    std::vector<std::string> results;
    HealthProber prober(
        loop, resolver, target, false, nullptr, 1s,
        [&](bool pass, const std::string& detail) { results.push_back(pass ? "pass" : detail); });
    prober.start();
    ASSERT_TRUE(hears_all(0, 1));
    EXPECT_EQ(server.request(0, 1).path, "/up?full=1");
    server.peers[0]->answer(1, 200, std::string(100'000, 'x'));
    ASSERT_TRUE(until([&] { return results.size() == 1; }));
    EXPECT_EQ(results[0], "pass");
    ASSERT_TRUE(hears_all(0, 3));
    server.peers[0]->answer(3, 503, "");
    ASSERT_TRUE(until([&] { return results.size() == 2; }));
    EXPECT_EQ(results[1], "EE_HEALTH_URL answered 503");
}

TEST_F(Http2BackendTest, TheProberAsksNoMoreOnAConnectionThatWasSilent) {
    std::vector<std::string> results;
    HealthProber prober(
        loop, resolver, server.url(), false, nullptr, 1s,
        [&](bool pass, const std::string& detail) { results.push_back(pass ? "pass" : detail); });
    prober.start();
    ASSERT_TRUE(hears_all(0, 1));
    ASSERT_TRUE(until([&] { return results.size() == 1; }));
    EXPECT_EQ(results[0], "EE_HEALTH_URL did not answer in time");
    ASSERT_TRUE(hears_all(1, 1)) << "another connection";
}

}  // namespace
}  // namespace ee::agent

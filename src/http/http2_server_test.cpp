// HTTP/2 connections of a server, over real sockets.
#include <filesystem>

#include <gtest/gtest.h>

#include "http/http2_server_connection.h"
#include "http/test_http2.h"
#include "http/test_transfer.h"
#include "net/test_peer.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using net::run_turns;
using net::run_until;

Http2Settings client_settings(std::uint32_t window_bytes) {
    return {.role = Http2Settings::Role::client, .window_bytes = window_bytes};
}

// A visitor that speaks HTTP/2.
struct Visitor final : net::Stream::Handler {
    Visitor(net::Loop& loop, net::Fd socket, std::uint32_t window_bytes = 1 << 20,
            std::unique_ptr<net::TlsSession> tls = nullptr)
        : side(client_settings(window_bytes)), stream(loop, std::move(socket), *this, std::move(tls)) {
        stream.start();
        stream.flush_later();
    }
    void on_data(std::span<char> data) override {
        if (!side.session.receive({data.data(), data.size()})) broken = true;
        stream.flush_later();
    }
    void on_flush() override {
        StringSink sink;
        side.session.pull(sink, 1 << 20);
        stream.output().append(sink.text);
    }
    void on_closed(const Error& why) override { closed = why.code; }

    Http2StreamId open(std::string_view method, std::string_view path, std::string_view body = {},
                       bool end = true, std::span<const Field> fields = {}) {
        const auto id = side.session.open(
            {.method = method, .scheme = "http", .authority = "a.example", .path = path, .fields = fields},
            body, end);
        EXPECT_TRUE(id);
        stream.flush_later();
        return id.value_or(0);
    }
    void send(Http2StreamId id, std::string_view bytes) {
        side.session.send_body(id, bytes);
        stream.flush_later();
    }
    void end(Http2StreamId id, std::span<const Field> trailers = {}) {
        side.session.end_body(id, trailers);
        stream.flush_later();
    }
    void cancel(Http2StreamId id) {
        side.session.reset(id, http2_code::cancel);
        stream.flush_later();
    }
    Side::Heard& heard(Http2StreamId id) { return side.streams[id]; }

    Side side;
    bool broken = false;
    std::string closed;
    net::Stream stream;
};

struct WholeBodies final : RequestHandler {
    BodyTerms body_terms(const RequestHead&, const net::Endpoint&) override {
        return {.bytes_max = 1000, .claim = std::make_unique<CountedClaim>(claims)};
    }
    void on_request(Exchange& exchange) override {
        const std::string said = std::string(exchange.head().method) + " " +
                                 std::string(exchange.head().origin_form) + " " +
                                 std::string(exchange.body());
        exchange.respond(200, {}, said);
    }
    std::string on_refused(const Refusal& refusal) override {
        refused.push_back(std::to_string(refusal.status) + " " + refusal.why.code);
        return "id";
    }
    std::vector<std::string> refused;
    int claims = 0;  // That are kept now.
};

class Http2ServerTest : public testing::Test {
protected:
    Http2ServerTest() { limits.http2 = true; }
    void open(RequestHandler& served, std::shared_ptr<const net::TlsContext> tls = nullptr) {
        server.emplace(loop, served, limits);
        ASSERT_TRUE(server->listen("127.0.0.1", 0, std::move(tls)));
    }
    void open() { open(handler); }
    void TearDown() override {
        server.reset();
        loop.collect();
    }
    std::unique_ptr<Visitor> visit(std::uint32_t window_bytes = 1 << 20) {
        return std::make_unique<Visitor>(loop, net::connect_to(server->port()), window_bytes);
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    Transfer& transfer(std::size_t index) {
        EXPECT_TRUE(until([&] { return handler.transfers.size() > index; }));
        return *handler.transfers.at(index);
    }

    net::Loop loop;
    StreamingHandler handler;
    WholeBodies wholes;
    ServerLimits limits;
    std::optional<Server> server;
};

// ---- Which version ----

TEST_F(Http2ServerTest, ServesBothVersionsOnOneListener) {
    open();
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("GET", "/two");
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).head, "200 content-length=7");
    EXPECT_EQ(visitor->heard(id).body, "no body");
    net::Peer older(loop, net::connect_to(server->port()));
    older.say("GET /one HTTP/1.1\r\nHost: a.example\r\n\r\n");
    EXPECT_TRUE(
        until([&] { return older.received == "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nno body"; }));
}

// The first bytes of the preface may be those of a method.
TEST_F(Http2ServerTest, APrefaceInPiecesIsToldFromARequest) {
    open();
    for (const std::string_view request :
         {"P / HTTP/1.1\r\nHost: a.example\r\n\r\n", "PRI / HTTP/1.1\r\nHost: a.example\r\n\r\n",
          "PROPFIND / HTTP/1.1\r\nHost: a.example\r\n\r\n"}) {
        net::Peer older(loop, net::connect_to(server->port()));
        for (const char c : request) {
            older.say({&c, 1});
            run_turns(loop, 2);
        }
        EXPECT_TRUE(until([&] { return older.received.ends_with("no body"); })) << request;
    }
    net::Peer newer(loop, net::connect_to(server->port()));
    for (const char c : http2_preface) {
        newer.say({&c, 1});
        run_turns(loop, 2);
    }
    EXPECT_TRUE(until([&] { return newer.received.size() > 9; }));
    EXPECT_EQ(newer.received[3], 4) << "SETTINGS";
}

TEST_F(Http2ServerTest, WhereItIsOffThePrefaceIsNoRequest) {
    limits.http2 = false;
    open();
    net::Peer peer(loop, net::connect_to(server->port()));
    peer.say(http2_preface);
    ASSERT_TRUE(until([&] { return !peer.closed.empty(); }));
    EXPECT_TRUE(peer.received.starts_with("HTTP/1.1 505 ")) << peer.received;
}

// ---- Requests ----

TEST_F(Http2ServerTest, StreamsAreServedAtOnceAndAnsweredInAnyOrder) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    const Http2StreamId first = visitor->open("GET", "/1"), second = visitor->open("GET", "/2");
    transfer(1).respond(200, "second");
    ASSERT_TRUE(until([&] { return visitor->heard(second).ended; }));
    EXPECT_FALSE(visitor->heard(first).ended);
    EXPECT_EQ(server->busy(), 1u);
    transfer(0).respond(404, "first");
    ASSERT_TRUE(until([&] { return visitor->heard(first).ended; }));
    EXPECT_EQ(visitor->heard(first).head, "404 content-length=5");
    EXPECT_TRUE(until([&] { return server->busy() == 0; }));
}

TEST_F(Http2ServerTest, BodiesStreamBothWaysWithTrailers) {
    handler.serve = [](Transfer& transfer) { transfer.exchange->take_body(); };
    open();
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("POST", "/", "", false);
    Transfer& served = transfer(0);
    ASSERT_TRUE(served.exchange->begin(200, {}, std::nullopt));
    for (int i = 0; i < 3; ++i) {
        const std::string piece = "piece " + std::to_string(i);
        visitor->send(id, piece);
        ASSERT_TRUE(until([&] { return served.body.ends_with(piece); }));
        served.exchange->send(piece);
        ASSERT_TRUE(until([&] { return visitor->heard(id).body.ends_with(piece); }));
    }
    const Field asked[] = {{"x-sum", "1"}}, told[] = {{"grpc-status", "0"}};
    visitor->end(id, asked);
    ASSERT_TRUE(until([&] { return served.ended == 1; }));
    EXPECT_EQ(served.trailers, (std::vector<OwnedField>{{"x-sum", "1"}}));
    served.finish(told);
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).trailers, " grpc-status=0");
    EXPECT_EQ(served.written, visitor->heard(id).body.size());
}

TEST_F(Http2ServerTest, ABodyWaitsUntilItIsTaken) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    const Field trailers[] = {{"x-sum", "1"}};
    const Http2StreamId id = visitor->open("POST", "/", "early", false);
    visitor->end(id, trailers);
    Transfer& served = transfer(0);
    run_turns(loop, 10);
    EXPECT_EQ(served.body + std::to_string(served.ended), "0");
    served.exchange->take_body();
    EXPECT_EQ(served.body, "") << "no piece comes within the call";
    ASSERT_TRUE(until([&] { return served.ended == 1; }));
    EXPECT_EQ(served.body, "early");
    EXPECT_EQ(served.trailers, (std::vector<OwnedField>{{"x-sum", "1"}}));
}

TEST_F(Http2ServerTest, OneWhoseHandlerWantsItWholeIsServedWithItsBody) {
    open(wholes);
    const auto visitor = visit();
    const Field fields[] = {{"expect", "100-continue"}};
    const Http2StreamId id = visitor->open("POST", "/path", "", false, fields);
    ASSERT_TRUE(until([&] { return visitor->heard(id).interim == "100"; }));
    visitor->send(id, "the ");
    run_turns(loop, 5);
    visitor->send(id, "body");
    visitor->end(id);
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).body, "POST /path the body");
}

TEST_F(Http2ServerTest, ABodyOverTheLimitIsRefusedAloneAndTheConnectionGoesOn) {
    open(wholes);
    const auto visitor = visit();
    const Field said[] = {{"content-length", "1001"}};
    const Http2StreamId announced = visitor->open("POST", "/", "", false, said);
    const Http2StreamId unannounced = visitor->open("POST", "/", std::string(1001, 'x'), false);
    ASSERT_TRUE(until([&] { return visitor->heard(announced).ended && visitor->heard(unannounced).ended; }));
    EXPECT_TRUE(visitor->heard(announced).head.starts_with("413 ")) << visitor->heard(announced).head;
    EXPECT_TRUE(visitor->heard(unannounced).head.starts_with("413 "));
    EXPECT_EQ(wholes.refused, (std::vector<std::string>{"413 body_too_large", "413 body_too_large"}));
    const Http2StreamId next = visitor->open("GET", "/next");
    ASSERT_TRUE(until([&] { return visitor->heard(next).ended; }));
    EXPECT_EQ(visitor->heard(next).body, "GET /next ");
}

TEST_F(Http2ServerTest, ABodyIsGatheredWhileThereIsRoomForIt) {
    BodyMemory memory(1000);
    HeldBytes others(&memory);
    limits.memory = &memory;
    open(wholes);
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("POST", "/", "a", false);
    ASSERT_TRUE(until([&] { return memory.held() > 0; }));
    others.set(1001);
    visitor->send(id, "b");
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_TRUE(visitor->heard(id).head.starts_with("503 ")) << visitor->heard(id).head;
    others.set(0);
    const Http2StreamId next = visitor->open("POST", "/next", "there is room");
    ASSERT_TRUE(until([&] { return visitor->heard(next).ended; }));
    EXPECT_EQ(visitor->heard(next).body, "POST /next there is room");
    visitor->stream.abort();
    server.reset();
}

TEST_F(Http2ServerTest, AStreamedBodyOverTheLimitIsBrokenOff) {
    handler.body_max = 10;
    handler.serve = [](Transfer& transfer) { transfer.exchange->take_body(); };
    open();
    const auto visitor = visit();
    const Http2StreamId before = visitor->open("POST", "/", "elevenbytes", false);
    ASSERT_TRUE(until([&] { return visitor->heard(before).ended; }));
    EXPECT_TRUE(visitor->heard(before).head.starts_with("413 "));
    EXPECT_EQ(transfer(0).gone, 1);
    const Http2StreamId behind = visitor->open("POST", "/", "", false);
    ASSERT_TRUE(transfer(1).exchange->begin(200, {}, std::nullopt));
    transfer(1).exchange->send("begun");
    ASSERT_TRUE(until([&] { return visitor->heard(behind).body == "begun"; }));
    visitor->send(behind, "elevenbytes");
    ASSERT_TRUE(until([&] { return visitor->heard(behind).reset.has_value(); })) << "never a whole answer";
    EXPECT_FALSE(visitor->heard(behind).ended);
    EXPECT_EQ(handler.refused, (std::vector<std::string>{"413 body_too_large", "413 body_too_large"}));
}

TEST_F(Http2ServerTest, BadHeadsAreAnsweredAloneWithTheirReason) {
    open();
    const auto visitor = visit();
    const Field expectation[] = {{"expect", "tea"}}, other_host[] = {{"host", "b.example"}};
    const std::string large(70'000, 'x');
    const std::vector<Field> too_large = {{"x-a", std::string_view(large).substr(0, 60'000)},
                                          {"x-b", std::string_view(large).substr(0, 10'000)}};
    const std::vector<Field> too_many(201, Field{"a", "b"});
    struct Row {
        Http2StreamId id;
        std::string_view status;
    };
    const Row rows[] = {
        {visitor->open("GET", "/", "", true, other_host), "400"},
        {visitor->open("GET", "/", "", true, expectation), "417"},
        {visitor->open("GET", "/", "", true, too_large), "431"},
        {visitor->open("GET", "/", "", true, too_many), "431"},
        {visitor->open("GET", "/good"), "200"},
    };
    for (const Row& row : rows) {
        ASSERT_TRUE(until([&] { return visitor->heard(row.id).ended; })) << row.status;
        EXPECT_EQ(visitor->heard(row.id).head.substr(0, 3), row.status);
    }
    EXPECT_EQ(handler.transfers.size(), 1u);
    EXPECT_EQ(handler.refused, (std::vector<std::string>{"400 bad_request", "417 unsupported_expectation",
                                                         "431 head_too_large", "431 head_too_large"}));
}

TEST_F(Http2ServerTest, ARefusedHeadRequestGetsNoBody) {
    open();
    const auto visitor = visit();
    const Field expectation[] = {{"expect", "tea"}};
    const Http2StreamId id = visitor->open("HEAD", "/", "", true, expectation);
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_TRUE(visitor->heard(id).head.starts_with("417 ")) << visitor->heard(id).head;
    EXPECT_EQ(visitor->heard(id).body, "");
    EXPECT_EQ(handler.refused, (std::vector<std::string>{"417 unsupported_expectation"}));
}

// ---- Answers ----

TEST_F(Http2ServerTest, AnswersWithoutABodyEndWithTheirHead) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    struct Row {
        std::string_view method;
        int status;
        std::optional<std::uint64_t> length;
        std::string_view sent, head, body;
    };
    const Row rows[] = {
        {"HEAD", 200, 1234, "dropped", "200 content-length=1234", ""},
        {"GET", 204, std::nullopt, "dropped", "204", ""},
        {"GET", 304, 7, "dropped", "304", ""},
        {"GET", 200, 0, "", "200 content-length=0", ""},
        {"GET", 200, std::nullopt, "", "200", ""},
        {"GET", 200, 4, "four", "200 content-length=4", "four"},
    };
    std::size_t index = 0;
    for (const Row& row : rows) {
        const Http2StreamId id = visitor->open(row.method, "/");
        Transfer& served = transfer(index++);
        ASSERT_TRUE(served.exchange->begin(row.status, {}, row.length));
        served.exchange->send(row.sent);
        ASSERT_TRUE(until([&] { return served.written == row.sent.size(); }))
            << "what is not sent is out of the way too";
        served.finish();
        ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
        EXPECT_EQ(visitor->heard(id).head, row.head);
        EXPECT_EQ(visitor->heard(id).body, row.body);
    }
    EXPECT_TRUE(until([&] { return server->busy() == 0; }));
}

TEST_F(Http2ServerTest, AnEmptyAnswerMayHaveTrailers) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("POST", "/");
    ASSERT_TRUE(transfer(0).exchange->begin(200, {}, 0, false));
    const Field trailers[] = {{"grpc-status", "0"}};
    transfer(0).finish(trailers);
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).head, "200 content-length=0");
    EXPECT_EQ(visitor->heard(id).trailers, " grpc-status=0");
}

// gRPC takes such an answer for trailers alone only when the head is its end.
TEST_F(Http2ServerTest, AnEmptyAnswerIsOneFrame) {
    handler.serve = [](Transfer&) {};
    open();
    net::Peer peer(loop, net::connect_to(server->port()));
    StringSink asked;
    Side side(client_settings(1 << 20));
    ASSERT_TRUE(side.session.open({.method = "POST", .scheme = "http", .authority = "a.example", .path = "/"},
                                  "", true));
    side.session.pull(asked, 1 << 20);
    peer.say(asked.text);
    const Field fields[] = {{"grpc-status", "12"}};
    Transfer& served = transfer(0);
    peer.received.clear();
    ASSERT_TRUE(served.exchange->begin(200, fields, 0));
    served.finish();
    ASSERT_TRUE(until([&] { return peer.received.size() > 9; }));
    const auto at = peer.received.find('\x01', 3);
    ASSERT_EQ(at, 3u) << "HEADERS";
    EXPECT_EQ(peer.received[4] & 1, 1) << "END_STREAM";
}

TEST_F(Http2ServerTest, FieldsOfAConnectionAreNotWrittenAndBadOnesRefused) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("GET", "/");
    Transfer& served = transfer(0);
    for (const Field bad : {Field{"a b", "c"}, Field{"a", "b\r\nc: d"}, Field{"", "x"},
                            Field{"a", std::string_view("b\0c", 3)}})
        EXPECT_FALSE(served.exchange->begin(200, std::span(&bad, 1), 0)) << bad.name;
    EXPECT_FALSE(served.exchange->interim(103, std::array{Field{"a", "b\n"}}));
    const Field fields[] = {{"Connection", "close"},
                            {"Transfer-Encoding", "chunked"},
                            {"Keep-Alive", "x"},
                            {"Upgrade", "h2c"},
                            {"X-Mixed-Case", "Value"}};
    EXPECT_TRUE(served.exchange->interim(103, std::array{Field{"Link", "</a>"}}));
    ASSERT_TRUE(served.exchange->begin(200, fields, 2));
    served.exchange->send("ok");
    served.finish();
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).head, "200 x-mixed-case=Value content-length=2");
    EXPECT_EQ(visitor->heard(id).interim, "103 link=</a>");
}

TEST_F(Http2ServerTest, ACutAnswerNeverLooksWhole) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    const Http2StreamId begun = visitor->open("GET", "/1"), trailing = visitor->open("GET", "/2"),
                        injecting = visitor->open("GET", "/3");
    ASSERT_TRUE(transfer(0).exchange->begin(200, {}, std::nullopt));
    transfer(0).exchange->send("part");
    ASSERT_TRUE(until([&] { return visitor->heard(begun).body == "part"; }));
    std::exchange(transfer(0).exchange, nullptr)->cut();
    ASSERT_TRUE(transfer(1).exchange->begin(200, {}, std::nullopt));
    transfer(1).finish(std::array{Field{"bad name", "x"}});
    ASSERT_TRUE(transfer(2).exchange->begin(200, {}, std::nullopt));
    transfer(2).finish(std::array{Field{"x", "a\r\nb: c"}});
    for (const Http2StreamId id : {begun, trailing, injecting}) {
        ASSERT_TRUE(until([&] { return visitor->heard(id).reset.has_value(); })) << id;
        EXPECT_FALSE(visitor->heard(id).ended) << id;
    }
    const Http2StreamId next = visitor->open("GET", "/4");
    transfer(3).respond(200, "goes on");
    EXPECT_TRUE(until([&] { return visitor->heard(next).body == "goes on"; }));
}

TEST_F(Http2ServerTest, AnEarlyAnswerEndsTheUpload) {
    handler.serve = [](Transfer& transfer) { transfer.exchange->take_body(); };
    open();
    const auto visitor = visit();
    const Http2StreamId id = visitor->open("POST", "/", std::string(1 << 20, 'u'), false);
    ASSERT_TRUE(until([&] { return !handler.transfers.empty() && transfer(0).received > 0; }));
    transfer(0).respond(403, "no");
    ASSERT_TRUE(until([&] { return visitor->heard(id).ended; }));
    EXPECT_EQ(visitor->heard(id).body, "no");
    EXPECT_TRUE(until([&] { return server->busy() == 0; })) << "what is left is not waited for";
    const Http2StreamId next = visitor->open("GET", "/next");
    transfer(1).respond(200, "goes on");
    EXPECT_TRUE(until([&] { return visitor->heard(next).body == "goes on"; }));
}

// ---- Credit ----

TEST_F(Http2ServerTest, AnUploadIsHeldBackUntilItIsConsumedAndOthersAreNot) {
    handler.serve = [](Transfer& transfer) {
        transfer.consumes = transfer.keeps = false;
        if (transfer.exchange->body_follows()) transfer.exchange->take_body();
    };
    open();
    const auto visitor = visit();
    const std::string large(8 << 20, 'u');
    const Http2StreamId held = visitor->open("POST", "/held", large, true);
    ASSERT_TRUE(until([&] { return !handler.transfers.empty() && transfer(0).received >= 256 * 1024; }));
    run_turns(loop, 50);
    EXPECT_EQ(transfer(0).received, 256u * 1024) << "its window";
    const Http2StreamId other = visitor->open("GET", "/other");
    transfer(1).respond(200, "other");
    ASSERT_TRUE(until([&] { return visitor->heard(other).ended; }));
    transfer(0).consumes = true;
    transfer(0).consume();
    ASSERT_TRUE(until([&] { return transfer(0).ended == 1; }));
    EXPECT_EQ(transfer(0).received, large.size());
    transfer(0).respond(200, "done");
    EXPECT_TRUE(until([&] { return visitor->heard(held).ended; }));
}

TEST_F(Http2ServerTest, AReaderThatStopsHoldsItsOwnAnswerOnly) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit(64 * 1024);
    visitor->side.consumes = false;
    const Http2StreamId held = visitor->open("GET", "/held");
    Transfer& served = transfer(0);
    ASSERT_TRUE(served.exchange->begin(200, {}, std::nullopt));
    served.exchange->send(std::string(1 << 20, 'd'));
    ASSERT_TRUE(until([&] { return visitor->side.received[held] == 64 * 1024; }));
    run_turns(loop, 20);
    EXPECT_EQ(served.written, 64u * 1024);
    const Http2StreamId other = visitor->open("GET", "/other");
    transfer(1).respond(200, "other");
    ASSERT_TRUE(until([&] { return visitor->heard(other).ended; }));
    visitor->side.consumes = true;
    visitor->side.session.consume(held, 64 * 1024);
    visitor->stream.flush_later();
    served.finish();
    EXPECT_TRUE(until([&] { return visitor->side.received[held] == 1 << 20 && visitor->heard(held).ended; }));
}

// ---- Ends ----

TEST_F(Http2ServerTest, TheHandlerHearsOfAVisitorThatLeft) {
    handler.serve = [](Transfer& transfer) {
        if (transfer.exchange->body_follows()) transfer.exchange->take_body();
    };
    open();
    auto visitor = visit();
    const Http2StreamId cancelled = visitor->open("POST", "/1", "", false);
    visitor->open("GET", "/2");
    transfer(1);
    visitor->cancel(cancelled);
    ASSERT_TRUE(until([&] { return transfer(0).gone == 1; }));
    EXPECT_EQ(transfer(1).gone, 0);
    visitor.reset();
    ASSERT_TRUE(until([&] { return transfer(1).gone == 1; }));
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
}

TEST_F(Http2ServerTest, AConnectionThatBreaksTheProtocolIsToldAndEnds) {
    handler.serve = [](Transfer&) {};
    open();
    const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
    const std::string data_on_idle("\0\0\1\0\0\0\0\0\5x", 10);
    const std::string headers_on_zero("\0\0\1\1\4\0\0\0\0\x82", 10);
    for (const std::string& garbage :
         {std::string(100, '\xff'), settings + data_on_idle, settings + headers_on_zero}) {
        net::Peer peer(loop, net::connect_to(server->port()));
        peer.say(http2_preface);
        peer.say(garbage);
        ASSERT_TRUE(until([&] { return !peer.closed.empty(); }));
    }
    EXPECT_EQ(handler.refused, (std::vector<std::string>(3, "400 http2_protocol_error")));
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
}

TEST_F(Http2ServerTest, DrainingServesWhatHasBegunAndEndsTheConnection) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit(), idle = visit();
    const Http2StreamId id = visitor->open("GET", "/");
    transfer(0);
    ASSERT_TRUE(until([&] { return server->connections() == 2; }));
    server->drain();
    ASSERT_TRUE(until([&] { return visitor->side.goaway.has_value(); }));
    ASSERT_TRUE(until([&] { return idle->closed == "closed"; }));
    EXPECT_EQ(visitor->closed, "");
    transfer(0).respond(200, "served");
    ASSERT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->heard(id).body, "served");
    EXPECT_EQ(visitor->side.goaway, http2_code::no_error);
}

TEST_F(Http2ServerTest, ClosingTheServerTellsEveryHandler) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    visitor->open("GET", "/1");
    visitor->open("GET", "/2");
    transfer(1);
    server->close();
    EXPECT_EQ(transfer(0).gone + transfer(1).gone, 2);
    EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
}

// ---- Floods ----

TEST_F(Http2ServerTest, AVisitorThatTakesNoAnswersMayNotAskForAnyNumber) {
    limits.streams_max = 1;
    handler.serve = [](Transfer&) {};
    open();
    net::Peer peer(loop, net::connect_to(server->port()));
    peer.stream.pause_reading();
    std::string flood(http2_preface);
    flood += frame(4, 0, 0);  // Ours is not acknowledged: each stream but the first gets its RST_STREAM.
    for (Http2StreamId id = 1; id < 400'000; id += 2) flood += frame(1, 5, id, get_block);
    peer.say(flood);
    ASSERT_TRUE(until([&] { return !handler.refused.empty(); }));
    EXPECT_EQ(handler.refused, std::vector<std::string>{"400 http2_protocol_error"});
    EXPECT_EQ(transfer(0).gone, 1);
    EXPECT_EQ(handler.transfers.size(), 1u);
}

// Visitors that ask for streams which come to nothing, frame by frame.
struct StreamsThatAreReset : Http2ServerTest {
    StreamsThatAreReset() {
        limits.streams_max = 5;  // 20 resets at once.
        handler.serve = [](Transfer&) {};
    }
    void visit_raw() {
        open();
        peer.emplace(loop, net::connect_to(server->port()));
        peer->say(std::string(http2_preface) + frame(4, 0, 0));
    }
    // Asks, and follows it up; one after another, until the connection ends.
    void flood(std::size_t streams, std::string_view block,
               const std::function<std::string(Http2StreamId)>& then) {
        for (std::size_t i = 0; i < streams && peer->closed.empty(); ++i) {
            const auto id = static_cast<Http2StreamId>(1 + 2 * i);
            peer->say(frame(1, 4, id, block) + then(id));
            run_turns(loop, 3);
        }
    }
    // The code of the last GOAWAY that the visitor got.
    std::optional<std::uint32_t> goaway() const {
        std::optional<std::uint32_t> code;
        for (std::string_view rest = peer->received; rest.size() >= 9;) {
            const std::size_t size = 9 + big_endian_at<3>(rest);
            if (size > rest.size()) break;
            if (rest[3] == 7) code = big_endian_at<4>(rest.substr(13));
            rest.remove_prefix(size);
        }
        return code;
    }

    std::optional<net::Peer> peer;
};

TEST_F(StreamsThatAreReset, EndTheConnectionWhoeverResetsThem) {
    struct Row {
        std::string name;
        std::function<std::string(Http2StreamId)> then;
        bool is_begun = true;
        std::string block{get_block};
    };
    const std::string trailers_of_pseudo_fields = "\x82";
    const Row rows[] = {
        {"the visitor", [](Http2StreamId id) { return frame(3, 0, id, std::string(3, 0) + "\x08"); }},
        {"a window that overflows", [](Http2StreamId id) { return frame(8, 0, id, "\x7f\xff\xff\xff"); }},
        {"trailers that are none",
         [&](Http2StreamId id) { return frame(1, 5, id, trailers_of_pseudo_fields); }},
        {"no request", [](Http2StreamId) { return std::string(); }, false, std::string(get_block) + "\x82"},
    };
    for (const Row& row : rows) {
        handler.refused.clear();
        handler.transfers.clear();
        visit_raw();
        flood(1000, row.block, row.then);
        ASSERT_TRUE(until([&] { return !peer->closed.empty(); })) << row.name;
        EXPECT_EQ(goaway(), http2_code::enhance_your_calm) << row.name;
        EXPECT_EQ(handler.refused, std::vector<std::string>{"400 http2_protocol_error"}) << row.name;
        EXPECT_GE(handler.transfers.size(), row.is_begun ? 21u : 0u) << row.name;
        EXPECT_LT(handler.transfers.size(), 60u) << row.name;
    }
}

TEST_F(StreamsThatAreReset, DoNotEndWhatElseIsBeingServed) {
    open();
    const auto visitor = visit();
    const Http2StreamId kept = visitor->open("GET", "/kept");
    transfer(0);
    for (std::size_t asked = 1; !visitor->side.goaway; ++asked) {
        ASSERT_LT(asked, 60u);
        const Http2StreamId id = visitor->open("GET", "/");
        ASSERT_TRUE(until([&] { return visitor->side.goaway || handler.transfers.size() > asked; }));
        if (visitor->side.goaway) break;
        visitor->cancel(id);
        ASSERT_TRUE(until([&] { return handler.transfers[asked]->gone == 1; }));
        run_turns(loop, 3);
    }
    EXPECT_EQ(visitor->side.goaway, http2_code::enhance_your_calm);
    EXPECT_EQ(transfer(0).gone, 0);
    transfer(0).respond(200, "kept");
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->heard(kept).body, "kept");
}

// The GOAWAY waits behind what the visitor does not take.
TEST_F(StreamsThatAreReset, AreNotBegunOnceThereWereTooManyThoughNobodyReadsThat) {
    visit_raw();
    peer->stream.pause_reading();
    peer->say(frame(4, 0, 0, std::string("\0\4\x7f\xff\xff\xff", 6)) + frame(8, 0, 0, "\x7f\0\0\0"s) +
              frame(1, 5, 1, get_block));
    transfer(0).respond(200, std::string(32 << 20, 'x'));
    run_turns(loop, 100);
    for (Http2StreamId id = 3; id < 203; id += 2) {
        peer->say(frame(1, 5, id, get_block) + frame(3, 0, id, std::string(3, 0) + "\x08"));
        run_turns(loop, 3);
    }
    EXPECT_GE(handler.transfers.size(), 21u);
    EXPECT_LT(handler.transfers.size(), 60u);
    EXPECT_EQ(handler.refused, std::vector<std::string>{"400 http2_protocol_error"});
}

TEST_F(StreamsThatAreReset, DoNotCountWhereTheyWereRefusedForTheLimit) {
    visit_raw();
    for (Http2StreamId id = 1; id < 200; id += 2) peer->say(frame(1, 5, id, get_block));
    ASSERT_TRUE(until([&] { return handler.transfers.size() == 5; }));
    for (const auto& held : handler.transfers) held->respond(200, "held");
    run_turns(loop, 5);
    peer->say(frame(1, 5, 201, get_block));
    transfer(5).respond(200, "next");
    ASSERT_TRUE(until([&] { return peer->received.ends_with("next"); }));
    EXPECT_EQ(goaway(), std::nullopt);
}

// ---- Deadlines ----

TEST_F(Http2ServerTest, ConnectionsWithoutARequestEnd) {
    limits.head_time = 50ms;
    limits.keep_alive_time = 80ms;
    open();
    const auto silent = visit(), used = visit();
    net::Peer partial(loop, net::connect_to(server->port()));
    partial.say(http2_preface.substr(0, 10));
    const Http2StreamId id = used->open("GET", "/");
    ASSERT_TRUE(until([&] { return used->heard(id).ended; }));
    EXPECT_TRUE(until([&] { return silent->closed == "closed" && used->closed == "closed"; }));
    EXPECT_EQ(used->side.goaway, http2_code::no_error);
    EXPECT_TRUE(until([&] { return !partial.closed.empty(); }));
}

// A visitor that begins a head behind its first request, and does not end it.
struct UnfinishedHeads : Http2ServerTest {
    UnfinishedHeads() {
        handler.serve = [this](Transfer& transfer) {
            if (answers) transfer.respond(200, "served");
        };
    }
    std::unique_ptr<net::Peer> begin(std::string_view second) {
        auto peer = std::make_unique<net::Peer>(loop, net::connect_to(server->port()));
        peer->say(std::string(http2_preface) + frame(4, 0, 0) + frame(1, 5, 1, get_block));
        EXPECT_TRUE(until([&] { return !handler.transfers.empty(); }));
        peer->say(second);
        run_turns(loop, 5);
        return peer;
    }

    const std::string without_end = frame(1, 1, 3, get_block);
    const std::string in_pieces = frame(1, 5, 3, std::string(16'000, get_block.front())).substr(0, 10);
    bool answers = true;
};

TEST_F(UnfinishedHeads, AreGivenUp) {
    limits.head_time = 60ms;
    open();
    for (const std::string& second : {without_end, in_pieces}) {
        handler.refused.clear();
        handler.transfers.clear();
        const auto peer = begin(second);
        ASSERT_TRUE(until([&] { return !peer->closed.empty(); }));
        EXPECT_EQ(handler.refused, (std::vector<std::string>{"408 request_timeout"}));
        EXPECT_NE(peer->received.find("served"), std::string::npos);
    }
}

TEST_F(UnfinishedHeads, DoNotHurtWhatIsBeingServed) {
    limits.head_time = 30ms;
    answers = false;
    open();
    const auto peer = begin(without_end);
    bool later = false;
    net::Timer late(loop, [&] { later = true; });
    late.arm_after(150ms);
    ASSERT_TRUE(until([&] { return later; }));
    EXPECT_EQ(peer->closed, "");
    transfer(0).respond(200, "served");
    ASSERT_TRUE(until([&] { return !peer->closed.empty(); }));
    EXPECT_NE(peer->received.find("served"), std::string::npos);
    EXPECT_EQ(handler.refused, (std::vector<std::string>{"408 request_timeout"}));
}

TEST_F(UnfinishedHeads, DoNotHoldUpTheEndOfTheServer) {
    limits.head_time = 1500ms;  // Longer than until the last GOAWAY.
    open();
    const auto peer = begin(without_end);
    server->drain();
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
}

TEST_F(UnfinishedHeads, AreServedOnceTheyAreComplete) {
    limits.head_time = 60ms;
    open();
    const auto peer = begin(without_end);
    peer->say(frame(9, 4, 3));
    ASSERT_TRUE(until([&] { return handler.transfers.size() == 2; }));
    bool later = false;
    net::Timer late(loop, [&] { later = true; });
    late.arm_after(150ms);
    ASSERT_TRUE(until([&] { return later; }));
    EXPECT_EQ(peer->closed, "");
    EXPECT_TRUE(handler.refused.empty());
}

TEST_F(Http2ServerTest, OneStalledStreamIsGivenUpAndTheOthersGoOn) {
    limits.write_idle_time = 60ms;
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit(64 * 1024);
    visitor->side.consumes = false;
    const Http2StreamId stalled = visitor->open("GET", "/stalled"), quiet = visitor->open("GET", "/quiet");
    transfer(1);
    ASSERT_TRUE(transfer(0).exchange->begin(200, {}, std::nullopt));
    transfer(0).exchange->send(std::string(1 << 20, 'd'));
    ASSERT_TRUE(until([&] { return visitor->heard(stalled).reset.has_value(); }));
    EXPECT_EQ(transfer(0).gone, 1);
    EXPECT_EQ(transfer(1).gone, 0) << "whose turn it is not";
    transfer(1).respond(200, "late");
    EXPECT_TRUE(until([&] { return visitor->heard(quiet).ended; }));
}

TEST_F(Http2ServerTest, ABodyThatStopsOrDripsIsNotGatheredForEver) {
    limits.body_idle_time = 100ms;
    open(wholes);
    const auto visitor = visit();
    const Http2StreamId stopped = visitor->open("POST", "/", "begun", false);
    const Http2StreamId slow = visitor->open("POST", "/", "", false);
    net::Timer drip(loop, [&] {
        if (visitor->heard(slow).ended) return;
        visitor->send(slow, "x");
        drip.arm_after(10ms);
    });
    drip.arm_after(10ms);
    ASSERT_TRUE(until([&] { return visitor->heard(stopped).ended && visitor->heard(slow).ended; }));
    for (const Http2StreamId id : {stopped, slow})
        EXPECT_TRUE(visitor->heard(id).head.starts_with("408 ")) << visitor->heard(id).head;
    EXPECT_EQ(wholes.refused, (std::vector<std::string>(2, "408 request_timeout")));
    EXPECT_EQ(wholes.claims, 0);
    // The connection goes on, with a deadline for each.
    const Http2StreamId next = visitor->open("POST", "/", "begun", false);
    ASSERT_TRUE(until([&] { return visitor->heard(next).ended; }));
    EXPECT_TRUE(visitor->heard(next).head.starts_with("408 "));
}

TEST_F(Http2ServerTest, WhatIsGatheredIsGivenBackHoweverItEnds) {
    BodyMemory memory{1 << 20};
    limits.memory = &memory;
    open(wholes);
    const auto visitor = visit();
    const std::size_t head = std::string_view("POST/a.exampleHosta.example").size() + sizeof(Field);
    const auto begin = [&](std::string_view body) {
        const std::size_t before = memory.held();
        const Http2StreamId id = visitor->open("POST", "/", body, false);
        EXPECT_TRUE(until([&] { return memory.held() == before + head + body.size(); }));
        return id;
    };
    const Http2StreamId whole = begin("whole"), cancelled = begin("cancelled"), most = begin("most of all");
    EXPECT_EQ(wholes.claims, 3);
    visitor->end(whole);
    visitor->cancel(cancelled);
    ASSERT_TRUE(until([&] { return visitor->heard(whole).ended && wholes.claims == 1; }));
    EXPECT_TRUE(until([&] { return memory.held() == head + 11; })) << memory.held();
    EXPECT_EQ(server->shed_gathered(1).bytes, head + 11);
    ASSERT_TRUE(until([&] { return visitor->heard(most).ended; }));
    EXPECT_TRUE(visitor->heard(most).head.starts_with("503 ")) << visitor->heard(most).head;
    EXPECT_EQ(wholes.claims, 0);
    EXPECT_EQ(wholes.refused, (std::vector<std::string>{"503 overloaded"}));
    EXPECT_TRUE(until([&] { return memory.held() == 0; })) << memory.held();
    begin("left");
    visitor->stream.abort();
    EXPECT_TRUE(until([&] { return wholes.claims == 0 && memory.held() == 0; }));
}

// A few bytes of HPACK make a head of 60 kB, and its body need not come.
TEST_F(Http2ServerTest, HeadsThatWaitForTheirBodiesCountInMemory) {
    BodyMemory memory{1 << 20};
    limits.memory = &memory;
    open(wholes);
    const auto visitor = visit();
    const std::string large(60'000, 'h');
    const Field fields[] = {{"x-large", large}};
    std::vector<Http2StreamId> begun;
    for (int i = 0; i < 40; ++i) begun.push_back(visitor->open("POST", "/", "", false, fields));
    const auto refused = [&] {
        return std::ranges::count_if(begun, [&](Http2StreamId id) { return visitor->heard(id).ended; });
    };
    ASSERT_TRUE(until([&] { return refused() == 22; })) << refused();
    EXPECT_GT(memory.held(), std::size_t{1} << 20);
    EXPECT_LT(memory.held(), (std::size_t{1} << 20) + 70'000);
    EXPECT_EQ(wholes.claims, 18);
    EXPECT_EQ(server->shed_gathered(1 << 30).count, 18u);
    ASSERT_TRUE(until([&] { return refused() == 40; }));
    for (const Http2StreamId id : begun) EXPECT_TRUE(visitor->heard(id).head.starts_with("503 "));
    EXPECT_TRUE(until([&] { return memory.held() == 0; })) << memory.held();
    EXPECT_EQ(wholes.claims, 0);
    visitor->stream.abort();
    server.reset();
}

TEST_F(Http2ServerTest, NoLargeHeadIsKeptForARequestThatIsBeingServed) {
    handler.serve = [](Transfer& transfer) { EXPECT_EQ(transfer.exchange->head().fields.size(), 101u); };
    open();
    const auto visitor = visit();
    const std::vector<Field> fields(100, Field{"a", "b"});
    const Http2StreamId id = visitor->open("GET", "/", "", true, fields);
    EXPECT_EQ(transfer(0).exchange->head().fields.capacity(), 0u);
    transfer(0).respond(200, "served");
    EXPECT_TRUE(until([&] { return visitor->heard(id).body == "served"; }));
}

}  // namespace
}  // namespace ee::http

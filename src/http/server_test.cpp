#include "http/server.h"

#include "http/test_http_server.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::run_turns;

// ---- Requests on one connection ----

TEST_F(HttpServer, KeepsTheConnectionFromRequestToRequest) {
    open();
    const auto visitor = visit();
    visitor->say(get("/1"));
    ASSERT_TRUE(until([&] { return visitor->received == ok("GET /1"); })) << visitor->received;
    visitor->say(get("/2"));
    ASSERT_TRUE(until([&] { return visitor->received == ok("GET /1") + ok("GET /2"); }));
    visitor->say(get("/3", "Connection: close\r\n"));
    EXPECT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->received, ok("GET /1") + ok("GET /2") + last("GET /3"));
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrderHoweverLateTheAnswersCome) {
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    const auto visitor = visit();
    visitor->say(get("/1") + get("/2") + get("/3").substr(0, 20));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    run_turns(loop, 5);
    EXPECT_EQ(handler.asked, (std::vector<std::string>{"GET /1"}));  // One after another.
    held.answer("first");
    ASSERT_NE(held.exchange, nullptr);  // What was read ahead is served at once.
    visitor->say(get("/3").substr(20));
    run_turns(loop, 5);
    EXPECT_EQ(handler.asked, (std::vector<std::string>{"GET /1", "GET /2"}));
    held.answer("second");
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    held.answer("third");
    EXPECT_TRUE(until([&] { return visitor->received == ok("first") + ok("second") + ok("third"); }))
        << visitor->received;
}

TEST_F(HttpServer, AnswersManyPipelinedRequestsOfOneSegment) {
    open();
    const auto visitor = visit();
    std::string asked, expected;
    for (int i = 0; i < 500; ++i) {
        asked += get("/" + std::to_string(i));
        expected += ok("GET /" + std::to_string(i));
    }
    visitor->say(asked);
    EXPECT_TRUE(until([&] { return visitor->received.size() >= expected.size(); }));
    EXPECT_EQ(visitor->received, expected);
}

TEST_F(HttpServer, TakesARequestByteByByte) {
    open();
    const auto visitor = visit();
    const std::string request =
        post("/drip", "Content-Length: 5\r\n", "hello") +
        post("/drip", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    for (const char byte : request) {
        visitor->say({&byte, 1});
        run_turns(loop, 2);
    }
    EXPECT_TRUE(until([&] { return handler.bodies.size() == 2; }));
    EXPECT_EQ(handler.bodies, (std::vector<std::string>{"hello", "abcde"}));
    EXPECT_TRUE(until([&] { return visitor->received == ok("POST /drip") + ok("POST /drip"); }));
}

TEST_F(HttpServer, TakesABodyAndThePipelinedRequestBehindIt) {
    open();
    const auto visitor = visit();
    visitor->say(post("/a", "Content-Length: 3\r\n", "abc") +
                 post("/b", "Transfer-Encoding: chunked\r\n", "2\r\nxy\r\n0\r\n\r\n") + get("/c"));
    EXPECT_TRUE(until([&] { return visitor->received == ok("POST /a") + ok("POST /b") + ok("GET /c"); }));
    EXPECT_EQ(handler.bodies, (std::vector<std::string>{"abc", "xy", ""}));
}

TEST_F(HttpServer, AsksForTheBodyOnlyOfAClientThatWaitsForIt) {
    open();
    const auto visitor = visit();
    visitor->say(post("/a", "Content-Length: 4\r\nExpect: 100-continue\r\n", ""));
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    ASSERT_TRUE(until([&] { return visitor->received == go_on; }));
    visitor->say("body");
    ASSERT_TRUE(until([&] { return visitor->received == go_on + ok("POST /a"); }));
    visitor->say(post("/b", "Content-Length: 4\r\nExpect: 100-continue\r\n", "here"));
    EXPECT_TRUE(until([&] { return visitor->received == go_on + ok("POST /a") + ok("POST /b"); }));
}

// ---- Answers ----

TEST_F(HttpServer, LeavesTheBodyOutOfAnswersThatMayHaveNone) {
    int status = 200;
    handler.serve = [&](Exchange& exchange) { exchange.respond(status, {}, "body"); };
    open();
    const std::string head_request = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(ask(head_request), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
    const std::string closing = "Connection: close\r\n";
    status = 204;
    EXPECT_EQ(ask(get("/", closing)), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    status = 304;
    EXPECT_EQ(ask(get("/", closing)), "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
}

TEST_F(HttpServer, SendsAnAnswerInPiecesAsChunks) {
    handler.serve = [](Exchange& exchange) {
        const Field type{"Content-Type", "text/plain"};
        ASSERT_TRUE(exchange.begin(200, {&type, 1}, std::nullopt));
        exchange.send("hello ");
        exchange.send("");  // Would end the body.
        exchange.send("world");
        exchange.finish();
    };
    open();
    EXPECT_EQ(ask(get("/", "Connection: close\r\n")),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
              "Connection: close\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    EXPECT_EQ(ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
              "Connection: close\r\n\r\n");
    // HTTP/1.0 knows no chunks: the close is the end.
    EXPECT_EQ(ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello world");
}

TEST_F(HttpServer, KeepsAnOldClientsConnectionOnlyWhenAsked) {
    open();
    EXPECT_EQ(ask("GET /old HTTP/1.0\r\n\r\n"), last("GET /old"));
    const auto visitor = visit();
    visitor->say("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const std::string kept = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: keep-alive\r\n\r\nGET /old";
    ASSERT_TRUE(until([&] { return visitor->received == kept; }));
    visitor->say("GET /old HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->received, kept + last("GET /old"));
}

TEST_F(HttpServer, SendsNothingOfAnAnswerWithAFieldThatCannotBeWritten) {
    handler.serve = [](Exchange& exchange) {
        for (const Field& bad : {Field{"X", "a\r\nSet-Cookie: b"}, Field{"a b", "x"}, Field{"", "x"}})
            EXPECT_FALSE(exchange.begin(200, {&bad, 1}, 3));
        exchange.respond(502, {}, "no");
    };
    open();
    EXPECT_EQ(ask(get("/", "Connection: close\r\n")),
              "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
}

TEST_F(HttpServer, CutsAnAnswerThatCannotBeCompleted) {
    Held held;
    handler.serve = [&](Exchange& exchange) {
        held(exchange);
        ASSERT_TRUE(exchange.begin(200, {}, std::nullopt));
        exchange.send("half");
    };
    open();
    const auto visitor = visit();
    visitor->say(get("/") + get("/never"));
    ASSERT_TRUE(until([&] { return visitor->received.ends_with("4\r\nhalf\r\n"); }));
    held.exchange->cut();
    EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_TRUE(visitor->received.ends_with("4\r\nhalf\r\n")) << visitor->received;
    EXPECT_EQ(held.gone, 0);
    EXPECT_EQ(handler.asked.size(), 1u);
    EXPECT_EQ(server->connections(), 0u);
}

// ---- Visitors that leave, and servers that stop ----

TEST_F(HttpServer, TellsOnceThatTheVisitorHasGone) {
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    auto visitor = visit();
    visitor->say(get("/") + get("/2"));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    visitor.reset();
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
    EXPECT_EQ(held.gone, 1);
    EXPECT_EQ(handler.asked.size(), 1u);
}

TEST_F(HttpServer, SaysNothingOfAVisitorThatLeavesAfterItsAnswer) {
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    held.answer("done");
    ASSERT_TRUE(until([&] { return visitor->received == ok("done"); }));
    visitor.reset();
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
    EXPECT_EQ(held.gone, 0);
}

TEST_F(HttpServer, ClosingTellsWhoServesThatTheVisitorHasGone) {
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    const auto busy = visit(), idle = visit();
    busy->say(get("/"));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr && server->connections() == 2; }));
    server->close();
    EXPECT_EQ(held.gone, 1);
    EXPECT_EQ(server->connections(), 0u);
    EXPECT_TRUE(until([&] { return !busy->closed.empty() && !idle->closed.empty(); }));
    EXPECT_EQ(busy->received + idle->received, "");
}

TEST_F(HttpServer, MayBeClosedByARequestItServes) {
    handler.serve = [&](Exchange& exchange) {
        exchange.respond(200, {}, "bye");
        server->close();
    };
    open();
    EXPECT_EQ(ask(get("/") + get("/")), "");
    EXPECT_EQ(handler.asked.size(), 1u);
}

TEST_F(HttpServer, DrainingClosesIdleConnectionsAndServesRequestsThatHaveBegun) {
    Held held;
    handler.serve = [&](Exchange& exchange) {
        if (exchange.head().origin_form == "/held") return held(exchange);
        exchange.respond(200, {}, exchange.body());
    };
    open();
    const auto serving = visit(), in_body = visit(), in_head = visit(), idle = visit();
    serving->say(get("/held") + get("/too-late"));
    in_body->say(post("/b", "Content-Length: 4\r\n", "bo"));
    in_head->say(get("/h").substr(0, 10));
    idle->say(get("/i"));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr && !idle->received.empty(); }));
    run_turns(loop, 5);
    EXPECT_EQ(server->busy(), 3u);
    server->drain();
    ASSERT_TRUE(until([&] { return idle->closed == "closed"; }));
    in_body->say("dy");
    in_head->say(get("/h").substr(10));
    held.answer("served");
    ASSERT_TRUE(until([&] { return server->connections() == 0; }));
    EXPECT_EQ(serving->received, last("served"));
    EXPECT_EQ(in_body->received, last("body"));
    EXPECT_EQ(in_head->received, last(""));
    EXPECT_EQ(server->busy(), 0u);
}

// ---- Visitors that do not read ----

TEST_F(HttpServer, CountsAsBusyUntilTheAnswerHasLeft) {
    const std::string big(32 << 20, 'b');
    handler.serve = [&](Exchange& exchange) { exchange.respond(200, {}, big); };
    open();
    const auto visitor = visit();
    visitor->stream.pause_reading();
    visitor->say(get("/", "Connection: close\r\n"));
    ASSERT_TRUE(until([&] { return !handler.asked.empty(); }));
    run_turns(loop, 20);
    EXPECT_EQ(server->busy(), 1u);
    visitor->stream.resume_reading();
    EXPECT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->received, last(big));
    EXPECT_EQ(server->busy(), 0u);
}

TEST_F(HttpServer, StopsServingAVisitorThatTakesNoAnswers) {
    const std::string piece(64 * 1024, 'p');
    handler.serve = [&](Exchange& exchange) { exchange.respond(200, {}, piece); };
    open();
    const auto visitor = visit();
    visitor->stream.pause_reading();
    constexpr std::size_t count = 1000;
    std::string asked;
    for (std::size_t i = 0; i < count; ++i) asked += get("/");
    visitor->say(asked);
    ASSERT_TRUE(until([&] { return !handler.asked.empty(); }));
    run_turns(loop, 200);
    // What the kernel holds for the two sockets, and some 256 KiB: far from the 64 MiB of all answers.
    EXPECT_LT(handler.asked.size(), count / 2);
    visitor->stream.resume_reading();
    EXPECT_TRUE(until([&] { return visitor->received.size() == count * ok(piece).size(); }));
    EXPECT_EQ(handler.asked.size(), count);
}

TEST_F(HttpServer, CutsAVisitorThatTakesNoByteOfItsAnswerForTooLong) {
    limits.write_idle_time = limits.keep_alive_time = 50ms;
    const std::string big(32 << 20, 'b');
    handler.serve = [&](Exchange& exchange) { exchange.respond(200, {}, big); };
    open();
    for (const char* fields : {"", "Connection: close\r\n"}) {
        const auto visitor = visit();
        visitor->stream.pause_reading();
        visitor->say(get("/", fields));
        ASSERT_TRUE(until([&] { return server->connections() == 1; }));
        EXPECT_TRUE(until([&] { return server->connections() == 0; }));
    }
}

TEST_F(HttpServer, ReadsNoFurtherAheadThanItsLimit) {
    handler.body_max = 64 << 20;
    Held held;
    handler.serve = [&](Exchange& exchange) {
        if (exchange.head().method == "GET") return held(exchange);
        exchange.respond(200, {}, std::to_string(exchange.body().size()));
    };
    open();
    const auto visitor = visit();
    const std::string big(48 << 20, 'b');
    visitor->say(get("/") + post("/", "Content-Length: " + std::to_string(big.size()) + "\r\n", big));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    run_turns(loop, 200);
    EXPECT_GT(visitor->stream.pending_output(), big.size() / 2);
    held.answer("first");
    EXPECT_TRUE(until([&] { return visitor->received == ok("first") + ok(std::to_string(big.size())); }));
}

TEST_F(HttpServer, NoticesAVisitorThatLeavesWhileReadingIsPaused) {
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    net::Fd visitor = net::connect_to(server->port());
    const std::string ahead = get("/") + std::string(1 << 20, 'x');
    ASSERT_GT(::send(visitor.get(), ahead.data(), ahead.size(), 0), 512 * 1024);
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    run_turns(loop, 20);
    const linger at_once{.l_onoff = 1, .l_linger = 0};  // Closing sends a reset.
    ASSERT_EQ(::setsockopt(visitor.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    visitor.reset();
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
    EXPECT_EQ(held.gone, 1);
}

// ---- Upgrades ----

struct NewOwner final : net::Recorder {
    void take(Upgraded upgraded) {
        peer = upgraded.peer;
        stream = std::move(upgraded.stream);
        stream->set_handler(*this);
    }
    std::unique_ptr<net::Stream> stream;
    net::Endpoint peer;
};

TEST_F(HttpServer, HandsAConnectionOverWithWhatCameBehindTheRequest) {
    NewOwner owner;
    const std::string response = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    handler.serve = [&](Exchange& exchange) {
        if (!exchange.head().upgrade) return exchange.respond(200, {}, "plain");
        owner.take(exchange.upgrade(response));
    };
    open();
    const auto visitor = visit();
    visitor->say(get("/") + get("/up", "Connection: Upgrade\r\nUpgrade: chat\r\n") +
                 "GET in another protocol");
    ASSERT_TRUE(until([&] { return owner.received == "GET in another protocol"; }));
    EXPECT_EQ(owner.peer.ip.to_string(), "127.0.0.1");
    EXPECT_EQ(server->connections(), 0u);
    visitor->say(", and more");
    EXPECT_TRUE(until([&] { return owner.received == "GET in another protocol, and more"; }));
    owner.stream->write("answer");
    EXPECT_TRUE(until([&] { return visitor->received == ok("plain") + response + "answer"; }));
    visitor->stream.abort();
    EXPECT_TRUE(until([&] { return owner.closed == "closed"; }));
    EXPECT_EQ(handler.asked.size(), 2u);
}

TEST_F(HttpServer, HandsOverWhatWasReadAheadWhileAnotherRequestWasServed) {
    Held held;
    NewOwner owner;
    handler.serve = [&](Exchange& exchange) {
        if (!exchange.head().upgrade) return held(exchange);
        owner.take(exchange.upgrade("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
    };
    open();
    const auto visitor = visit();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    visitor->say(get("/up", "Connection: Upgrade\r\nUpgrade: chat\r\n") + "behind");
    run_turns(loop, 5);
    held.answer("first");
    EXPECT_TRUE(until([&] { return owner.received == "behind"; }));
    EXPECT_EQ(owner.closed, "");
}

}  // namespace
}  // namespace ee::http

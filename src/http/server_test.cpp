#include "http/server.h"

#include <gtest/gtest.h>

#include "http/fields.h"
#include "http/test_transfer.h"
#include "net/test_peer.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::Peer;
using net::run_turns;
using net::run_until;

// Serves as a test tells it to; says back what was asked when it was told nothing.
struct TestHandler final : RequestHandler {
    BodyTerms body_terms(const RequestHead&, const net::Endpoint&) override {
        return {.bytes_max = body_max, .claim = std::make_unique<CountedClaim>(claims)};
    }
    void on_request(Exchange& exchange) override {
        EXPECT_EQ(exchange.claim() != nullptr, exchange.head().has_body());
        const RequestHead& head = exchange.head();
        asked.push_back(std::string(head.method) + " " + std::string(head.origin_form));
        bodies.emplace_back(exchange.body());
        if (serve) return serve(exchange);
        exchange.respond(200, {}, asked.back());
    }
    std::string on_refused(const Refusal& refusal) override {
        refused.push_back(std::to_string(refusal.status) + " " + refusal.why.code);
        return "id-of-the-refusal";
    }

    std::size_t body_max = 1000;
    int claims = 0;  // That are kept now.
    std::function<void(Exchange&)> serve;
    std::vector<std::string> asked, bodies, refused;
};

// Holds requests until told what to answer.
struct Held final : ExchangeObserver {
    void operator()(Exchange& asked) {
        exchange = &asked;
        asked.set_observer(this);
    }
    void on_visitor_gone() override {
        ++gone;
        exchange = nullptr;
    }
    void answer(std::string_view body) { std::exchange(exchange, nullptr)->respond(200, {}, body); }

    Exchange* exchange = nullptr;
    int gone = 0;
};

class HttpServer : public testing::Test {
protected:
    void open() {
        server.emplace(loop, handler, limits);
        ASSERT_TRUE(server->listen("127.0.0.1", 0, nullptr));
    }
    void TearDown() override {
        server.reset();
        loop.collect();
    }
    std::unique_ptr<Peer> visit() { return std::make_unique<Peer>(loop, net::connect_to(server->port())); }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    // Everything a visitor hears that says this and waits for the end.
    std::string ask(std::string_view request) {
        const auto visitor = visit();
        visitor->say(request);
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); })) << visitor->received;
        return visitor->received;
    }

    net::Loop loop;
    TestHandler handler;
    ServerLimits limits;
    std::optional<Server> server;
};

std::string get(std::string_view path, std::string_view fields = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n";
}
std::string post(std::string_view path, std::string_view fields, std::string_view body) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n" +
           std::string(body);
}
std::string ok(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}
std::string last(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + std::string(body);
}

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

// ---- Memory ----

struct HttpServerMemory : HttpServer {
    HttpServerMemory() {
        limits.memory = &memory;
        handler.body_max = 1 << 20;
    }
    // A body that does not come with its head.
    std::unique_ptr<Peer> begin_body(std::size_t size) {
        auto visitor = visit();
        visitor->say(post("/", "Content-Length: " + std::to_string(size) + "\r\nConnection: close\r\n", ""));
        run_turns(loop, 5);
        return visitor;
    }

    BodyMemory memory{4 << 20};
    HeldBytes others{&memory};
};

TEST_F(HttpServerMemory, CountsABodyWhileItIsGathered) {
    open();
    const auto visitor = begin_body(300'000);
    visitor->say(std::string(200'000, 'x'));
    ASSERT_TRUE(until([&] { return memory.held() == 200'000; }));
    visitor->say(std::string(100'000, 'x'));
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->received, last("POST /"));
    EXPECT_EQ(memory.held(), 0u);
    auto gone = begin_body(300'000);
    gone->say(std::string(200'000, 'x'));
    ASSERT_TRUE(until([&] { return memory.held() == 200'000; }));
    gone.reset();
    EXPECT_TRUE(until([&] { return memory.held() == 0; }));
}

TEST_F(HttpServerMemory, CountsAnAnswerUntilItsVisitorHasTakenIt) {
    handler.serve = [](Exchange& exchange) { exchange.respond(200, {}, std::string(16 << 20, 'x')); };
    open();
    auto visitor = visit();
    visitor->stream.pause_reading();
    visitor->say(get("/"));
    ASSERT_TRUE(until([&] { return memory.held() > 1 << 20; }));
    visitor.reset();
    EXPECT_TRUE(until([&] { return memory.held() == 0; }));
}

TEST_F(HttpServerMemory, EndsWhoeverHoldsMostOfAnAnswerThatIsComplete) {
    Held held;
    handler.serve = [&](Exchange& exchange) {
        const std::string size(exchange.head().origin_form.substr(1));
        if (size.empty()) return held(exchange);
        exchange.respond(200, {}, std::string(std::stoul(size) << 20, 'x'));
    };
    open();
    std::vector<std::unique_ptr<Peer>> visitors;
    for (const char* path : {"/16", "/32", "/24", "/"}) {
        visitors.push_back(visit());
        visitors.back()->stream.pause_reading();
        visitors.back()->say(get(path));
    }
    ASSERT_TRUE(until([&] { return handler.asked.size() == 4; }));
    run_turns(loop, 5);
    const std::size_t before = memory.held();
    // All have taken something lately.
    EXPECT_EQ(server->shed(1, loop.now() - 1h).count, 0u);
    const Freed one = server->shed(1 << 20, MonoTime::max());
    EXPECT_EQ(one.count, 1u);
    EXPECT_GT(one.bytes, 24u << 20);
    run_turns(loop, 5);
    EXPECT_LE(memory.held(), before - one.bytes);
    // Who is being served is not theirs to end.
    EXPECT_EQ(server->shed(1 << 30, MonoTime::max()).count, 2u);
    run_turns(loop, 5);
    EXPECT_EQ(memory.held(), 0u);
    EXPECT_EQ(server->connections(), 1u);
    EXPECT_EQ(held.gone, 0);
    held.answer("");
}

// Bytes and time count: neither who has sent little nor who has just come goes first.
TEST_F(HttpServerMemory, RefusesWhoeverIsGatheredWithMostForLongest) {
    open();
    const auto begin = [&](std::string_view body) {
        auto visitor = begin_body(300'000);
        const std::size_t before = memory.held();
        visitor->say(body);
        EXPECT_TRUE(until([&] { return memory.held() == before + body.size(); }));
        return visitor;
    };
    const auto small = begin(std::string(10, 'x')), old = begin(std::string(100'000, 'x'));
    bool later = false;
    net::Timer wait(loop, [&] { later = true; });
    wait.arm_after(100ms);
    ASSERT_TRUE(until([&] { return later; }));
    const auto young = begin(std::string(200'000, 'x'));
    const auto silent = begin_body(300'000);
    EXPECT_EQ(server->shed(1 << 30, MonoTime::max()).count, 0u);
    const Freed one = server->shed_gathered(1);
    EXPECT_EQ(one.count, 1u);
    EXPECT_EQ(one.bytes, 100'000u);
    ASSERT_TRUE(until([&] { return !old->closed.empty(); }));
    EXPECT_TRUE(old->received.starts_with("HTTP/1.1 503 ")) << old->received;
    EXPECT_NE(old->received.find("Retry-After: "), std::string::npos);
    EXPECT_EQ(handler.refused, std::vector<std::string>{"503 overloaded"});
    EXPECT_EQ(memory.held(), 200'010u);
    EXPECT_EQ(server->shed_gathered(1 << 20).count, 2u);
    ASSERT_TRUE(until([&] { return memory.held() == 0; }));
    EXPECT_EQ(handler.claims, 1) << "who holds nothing is let be";
    EXPECT_TRUE(silent->received.empty());
}

TEST_F(HttpServerMemory, GathersNoLargeBodyUnderPressureAndNoneWhenItIsFull) {
    open();
    struct Row {
        std::size_t held, body;
        const char* expected;
    };
    const Row rows[] = {
        {0, 300'000, "200"},      {3 << 20, 300'000, "503"}, {3 << 20, 10'000, "200"},
        {5 << 20, 10'000, "503"}, {0, 300'000, "200"},
    };
    for (const Row& row : rows) {
        const auto visitor = begin_body(row.body);
        others.set(row.held);
        visitor->say(std::string(row.body, 'x'));
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); })) << row.held << " " << row.body;
        EXPECT_EQ(visitor->received.substr(9, 3), row.expected) << row.held << " " << row.body;
        const bool is_refused = visitor->received.find("\"overloaded\"") != std::string::npos;
        EXPECT_EQ(is_refused, row.expected == std::string("503"));
        EXPECT_EQ(visitor->received.find("\r\nRetry-After: ") != std::string::npos, is_refused);
    }
    EXPECT_EQ(memory.held(), others.bytes());
    // What comes with its head takes no more memory.
    others.set(5 << 20);
    EXPECT_EQ(ask(post("/", "Content-Length: 3\r\nConnection: close\r\n", "abc")), last("POST /"));
}

// ---- Refusals ----

TEST_F(HttpServer, RefusesATooLargeBodyBeforeReadingIt) {
    handler.body_max = 10;
    open();
    for (const std::string fields :
         {"Content-Length: 11\r\n", "Content-Length: 11\r\nExpect: 100-continue\r\n"}) {
        const std::string heard = ask(post("/", fields, ""));
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 413 ")) << heard;
        EXPECT_NE(heard.find("\"body_too_large\""), std::string::npos);
        EXPECT_NE(heard.find("Connection: close\r\n"), std::string::npos);
        EXPECT_NE(heard.find("X-Request-Id: id-of-the-refusal\r\n"), std::string::npos);
    }
    EXPECT_TRUE(ask(post("/", "Transfer-Encoding: chunked\r\n", "6\r\nabcdef\r\n5\r\nghijk\r\n"))
                    .starts_with("HTTP/1.1 413 "));
    EXPECT_EQ(handler.refused, std::vector<std::string>(3, "413 body_too_large"));
    EXPECT_TRUE(handler.asked.empty());
    EXPECT_EQ(ask(post("/", "Content-Length: 10\r\nConnection: close\r\n", "0123456789")), last("POST /"));
}

TEST_F(HttpServer, RefusesWhatIsNoRequestAndEndsTheConnection) {
    struct Row {
        std::string request;
        std::string refused;
    };
    const Row rows[] = {
        {"\x16\x03\x01\x02garbage\r\n\r\n", "400 bad_request"},
        {"GET /\r\n\r\n", "400 bad_request"},
        {"GET / HTTP/1.1\r\n\r\n", "400 bad_request"},
        {get("/", "A: b\n"), "400 bad_request"},
        {get("/", " folded\r\n"), "400 bad_request"},
        {get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "400 bad_request"},
        {get("/", "Content-Length: 1\r\nContent-Length: 1\r\n"), "400 bad_request"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 unsupported_version"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501 unsupported_method"},
        {post("/", "Transfer-Encoding: gzip, chunked\r\n", ""), "501 unsupported_transfer_encoding"},
        {get("/", "Expect: miracles\r\n"), "417 unsupported_expectation"},
        {get("/", "A: " + std::string(64 * 1024, 'a') + "\r\n"), "431 head_too_large"},
        {post("/", "Transfer-Encoding: chunked\r\n", "x\r\n"), "400 bad_chunk"},
        {post("/", "Transfer-Encoding: chunked\r\n", "1\r\nab\r\n"), "400 bad_chunk"},
    };
    open();
    for (const Row& row : rows) {
        // What follows cannot be trusted to be a request.
        const std::string heard = ask(row.request + get("/smuggled"));
        ASSERT_FALSE(handler.refused.empty()) << row.request;
        EXPECT_EQ(handler.refused.back(), row.refused) << row.request;
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 " + row.refused.substr(0, 3))) << heard;
    }
    EXPECT_EQ(handler.refused.size(), std::size(rows));
    EXPECT_TRUE(handler.asked.empty());
}

TEST_F(HttpServer, AnswersWhatCameBeforeTheGarbage) {
    open();
    const std::string heard = ask(get("/1") + "garbage\r\n\r\n");
    EXPECT_TRUE(heard.starts_with(ok("GET /1") + "HTTP/1.1 400 ")) << heard;
}

TEST_F(HttpServer, RefusesAHeadThatDoesNotComeInTime) {
    limits.head_time = 40ms;
    open();
    const std::string heard = ask("GET / HTTP/1.1\r\nHo");
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 408 ")) << heard;
    EXPECT_EQ(handler.refused, std::vector<std::string>{"408 request_timeout"});
}

TEST_F(HttpServer, ADripDoesNotExtendTheTimeForTheHead) {
    limits.head_time = 150ms;
    open();
    const auto visitor = visit();
    net::Timer drip(loop, [&] {
        if (visitor->closed.empty()) visitor->say("A");
        drip.arm_after(10ms);
    });
    visitor->say("GET / HTTP/1.1\r\n");
    drip.arm_after(10ms);
    EXPECT_TRUE(until([&] { return visitor->received.starts_with("HTTP/1.1 408 "); }));
}

TEST_F(HttpServer, RefusesABodyThatStopsComing) {
    limits.body_idle_time = 40ms;
    open();
    EXPECT_TRUE(ask(post("/", "Content-Length: 9\r\n", "half")).starts_with("HTTP/1.1 408 "));
    EXPECT_TRUE(ask(post("/", "Transfer-Encoding: chunked\r\n", "5\r\nha")).starts_with("HTTP/1.1 408 "));
    EXPECT_TRUE(handler.asked.empty());
}

TEST_F(HttpServer, RefusesABodyThatComesTooSlowlyHoweverSteadily) {
    limits.body_idle_time = 100ms;
    struct {
        std::size_t bytes_per_second_min;
        std::string_view status;
    } const rows[] = {{4096, "408"}, {10, "200"}};
    for (const auto& row : rows) {
        limits.body_bytes_per_second_min = row.bytes_per_second_min;
        open();
        for (const std::string framing : {"Content-Length: 20\r\n", "Transfer-Encoding: chunked\r\n"}) {
            const auto visitor = visit();
            const bool sized = framing.starts_with("C");
            int sent = 0;
            net::Timer drip(loop, [&] {
                if (!visitor->closed.empty() || sent == 20) return;
                visitor->say(sized ? "x" : ++sent < 20 ? "1\r\nx\r\n" : "1\r\nx\r\n0\r\n\r\n");
                sent += sized ? 1 : 0;
                drip.arm_after(10ms);
            });
            visitor->say(post("/", framing, ""));
            drip.arm_after(10ms);
            ASSERT_TRUE(until([&] { return !visitor->received.empty(); }));
            EXPECT_EQ(visitor->received.substr(9, 3), row.status) << framing << visitor->received;
            EXPECT_EQ(handler.claims, 0);
        }
    }
}

TEST_F(HttpServer, KeepsAClaimUntilTheRequestHasEnded) {
    Held held;
    handler.serve = std::ref(held);
    open();
    auto visitor = visit();
    visitor->say(post("/", "Content-Length: 4\r\n", "ha"));
    ASSERT_TRUE(until([&] { return handler.claims == 1; }));
    visitor->say("lf");
    ASSERT_TRUE(until([&] { return held.exchange != nullptr; }));
    EXPECT_EQ(handler.claims, 1);
    held.answer("");
    EXPECT_EQ(handler.claims, 0);
    visitor->say(post("/", "Content-Length: 4\r\n", "ha"));
    ASSERT_TRUE(until([&] { return handler.claims == 1; }));
    visitor.reset();
    EXPECT_TRUE(until([&] { return handler.claims == 0; })) << "the visitor has left";
    visitor = visit();
    visitor->say(post("/", "Content-Length: 4000\r\n", ""));
    ASSERT_TRUE(until([&] { return visitor->received.starts_with("HTTP/1.1 413 "); }));
    EXPECT_EQ(handler.claims, 0);
}

TEST_F(HttpServer, ClosesIdleConnectionsWithoutAWord) {
    limits.head_time = 40ms;
    limits.keep_alive_time = 40ms;
    open();
    EXPECT_EQ(ask(""), "");
    EXPECT_EQ(ask(get("/")), ok("GET /"));
    EXPECT_TRUE(handler.refused.empty());
    EXPECT_EQ(server->connections(), 0u);
}

TEST_F(HttpServer, AnAnswerMayTakeLongerThanAnyDeadline) {
    limits.head_time = limits.keep_alive_time = limits.body_idle_time = 16ms;
    Held held;
    handler.serve = [&](Exchange& exchange) { held(exchange); };
    open();
    const auto visitor = visit();
    visitor->say(get("/"));
    net::Timer late(loop, [&] { held.answer("late"); });
    late.arm_after(120ms);
    EXPECT_TRUE(until([&] { return visitor->received == ok("late"); })) << visitor->received;
}

TEST_F(HttpServer, TurnsAwayConnectionsOverItsLimit) {
    limits.connections_max = 2;
    open();
    const auto first = visit(), second = visit();
    ASSERT_TRUE(until([&] { return server->connections() == 2; }));
    EXPECT_EQ(ask(get("/")), "");
    first->say(get("/"));
    EXPECT_TRUE(until([&] { return first->received == ok("GET /"); }));
    EXPECT_EQ(second->closed, "");
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

// What bodies and answers hold of a server's memory, and the claims of requests with bodies.

#include "http/test_http_server.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::Peer;
using net::run_turns;

// ---- Memory ----

struct HttpServerMemory : HttpServer {
    HttpServerMemory() {
        limits.memory = &memory;
        handler.body_max = 1 << 20;
    }
    static std::string head_of(std::size_t size) {
        return post("/", "Content-Length: " + std::to_string(size) + "\r\nConnection: close\r\n", "");
    }
    // A body that does not come with its head.
    std::unique_ptr<Peer> begin_body(std::size_t size) {
        auto visitor = visit();
        visitor->say(head_of(size));
        run_turns(loop, 5);
        return visitor;
    }

    const std::size_t head = head_of(300'000).size() + 3 * sizeof(Field);

    BodyMemory memory{4 << 20};
    HeldBytes others{&memory};
};

TEST_F(HttpServerMemory, CountsABodyWhileItIsGathered) {
    open();
    const auto visitor = begin_body(300'000);
    ASSERT_TRUE(until([&] { return memory.held() == head; }));
    visitor->say(std::string(200'000, 'x'));
    ASSERT_TRUE(until([&] { return memory.held() == head + 200'000; }));
    visitor->say(std::string(100'000, 'x'));
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->received, last("POST /"));
    EXPECT_EQ(memory.held(), 0u);
    auto gone = begin_body(300'000);
    gone->say(std::string(200'000, 'x'));
    ASSERT_TRUE(until([&] { return memory.held() == head + 200'000; }));
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
        const std::size_t before = memory.held();
        auto visitor = begin_body(300'000);
        visitor->say(body);
        EXPECT_TRUE(until([&] { return memory.held() == before + head + body.size(); }));
        return visitor;
    };
    const auto small = begin(std::string(10, 'x')), old = begin(std::string(100'000, 'x'));
    bool later = false;
    net::Timer wait(loop, [&] { later = true; });
    wait.arm_after(100ms);
    ASSERT_TRUE(until([&] { return later; }));
    const auto young = begin(std::string(200'000, 'x'));
    const auto silent = begin("");
    EXPECT_EQ(server->shed(1 << 30, MonoTime::max()).count, 0u);
    const Freed one = server->shed_gathered(1);
    EXPECT_EQ(one.count, 1u);
    EXPECT_EQ(one.bytes, head + 100'000);
    ASSERT_TRUE(until([&] { return !old->closed.empty(); }));
    EXPECT_TRUE(old->received.starts_with("HTTP/1.1 503 ")) << old->received;
    EXPECT_NE(old->received.find("Retry-After: "), std::string::npos);
    EXPECT_EQ(handler.refused, std::vector<std::string>{"503 overloaded"});
    EXPECT_EQ(memory.held(), 200'010 + 3 * head);
    EXPECT_EQ(server->shed_gathered(1 << 20).count, 3u) << "a head without a body, too";
    ASSERT_TRUE(until([&] { return memory.held() == 0; }));
    EXPECT_EQ(handler.claims, 0);
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
        others.set(0);
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
    others.set(5 << 20);
    const auto late = begin_body(10'000);
    ASSERT_TRUE(until([&] { return !late->closed.empty(); })) << "no head waits for its body then";
    EXPECT_EQ(late->received.substr(9, 3), "503");
    // What comes with its head takes no more memory.
    EXPECT_EQ(ask(post("/", "Content-Length: 3\r\nConnection: close\r\n", "abc")), last("POST /"));
}

// ---- Claims ----

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

}  // namespace
}  // namespace ee::http

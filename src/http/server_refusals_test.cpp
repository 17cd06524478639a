// What a server refuses, and its deadlines and limits: of heads, bodies and connections.

#include "http/test_http_server.h"
#include "net/test_certificate.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

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

TEST_F(HttpServer, TellsOfTlsHandshakesThatFailAndOfNoOthers) {
    const net::TestCertificate certificate;
    limits.head_time = 100ms;
    open(certificate.server());
    std::vector<std::string> failed;
    server->on_handshake_failed(
        [&](const net::Endpoint& peer, net::HandshakeFailure why, const std::string&) {
            EXPECT_TRUE(peer.ip.is_loopback());
            failed.emplace_back(to_word(why));
        });
    net::Peer good(loop, net::connect_to(server->port()),
                   std::make_unique<net::TlsSession>(certificate.client(), "127.0.0.1"));
    good.say(get("/", "Connection: close\r\n"));
    ASSERT_TRUE(until([&] { return !good.closed.empty(); }));
    EXPECT_EQ(good.received, last("GET /"));
    visit().reset();  // Looks whether somebody listens.
    const auto clear = visit();
    clear->say(get("/"));
    ASSERT_TRUE(until([&] { return failed.size() == 1; }));
    auto leaving = visit();
    leaving->say("\x16\x03\x01\x02");
    net::run_turns(loop, 3);
    leaving.reset();
    ASSERT_TRUE(until([&] { return failed.size() == 2; }));
    const auto slow = visit();
    slow->say("\x16\x03\x01\x02");
    ASSERT_TRUE(until([&] { return failed.size() == 3; }));
    EXPECT_EQ(failed, (std::vector<std::string>{"plain_http", "peer_left", "timed_out"}));
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

TEST_F(HttpServer, RefusalsSayHowLongTheRequestWasThereWhereTheyAreToldTo) {
    limits.head_time = 40ms;
    for (const bool is_told : {false, true}) {
        limits.times_refusals = is_told;
        open();
        for (const std::string& request :
             {post("/", "Content-Length: 2000\r\n", ""), "GET /\r\n\r\n"s, "GET / HTTP/1.1\r\nHo"s}) {
            const std::string heard = ask(request);
            const std::size_t at = heard.find("Server-Timing: handler;dur=");
            ASSERT_EQ(at != std::string::npos, is_told) << heard;
            if (!is_told) continue;
            EXPECT_LT(std::stod(heard.substr(at + 27)), 10'000) << heard;
        }
    }
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

}  // namespace
}  // namespace ee::http

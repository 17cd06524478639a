#include "agent/http1_backend.h"

#include <gtest/gtest.h>

#include "agent/health_prober.h"
#include "http/test_server.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

// What became of one request.
struct Outcome {
    int calls = 0;
    int status = 0;
    std::string body, error;
    std::vector<http::OwnedField> fields;
};

class BackendTest : public testing::Test {
protected:
    void open() {
        settings.url = server.url();
        backend.emplace(loop, resolver, settings);
    }
    void TearDown() override {
        backend.reset();
        loop.collect();
    }
    void send(Outcome& outcome, std::string method = "GET", std::string path = "/", std::string body = "",
              protocol::HeaderFields headers = {}) {
        protocol::ProxyRequest request;
        request.request_id = "1";
        request.method = std::move(method);
        request.path = std::move(path);
        request.body = std::move(body);
        request.headers = std::move(headers);
        backend->send(request, [&outcome](const http::AnswerView* answer, const Error& error) {
            ++outcome.calls;
            outcome.error = error.code;
            if (answer == nullptr) return;
            outcome.status = answer->head.status;
            outcome.body = answer->body;
            for (const http::Field& field : answer->head.fields)
                outcome.fields.push_back({std::string(field.name), std::string(field.value)});
        });
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    void serve(std::size_t peer, std::string_view answer) {
        ASSERT_TRUE(until([&] { return server.has_request(peer); }));
        server.peers[peer]->received.clear();
        server.peers[peer]->say(answer);
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    http::TestServer server{loop};
    BackendSettings settings;
    std::optional<Http1Backend> backend;
};

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// ---- Requests ----

TEST_F(BackendTest, WritesARequestAsHttp11) {
    open();
    Outcome outcome;
    send(outcome, "POST", "/a/b?c=%20d", "body",
         {{"Host", "app.example"},
          {"X-One", "1"},
          {"Cookie", "a=b"},
          {"Connection", "x-hop"},
          {"Keep-Alive", "5"},
          {"TE", "trailers"},
          {"Transfer-Encoding", "chunked"},
          {"Upgrade", "websocket"},
          {"Proxy-Authorization", "Basic x"},
          {"Content-Length", "999"},
          {"Expect", "100-continue"}});
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    EXPECT_EQ(server.peers[0]->received,
              "POST /a/b?c=%20d HTTP/1.1\r\nHost: app.example\r\nX-One: 1\r\nCookie: a=b\r\n"
              "Content-Length: 4\r\n\r\nbody");
    serve(0, ok);
    EXPECT_TRUE(until([&] { return outcome.calls == 1; }));
}

TEST_F(BackendTest, SaysTheLengthOfABodyThatIsEmptyOnlyWhereOneIsExpected) {
    open();
    const std::string host = " HTTP/1.1\r\nHost: " + settings.url.authority() + "\r\n";
    for (const auto& [method, line] : {std::pair<std::string, std::string>{"GET", "GET /"},
                                       {"DELETE", "DELETE /"},
                                       {"POST", "POST /"},
                                       {"PUT", "PUT /"}}) {
        Outcome outcome;
        send(outcome, method);
        ASSERT_TRUE(until([&] { return server.has_request(0); }));
        const bool expects = method[0] == 'P';
        EXPECT_EQ(server.peers[0]->received, line + host + (expects ? "Content-Length: 0\r\n\r\n" : "\r\n"));
        serve(0, ok);
        ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    }
}

TEST_F(BackendTest, RefusesWhatCannotBeWritten) {
    open();
    Outcome bad_path, bad_target, bad_field, bad_method;
    send(bad_path, "GET", "http://other.example/");
    send(bad_target, "GET", "/a b");
    send(bad_field, "GET", "/", "", {{"X", "a\r\nY: b"}});
    send(bad_method, "GE T", "/");
    EXPECT_EQ(bad_path.calls, 0);  // Never within send().
    run_turns(loop, 3);
    for (const Outcome* outcome : {&bad_path, &bad_target, &bad_field, &bad_method}) {
        EXPECT_EQ(outcome->calls, 1);
        EXPECT_EQ(outcome->error, "bad_request");
    }
    EXPECT_EQ(backend->requests_open(), 0u);
    EXPECT_TRUE(server.peers.empty());
}

// ---- Connections ----

TEST_F(BackendTest, KeepsConnectionsAndOpensAsManyAsRequestsAreUnderWay) {
    open();
    Outcome first, second, third;
    send(first);
    send(second);
    EXPECT_EQ(backend->requests_open(), 2u);
    serve(1, ok);
    serve(0, ok);
    ASSERT_TRUE(until([&] { return first.calls + second.calls == 2; }));
    send(third);
    ASSERT_TRUE(until([&] { return server.has_request(0) || server.has_request(1); }));
    serve(server.has_request(0) ? 0 : 1, ok);
    ASSERT_TRUE(until([&] { return third.calls == 1; }));
    EXPECT_EQ(server.peers.size(), 2u);
    EXPECT_EQ(third.body, "ok");
}

TEST_F(BackendTest, KeepsNoMoreIdleConnectionsThanItsLimit) {
    settings.idle_max = 1;
    open();
    Outcome first, second;
    send(first);
    send(second);
    serve(0, ok);
    serve(1, ok);
    ASSERT_TRUE(until([&] { return first.calls + second.calls == 2; }));
    EXPECT_TRUE(until([&] { return !server.peers[0]->closed.empty() || !server.peers[1]->closed.empty(); }));
    EXPECT_TRUE(server.peers[0]->closed.empty() || server.peers[1]->closed.empty());
}

TEST_F(BackendTest, DoesNotReuseAConnectionThatTheBackendWillClose) {
    open();
    for (const char* answer : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                               "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?"}) {
        Outcome outcome;
        const std::size_t peer = server.peers.size();
        send(outcome);
        serve(peer, answer);
        ASSERT_TRUE(until([&] { return outcome.calls == 1; })) << answer;
        EXPECT_EQ(outcome.body, "ok") << answer;
        EXPECT_TRUE(until([&] { return !server.peers[peer]->closed.empty(); })) << answer;
    }
}

TEST_F(BackendTest, SendsAgainWhenAKeptConnectionTurnsOutClosed) {
    for (const char* method : {"GET", "PUT", "DELETE"}) {
        open();
        const std::size_t peer = server.peers.size();
        Outcome first, again;
        send(first);
        serve(peer, ok);
        ASSERT_TRUE(until([&] { return first.calls == 1; }));
        send(again, method, "/again", "body");
        ASSERT_TRUE(until([&] { return server.has_request(peer); }));
        server.peers[peer]->stream.abort();
        ASSERT_TRUE(until([&] { return server.has_request(peer + 1); })) << method;
        EXPECT_TRUE(server.peers[peer + 1]->received.starts_with(std::string(method) + " /again "));
        EXPECT_TRUE(server.peers[peer + 1]->received.ends_with("\r\n\r\nbody"));
        // Once: the second connection was fresh.
        server.peers[peer + 1]->stream.abort();
        ASSERT_TRUE(until([&] { return again.calls == 1; })) << method;
        EXPECT_EQ(again.error, "backend_unreachable");
        EXPECT_EQ(server.peers.size(), peer + 2);
    }
}

TEST_F(BackendTest, NeverSendsTwiceWhatMayHaveBeenDone) {
    open();
    Outcome first, post;
    send(first);
    serve(0, ok);
    ASSERT_TRUE(until([&] { return first.calls == 1; }));
    send(post, "POST", "/", "pay");
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    server.peers[0]->stream.abort();
    ASSERT_TRUE(until([&] { return post.calls == 1; }));
    EXPECT_EQ(post.error, "backend_unreachable");
    run_turns(loop, 5);
    EXPECT_EQ(server.peers.size(), 1u);
}

TEST_F(BackendTest, ForgetsAKeptConnectionThatEndsOrSpeaksUnasked) {
    open();
    for (int i = 0; i < 2; ++i) {
        const std::size_t peer = server.peers.size();
        Outcome outcome;
        send(outcome);
        serve(peer, ok);
        ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
        if (i == 0)
            server.peers[peer]->stream.abort();
        else
            server.peers[peer]->say("HTTP/1.1 408 Request Timeout\r\n\r\n");
        run_turns(loop, 10);
    }
    Outcome post;
    send(post, "POST");
    serve(2, ok);
    EXPECT_TRUE(until([&] { return post.status == 200; }));
}

TEST_F(BackendTest, SendsNothingOnAKeptConnectionOfWhichTheKernelKnowsMoreThanTheLoop) {
    open();
    for (const bool speaks : {false, true}) {
        const std::size_t peer = server.peers.size();
        Outcome first, post;
        send(first);
        serve(peer, ok);
        ASSERT_TRUE(until([&] { return first.calls == 1; }));
        net::run_for(loop, 60ms);  // The connection rests.
        if (speaks) {
            server.peers[peer]->say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
            run_turns(loop, 0);  // It is sent, and not read.
        } else {
            server.peers[peer]->stream.abort();
        }
        send(post, "POST");
        serve(peer + 1, ok);
        ASSERT_TRUE(until([&] { return post.calls == 1; })) << speaks;
        EXPECT_EQ(post.status, 200);
        backend.reset();
        open();
    }
}

TEST_F(BackendTest, SaysThatNobodyListens) {
    open();
    server.listener->close();
    Outcome outcome;
    send(outcome);
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    EXPECT_EQ(outcome.error, "backend_unreachable");
    EXPECT_EQ(backend->requests_open(), 0u);
}

TEST_F(BackendTest, GivesUpAtTheDeadlineAndDropsTheConnection) {
    settings.timeout = 40ms;
    open();
    Outcome silent, half;
    send(silent);
    ASSERT_TRUE(until([&] { return silent.calls == 1; }));
    EXPECT_EQ(silent.error, "backend_timeout");
    EXPECT_TRUE(until([&] { return !server.peers[0]->closed.empty(); }));
    send(half);
    ASSERT_TRUE(until([&] { return server.has_request(1); }));
    server.peers[1]->say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal");
    ASSERT_TRUE(until([&] { return half.calls == 1; }));
    EXPECT_EQ(half.error, "backend_timeout");
    EXPECT_EQ(half.body, "");
}

// ---- Answers ----

TEST_F(BackendTest, FindsTheEndOfEveryKindOfAnswer) {
    struct Row {
        const char* what;
        const char* method;
        std::string answer;
        bool closes;
        int status;
        std::string body;
    };
    const Row rows[] = {
        {"length", "GET", ok, false, 200, "ok"},
        {"chunked", "GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false,
         200, "abcde"},
        {"trailers", "GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", false, 200,
         "a"},
        {"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nall of it", true, 200, "all of it"},
        {"nothing until close", "GET", "HTTP/1.0 200 OK\r\n\r\n", true, 200, ""},
        {"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", false, 200, ""},
        {"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, ""},
        {"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", false, 304, ""},
        {"interim", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok,
         false, 200, "ok"},
        {"empty", "GET", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", false, 500, ""},
    };
    for (const bool drips : {false, true}) {
        for (const Row& row : rows) {
            open();
            const std::size_t peer = server.peers.size();
            Outcome outcome;
            send(outcome, row.method);
            ASSERT_TRUE(until([&] { return server.has_request(peer); })) << row.what;
            for (std::size_t i = 0; i < row.answer.size();) {
                const std::size_t size = drips ? 1 : row.answer.size();
                server.peers[peer]->say(std::string_view(row.answer).substr(i, size));
                i += size;
                if (drips) run_turns(loop, 2);
            }
            if (row.closes) {
                run_turns(loop, 3);
                EXPECT_EQ(outcome.calls, 0) << row.what;
                server.peers[peer]->stream.close_after_flush();
            }
            ASSERT_TRUE(until([&] { return outcome.calls == 1; })) << row.what;
            EXPECT_EQ(outcome.error, "") << row.what;
            EXPECT_EQ(outcome.status, row.status) << row.what;
            EXPECT_EQ(outcome.body, row.body) << row.what;
        }
    }
}

TEST_F(BackendTest, HandsOutTheFieldsOfAnAnswerThatCameInPieces) {
    open();
    Outcome outcome;
    send(outcome);
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    server.peers[0]->say("HTTP/1.1 200 OK\r\nA: fir");
    run_turns(loop, 3);
    server.peers[0]->say("st\r\nContent-Length: 2\r\nB: second\r\n\r\nok");
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    EXPECT_EQ(outcome.fields,
              (std::vector<http::OwnedField>{{"A", "first"}, {"Content-Length", "2"}, {"B", "second"}}));
    EXPECT_EQ(outcome.body, "ok");
}

TEST_F(BackendTest, RefusesAnAnswerThatIsBrokenTruncatedOrTooLarge) {
    settings.body_bytes_max = 8;
    struct Row {
        const char* what;
        std::string answer;
        bool closes;
    };
    const Row rows[] = {
        {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", false},
        {"HTTP/2", "HTTP/2 200\r\n\r\n", false},
        {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false},
        {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", false},
        {"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
         false},
        {"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false},
        {"half a head", "HTTP/1.1 200 OK\r\nConte", true},
        {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true},
        {"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true},
        {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true},
        {"switched", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false},
        {"9 bytes", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789", false},
        {"9 announced", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false},
        {"9 in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n",
         false},
        {"9 until close", "HTTP/1.1 200 OK\r\n\r\n123456789", false},
    };
    for (const Row& row : rows) {
        open();
        const std::size_t peer = server.peers.size();
        Outcome outcome;
        send(outcome);
        ASSERT_TRUE(until([&] { return server.has_request(peer); })) << row.what;
        server.peers[peer]->say(row.answer);
        if (row.closes) server.peers[peer]->stream.close_after_flush();
        ASSERT_TRUE(until([&] { return outcome.calls == 1; })) << row.what;
        EXPECT_EQ(outcome.error, "bad_backend_answer") << row.what;
        EXPECT_EQ(outcome.status, 0) << row.what;
        EXPECT_TRUE(until([&] { return !server.peers[peer]->closed.empty(); })) << row.what;
    }
    Outcome largest;
    send(largest);
    serve(server.peers.size(), "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n12345678");
    EXPECT_TRUE(until([&] { return largest.body == "12345678"; }));
}

TEST_F(BackendTest, AResetIsNoEndOfABody) {
    net::Fd accepted;
    const auto listener = net::Listener::open(
        loop, "127.0.0.1", 0, [&](net::Fd socket, const net::Endpoint&) { accepted = std::move(socket); });
    settings.url = {"http", "127.0.0.1", (*listener)->port(), ""};
    backend.emplace(loop, resolver, settings);
    Outcome outcome;
    send(outcome);
    ASSERT_TRUE(until([&] { return static_cast<bool>(accepted); }));
    const std::string half = "HTTP/1.1 200 OK\r\n\r\nhalf of";
    ASSERT_EQ(::send(accepted.get(), half.data(), half.size(), 0), static_cast<ssize_t>(half.size()));
    run_turns(loop, 10);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(accepted.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    accepted.reset();
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    EXPECT_EQ(outcome.error, "bad_backend_answer");
}

// ---- Health ----

class HealthTest : public BackendTest {
protected:
    // What the first probe says.
    std::pair<bool, std::string> probe(net::Url target, bool connect_only, std::string_view answer = "") {
        std::optional<std::pair<bool, std::string>> result;
        HealthProber prober(loop, resolver, std::move(target), connect_only, nullptr, 30s,
                            [&](bool pass, const std::string& detail) { result = {pass, detail}; });
        const std::size_t peer = server.peers.size();
        prober.start();
        if (!answer.empty()) serve(peer, answer);
        EXPECT_TRUE(until([&] { return result.has_value(); }));
        loop.collect();
        return result.value_or(std::pair(false, "no result"));
    }
};

TEST_F(HealthTest, AConnectionIsEnoughWithoutAHealthUrl) {
    EXPECT_TRUE(probe(server.url(), true).first);
    server.listener->close();
    const auto [pass, why] = probe(server.url(), true);
    EXPECT_FALSE(pass);
    EXPECT_NE(why.find("refused"), std::string::npos) << why;
}

TEST_F(HealthTest, AHealthUrlDecidesByItsStatus) {
    EXPECT_TRUE(probe(server.url("/health?x"), false, ok).first);
    EXPECT_FALSE(probe(server.url(), false, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").first);
    const auto [pass, why] = probe(server.url(), false, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    EXPECT_FALSE(pass);
    EXPECT_EQ(why, "EE_HEALTH_URL answered 500");
    EXPECT_FALSE(probe(server.url(), false, "nonsense\r\n\r\n").first);
}

TEST_F(HealthTest, AHealthUrlsBodyDecidesNothing) {
    EXPECT_TRUE(probe(server.url(), false, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome").first);
    EXPECT_FALSE(probe(server.url(), false, "HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\nsome").first);

    const std::size_t peer = server.peers.size();
    std::vector<bool> results;
    HealthProber prober(loop, resolver, server.url(), false, nullptr, 1s,
                        [&](bool pass, const std::string&) { results.push_back(pass); });
    prober.start();
    serve(peer, "HTTP/1.1 200 OK\r\n\r\n" + std::string(300'000, 'x'));
    ASSERT_TRUE(until([&] { return results.size() == 1; }));
    EXPECT_EQ(server.peers[peer]->closed, "") << "it may send its body";
    ASSERT_TRUE(until([&] { return !server.peers[peer]->closed.empty(); })) << "and not for ever";
    EXPECT_EQ(results, std::vector{true});
}

}  // namespace
}  // namespace ee::agent

#include "http/client.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "http/test_server.h"
#include "net/test_certificate.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

struct Outcome {
    int calls = 0;
    Result<ClientAnswer> answer = fail("none");

    std::string code() const { return answer ? "ok" : answer.error().code; }
    std::string detail() const { return answer ? "" : answer.error().detail; }
};

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class ClientTest : public testing::Test {
protected:
    void TearDown() override {
        client.reset();
        loop.collect();
    }
    void send(Outcome& outcome, ClientRequest request) {
        if (!client) client.emplace(loop, workers, tls, limits);
        client->send(std::move(request), [&outcome](Result<ClientAnswer> answer) {
            ++outcome.calls;
            outcome.answer = std::move(answer);
        });
        EXPECT_EQ(outcome.calls, 0);  // Never within send().
    }
    void send(Outcome& outcome, std::string path = "/") {
        send(outcome, {.url = server.url(std::move(path))});
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    void serve(std::size_t peer, std::string_view answer) {
        ASSERT_TRUE(until([&] { return server.has_request(peer); }));
        server.peers[peer]->say(answer);
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    TestServer server{loop};
    std::shared_ptr<const net::TlsContext> tls;
    ClientLimits limits;
    std::optional<Client> client;
};

TEST_F(ClientTest, AsksWithItsOwnFieldsAndTheCallers) {
    Outcome outcome;
    send(outcome,
         {.url = server.url("/a/b?c=%20d"), .fields = {{"Accept", "application/json"}, {"X-One", "1"}}});
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    EXPECT_EQ(server.peers[0]->received, "GET /a/b?c=%20d HTTP/1.1\r\nHost: " + server.url().authority() +
                                             "\r\nConnection: close\r\nUser-Agent: easyenclave\r\n"
                                             "Accept: application/json\r\nX-One: 1\r\n\r\n");
    server.peers[0]->say("HTTP/1.1 404 Not Found\r\nETag: \"x\"\r\nContent-Length: 4\r\n\r\ngone");
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    ASSERT_TRUE(outcome.answer);
    EXPECT_EQ(outcome.answer->status, 404);
    EXPECT_EQ(outcome.answer->body, "gone");
    EXPECT_EQ(outcome.answer->field("etag"), "\"x\"");
    EXPECT_EQ(outcome.answer->field("Location"), std::nullopt);
}

TEST_F(ClientTest, SendsABodyWithOtherMethods) {
    Outcome outcome;
    send(outcome, {.url = server.url("/hook"),
                   .method = "POST",
                   .fields = {{"Content-Type", "application/json"}},
                   .body = "{\"a\":1}"});
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    const std::string& received = server.peers[0]->received;
    EXPECT_TRUE(received.starts_with("POST /hook HTTP/1.1\r\n")) << received;
    EXPECT_TRUE(received.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}")) << received;
    server.peers[0]->say("HTTP/1.1 204 No Content\r\n\r\n");
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    ASSERT_TRUE(outcome.answer);
    EXPECT_EQ(outcome.answer->status, 204);
}

TEST_F(ClientTest, AsksForTheRootWhenTheUrlHasNoPath) {
    Outcome outcome;
    send(outcome, "");
    ASSERT_TRUE(until([&] { return server.has_request(0); }));
    EXPECT_TRUE(server.peers[0]->received.starts_with("GET / HTTP/1.1\r\n"));
}

TEST_F(ClientTest, UsesAConnectionForEachRequestAndEndsIt) {
    for (const std::size_t peer : {0u, 1u}) {
        Outcome outcome;
        send(outcome);
        serve(peer, ok);
        ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
        EXPECT_TRUE(until([&] { return !server.peers[peer]->closed.empty(); }));
        EXPECT_EQ(client->requests_open(), 0u);
    }
    EXPECT_EQ(server.peers.size(), 2u);
}

TEST_F(ClientTest, TakesAnswersOfEveryFraming) {
    const std::pair<const char*, bool> rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabcde", true},
    };
    for (const auto& [text, closes] : rows) {
        Outcome outcome;
        const std::size_t peer = server.peers.size();
        send(outcome);
        serve(peer, text);
        if (closes) server.peers[peer]->stream.close_after_flush();
        ASSERT_TRUE(until([&] { return outcome.calls == 1; })) << text;
        ASSERT_TRUE(outcome.answer) << text;
        EXPECT_EQ(outcome.answer->body, "abcde") << text;
    }
}

TEST_F(ClientTest, RefusesWhatIsNoWholeAnswerWithinItsLimits) {
    struct Row {
        const char* what;
        std::string answer;
        bool closes;
    };
    const Row rows[] = {
        {"nothing", "", true},
        {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", false},
        {"half a head", "HTTP/1.1 200 OK\r\nConte", true},
        {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true},
        {"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true},
        {"9 announced", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false},
        {"9 in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789", false},
        {"9 until close", "HTTP/1.1 200 OK\r\n\r\n123456789", false},
        {"a head without end", "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'), false},
        {"a field too many",
         [] {
             std::string head = "HTTP/1.1 200 OK\r\n";
             for (int i = 0; i < 201; ++i) head += "X: 1\r\n";
             return head + "\r\n";
         }(),
         false},
    };
    for (const Row& row : rows) {
        Outcome outcome;
        const std::size_t peer = server.peers.size();
        send(outcome, {.url = server.url("/path?key=secret"),
                       .fields = {{"Authorization", "Bearer hidden"}},
                       .body_bytes_max = 8});
        ASSERT_TRUE(until([&] { return server.has_request(peer); })) << row.what;
        if (!row.answer.empty()) server.peers[peer]->say(row.answer);
        if (row.closes) server.peers[peer]->stream.close_after_flush();
        ASSERT_TRUE(until([&] { return outcome.calls == 1; })) << row.what;
        EXPECT_EQ(outcome.code(), "bad_response") << row.what;
        EXPECT_TRUE(outcome.detail().starts_with("http://" + server.url().authority() + "/path: "))
            << outcome.detail();
        EXPECT_EQ(outcome.detail().find("secret"), std::string::npos) << outcome.detail();
        EXPECT_EQ(outcome.detail().find("hidden"), std::string::npos) << outcome.detail();
        EXPECT_TRUE(until([&] { return !server.peers[peer]->closed.empty(); })) << row.what;
    }
}

TEST_F(ClientTest, SaysThatNobodyListensAndThatNoSuchNameExists) {
    Outcome nobody, nameless;
    send(nobody, {.url = {"http", "127.0.0.1", 1, "/"}});
    send(nameless, {.url = {"http", "no-such-host.invalid", 80, "/"}});
    ASSERT_TRUE(until([&] { return nobody.calls + nameless.calls == 2; }));
    EXPECT_EQ(nobody.code(), "unreachable");
    EXPECT_NE(nobody.detail().find("refused"), std::string::npos) << nobody.detail();
    EXPECT_EQ(nameless.code(), "unreachable");
}

TEST_F(ClientTest, NamesTheHostAloneWhereThePathIsSecret) {
    limits = {.requests_max = 1, .queue_max = 1};
    Outcome silent, waiting, refused;
    const net::Url url = server.url("/services/hidden?token=secret");
    send(silent, {.url = url, .is_path_secret = true, .timeout = 40ms});
    send(waiting, {.url = url, .is_path_secret = true, .timeout = 20ms});
    send(refused, {.url = url, .is_path_secret = true});
    ASSERT_TRUE(until([&] { return silent.calls + waiting.calls + refused.calls == 3; }));
    for (const Outcome* outcome : {&silent, &waiting, &refused})
        EXPECT_TRUE(outcome->detail().starts_with("http://" + url.authority() + ": ")) << outcome->detail();
}

TEST_F(ClientTest, GivesUpAtTheDeadlineHoweverMuchHasCome) {
    Outcome silent, half, endless;
    send(silent, {.url = server.url("/"), .timeout = 40ms});
    ASSERT_TRUE(until([&] { return silent.calls == 1; }));
    EXPECT_EQ(silent.code(), "timed_out");
    send(half, {.url = server.url("/"), .timeout = 1s});
    serve(1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal");
    ASSERT_TRUE(until([&] { return half.calls == 1; }));
    EXPECT_EQ(half.code(), "timed_out");
    send(endless, {.url = server.url("/"), .timeout = 100ms});
    serve(2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    ASSERT_TRUE(until([&] {
        if (endless.calls == 0) server.peers[2]->say("1\r\nx\r\n");
        return endless.calls == 1;
    }));
    EXPECT_EQ(endless.code(), "timed_out");
    EXPECT_TRUE(until(
        [&] { return std::ranges::none_of(server.peers, [](auto& peer) { return peer->closed.empty(); }); }));
}

TEST_F(ClientTest, RefusesWhatCannotBeWrittenAndNamesNoField) {
    Outcome field, path, control, scheme;
    send(field, {.url = server.url("/"), .fields = {{"Authorization", "Bearer hidden\r\nX: 1"}}});
    send(path, {.url = server.url("/a b")});
    send(control, {.url = server.url("/a\x7f")});
    send(scheme, {.url = {"unix", "/run/x.sock", 0, ""}});
    run_turns(loop, 3);
    for (const Outcome* outcome : {&field, &path, &control, &scheme}) {
        EXPECT_EQ(outcome->calls, 1);
        EXPECT_EQ(outcome->code(), "bad_request");
        EXPECT_EQ(outcome->detail().find("hidden"), std::string::npos);
    }
    EXPECT_TRUE(server.peers.empty());
}

TEST_F(ClientTest, LetsRequestsAboveItsLimitWaitAndRefusesThoseAboveTheQueues) {
    limits = {.requests_max = 1, .queue_max = 2};
    Outcome first, second, impatient, fourth;
    send(first, "/first");
    send(second, "/second");
    send(impatient, {.url = server.url("/impatient"), .timeout = 40ms});
    send(fourth, "/fourth");
    ASSERT_TRUE(until([&] { return fourth.calls + impatient.calls == 2; }));
    EXPECT_EQ(fourth.code(), "unreachable");
    EXPECT_EQ(impatient.code(), "timed_out");
    EXPECT_EQ(server.peers.size(), 1u);
    EXPECT_EQ(client->requests_open(), 1u);
    EXPECT_EQ(client->requests_waiting(), 1u);
    serve(0, ok);
    ASSERT_TRUE(until([&] { return first.calls == 1; }));
    serve(1, ok);
    EXPECT_TRUE(server.peers[1]->received.starts_with("GET /second "));
    ASSERT_TRUE(until([&] { return second.calls == 1; }));
    EXPECT_EQ(client->requests_open() + client->requests_waiting(), 0u);
}

TEST_F(ClientTest, ACallbackMayAskAgain) {
    limits = {.requests_max = 1};
    client.emplace(loop, workers, tls, limits);
    int answers = 0;
    OnClientAnswer again = [&](Result<ClientAnswer> answer) {
        EXPECT_EQ(answer.has_value(), answers > 0);
        if (++answers < 3) client->send({.url = server.url("/")}, again);
    };
    client->send({.url = {"http", "127.0.0.1", 1, "/"}}, again);
    serve(0, ok);
    serve(1, ok);
    EXPECT_TRUE(until([&] { return answers == 3; }));
}

TEST_F(ClientTest, CallsNobodyBackOnceItIsGone) {
    limits = {.requests_max = 1};
    Outcome open, waiting, refused;
    send(open);
    send(waiting);
    send(refused, {.url = server.url("/a b")});
    client.reset();
    run_turns(loop, 5);
    EXPECT_EQ(open.calls + waiting.calls + refused.calls, 0);
}

// A certificate for 127.0.0.1 and one for another name, made with the openssl program.
class HttpsClientTest : public ClientTest {
protected:
    // What comes of asking a server that has one of the certificates.
    Outcome ask(const std::string& served, const std::string& trusted) {
        TestServer secure(loop, (served == "right" ? right_ : wrong_).server());
        tls = trusted.empty() ? net::TlsContext::client("").value()
                              : (trusted == "right" ? right_ : wrong_).client();
        client.reset();
        Outcome outcome;
        send(outcome, {.url = secure.url("/path")});
        EXPECT_TRUE(until([&] { return outcome.calls == 1 || secure.has_request(0); }));
        if (secure.has_request(0)) {
            secure.peers[0]->say(ok);
            EXPECT_TRUE(until([&] { return outcome.calls == 1; }));
        }
        return outcome;
    }

    const net::TestCertificate right_, wrong_{"DNS:other.example"};
};

TEST_F(HttpsClientTest, ChecksCertificateAndName) {
    const Outcome good = ask("right", "right");
    ASSERT_TRUE(good.answer) << good.detail();
    EXPECT_EQ(good.answer->body, "ok");
    for (const auto& [served, trusted] :
         {std::pair<std::string, std::string>{"right", "wrong"}, {"wrong", "wrong"}, {"right", ""}}) {
        const Outcome refused = ask(served, trusted);
        EXPECT_EQ(refused.code(), "unreachable") << served << " " << trusted;
        EXPECT_NE(refused.detail().find("certificate"), std::string::npos) << refused.detail();
    }
}

TEST_F(HttpsClientTest, TakesTheSystemsRootsFromWhereOpensslIsTold) {
    ASSERT_EQ(::setenv("SSL_CERT_FILE", right_.certificate().c_str(), 1), 0);
    const Outcome good = ask("right", "");
    ::unsetenv("SSL_CERT_FILE");
    EXPECT_TRUE(good.answer) << good.detail();
}

TEST_F(HttpsClientTest, AServerThatSpeaksNoTlsIsUnreachable) {
    tls = net::TlsContext::client("").value();
    Outcome outcome;
    net::Url url = server.url("/");
    url.scheme = "https";
    send(outcome, {.url = url});
    ASSERT_TRUE(until([&] { return server.peers.size() == 1; }));
    server.peers[0]->say(ok);
    ASSERT_TRUE(until([&] { return outcome.calls == 1; }));
    EXPECT_EQ(outcome.code(), "unreachable");
}

}  // namespace
}  // namespace ee::http

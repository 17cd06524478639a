// Requests whose bodies are streamed to v2 agents.
#include <algorithm>
#include <functional>

#include "http/test_http2.h"
#include "net/test_certificate.h"
#include "net/tls.h"
#include "protocol/limits.h"
#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;

const std::string upload =
    "POST /up HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(ForwarderTest, PassesTrailersThatSayNothingOfOurs) {
    const auto agent = stream_from();
    const auto visitor = visit();
    visitor->say(
        upload +
        "2\r\nhi\r\n0\r\nEE-Attestation: forged\r\nee-client: 9.9.9.9\r\nX-Forwarded-For: 6.6.6.6\r\n"
        "Forwarded: for=1.1.1.1\r\nX-Sum: 1\r\nCookie: a=1\r\n\r\n");
    ASSERT_TRUE(until([&] { return agent->ended; }));
    EXPECT_EQ(agent->received, "hi");
    EXPECT_EQ(agent->trailers, "x-sum=1 ");
}

TEST_F(ForwarderTest, OneAgentOfTheFirstVersionTakesNoUploadsFromTheOthers) {
    const auto v1 = come("a1");
    const auto v2 = stream_from("a2");
    const std::string head = "POST /up HTTP/1.1\r\nHost: myapp.example\r\n";
    // Of no known length, and larger than what a v1 agent takes: as they come, and never to it.
    const std::string large = std::to_string(protocol::request_body_bytes_max + 1);
    for (const std::string& begun : {head + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
                                     head + "Content-Length: " + large + "\r\n\r\nhi"}) {
        for (int i = 0; i < 8; ++i) {
            v2->received.clear();
            const auto visitor = visit();
            visitor->say(begun);
            ASSERT_TRUE(until([&] { return v2->received == "hi"; })) << visitor->received;
        }
    }
    EXPECT_TRUE(v1->requests.empty());
    // What it takes goes to either.
    for (int i = 0; v1->requests.empty() || v2->asked.find("/small") == std::string::npos; ++i) {
        ASSERT_LT(i, 64);
        const http::Http2StreamId before = v2->last;
        const std::size_t known = v1->requests.size();
        const auto visitor = visit();
        visitor->say("POST /small HTTP/1.1\r\nHost: myapp.example\r\nContent-Length: 2\r\n\r\nhi");
        ASSERT_TRUE(until([&] { return v2->last != before || v1->requests.size() > known; }));
    }
}

TEST_F(ForwarderTest, AnUnknownAppsBodyIsNotWaitedFor) {
    for (const char* begin :
         {"POST / HTTP/1.1\r\nContent-Length: 5000000", "PUT / HTTP/1.1\r\nContent-Length: 9"}) {
        const auto visitor = visit();
        visitor->say(std::string(begin) + "\r\nHost: nobody.example\r\n\r\n");
        ASSERT_TRUE(until([&] { return !visitor->received.empty(); })) << begin;
        EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 404 ")) << visitor->received;
    }
}

// ---- Upgrades ----

TEST_F(ForwarderTest, CarriesAWebSocketBothWays) {
    const auto agent = stream_from();
    const auto asking = [](std::string_view key) {
        return get("/ws",
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: " +
                       std::string(key) + "\r\n");
    };
    const auto wrong = visit();
    wrong->say(asking("short"));
    ASSERT_TRUE(until([&] { return wrong->received.ends_with("}"); }));
    EXPECT_TRUE(wrong->received.starts_with("HTTP/1.1 400 ")) << wrong->received;
    EXPECT_EQ(agent->asked, "");
    // Some clients say that there is no body.
    for (const char* length : {"", "Content-Length: 0\r\n"}) {
        const auto visitor = visit();
        const std::string request = asking("dGhlIHNhbXBsZSBub25jZQ==");
        visitor->say(request.substr(0, request.size() - 2) + length + "\r\n");
        ASSERT_TRUE(until([&] { return agent->asked.starts_with("CONNECT websocket myapp.example /ws "); }));
        EXPECT_EQ(agent->asked.find("content-length"), std::string::npos) << agent->asked;
        const http::Field chat{"sec-websocket-protocol", "chat"};
        agent->respond(200, std::span(&chat, 1));
        ASSERT_TRUE(until([&] { return visitor->received.ends_with("\r\n\r\n"); }));
        EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 101 ")) << visitor->received;
        EXPECT_NE(visitor->received.find("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
                  std::string::npos)
            << visitor->received;
        EXPECT_NE(visitor->received.find("\r\nsec-websocket-protocol: chat\r\n"), std::string::npos);
        visitor->say("to the backend");
        ASSERT_TRUE(until([&] { return agent->received == "to the backend"; }));
        agent->say("and back");
        ASSERT_TRUE(until([&] { return visitor->received.ends_with("and back"); }));
        agent->end();
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
        agent->asked.clear();
        agent->received.clear();
    }
}

struct WebSocketTest : ForwarderTest {
    std::shared_ptr<const net::TlsContext> self_made() const {
        const Bytes certificate = net::self_made_certificate(key);
        return net::TlsContext::self_made_server(certificate, key, protocols).value();
    }
    // One that both ends have agreed to.
    std::unique_ptr<net::Peer> talk(StreamingAgent& agent, std::unique_ptr<net::TlsSession> tls = nullptr) {
        auto visitor = std::make_unique<net::Peer>(loop, net::connect_to(proxy->port()), std::move(tls));
        visitor->say(get("/ws",
                         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        EXPECT_TRUE(until([&] { return agent.last != 0; })) << visitor->received;
        agent.respond(200);
        EXPECT_TRUE(until([&] { return visitor->received.ends_with("\r\n\r\n"); })) << visitor->received;
        return visitor;
    }

    static constexpr std::string_view protocols[] = {"http/1.1"};
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::p256);
};

TEST_F(WebSocketTest, OfAnotherVersionIsToldWhichThereIs) {
    const auto agent = stream_from();
    const auto visitor = visit();
    visitor->say(get("/ws",
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    ASSERT_TRUE(until([&] { return visitor->received.ends_with("}"); }));
    EXPECT_TRUE(visitor->received.starts_with("HTTP/1.1 426 ")) << visitor->received;
    for (const char* field :
         {"Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n"})
        EXPECT_NE(visitor->received.find(field), std::string::npos) << visitor->received;
    EXPECT_EQ(agent->asked, "");
}

TEST_F(WebSocketTest, AVisitorThatHasShutItsSideStillHearsTheBackend) {
    const auto agent = stream_from();
    const auto visitor = talk(*agent);
    visitor->say("the last word");
    visitor->stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return agent->ended; }));
    EXPECT_EQ(agent->received, "the last word");
    agent->say("and back");
    ASSERT_TRUE(until([&] { return visitor->received.ends_with("and back"); })) << visitor->closed;
    agent->end();
    EXPECT_TRUE(until([&] { return !visitor->closed.empty() && forwarder->open_calls() == 0; }));
    EXPECT_EQ(logged().find("visitor_gone"), std::string::npos);
}

TEST_F(WebSocketTest, EndsOnceItsVisitorIsGoneHoweverMuchTheBackendHasToSay) {
    settings.farewell_time = 50ms;
    open();
    for (const bool is_tls : {false, true}) {
        const auto agent = stream_from(is_tls ? "a2" : "a1");
        std::unique_ptr<net::TlsSession> tls;
        if (is_tls) {
            proxy.emplace(loop, *handler, http::ServerLimits{});
            ASSERT_TRUE(proxy->listen("127.0.0.1", 0, self_made()));
            const auto context = net::TlsContext::judging_client(protocols[0]).value();
            tls = std::make_unique<net::TlsSession>(context, "myapp.example");
        }
        auto visitor = talk(*agent, std::move(tls));
        visitor->say("the last word");
        visitor->stream.close_after_flush();
        ASSERT_TRUE(until([&] { return agent->ended; })) << is_tls;
        EXPECT_EQ(agent->received, "the last word") << is_tls;
        visitor.reset();
        // The backend neither ends its side nor falls silent.
        ASSERT_TRUE(until([&] {
            if (!agent->reset_code) agent->say("tick");
            return agent->reset_code.has_value();
        })) << is_tls;
        EXPECT_EQ(agent->reset_code, http::http2_code::cancel) << is_tls;
        EXPECT_EQ(forwarder->open_calls(), 0u) << is_tls;
        agent->wire.stream.abort();
        ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    }
}

TEST_F(ForwarderTest, AnExtendedConnectIsForWebSocketAlone) {
    const auto agent = stream_from();
    http::ServerLimits limits;
    limits.http2 = true;
    proxy.emplace(loop, *handler, limits);
    ASSERT_TRUE(proxy->listen("127.0.0.1", 0, nullptr));
    const auto visitor = visit();
    http::Side client({.role = http::Http2Settings::Role::client, .connect_protocol = true});
    const auto say = [&] {
        http::StringSink sink;
        client.session.pull(sink, 1 << 20);
        visitor->say(sink.text);
    };
    std::size_t known = 0;
    const auto heard = [&](http::Http2StreamId id) {
        EXPECT_TRUE(
            client.session.receive(visitor->received.substr(std::exchange(known, visitor->received.size()))));
        say();
        return client.streams[id].head;
    };
    for (const auto& [protocol, status] : {std::pair("connect-udp", "501"), std::pair("websocket", "200")}) {
        http::Http2Head head{
            .method = "CONNECT", .scheme = "http", .authority = "myapp.example", .path = "/"};
        head.protocol = protocol;
        const auto id = client.session.open(head, "", false);
        ASSERT_TRUE(id);
        say();
        bool is_asked = false;
        ASSERT_TRUE(until([&] {
            if (!is_asked && agent->last != 0) agent->respond(200);
            is_asked = agent->last != 0;
            return !heard(*id).empty();
        })) << protocol;
        EXPECT_TRUE(client.streams[*id].head.starts_with(status)) << client.streams[*id].head;
    }
}

// ---- What counts against an agent ----

struct FailingAgentTest : ForwarderTest {
    static tunnel::TunnelSettings impatient() {
        tunnel::TunnelSettings out;
        out.stream_idle_time = 150ms;
        return out;
    }
    FailingAgentTest() : ForwarderTest(impatient()) {}

    // So many at once, each after the one before has reached the agent.
    std::vector<std::unique_ptr<net::Peer>> ask_all(
        int count, StreamingAgent& agent, const std::string& request,
        const std::function<void()>& then = [] {}) {
        std::vector<std::unique_ptr<net::Peer>> visitors;
        for (int i = 0; i < count; ++i) {
            const http::Http2StreamId before = agent.last;
            visitors.push_back(visit());
            visitors.back()->say(request);
            EXPECT_TRUE(until([&] { return agent.last != before; }));
            then();
        }
        return visitors;
    }
    bool all_over(const std::vector<std::unique_ptr<net::Peer>>& visitors) {
        return until([&] {
            return std::ranges::all_of(visitors,
                                       [](const auto& visitor) { return !visitor->closed.empty(); });
        });
    }
    std::uint64_t ejections() { return metrics.counter("ee_proxy_ejections_total", "").value(); }
};

TEST_F(FailingAgentTest, AVisitorThatStallsItsUploadPutsNoAgentOut) {
    const auto agent = stream_from();
    const auto stalled = ask_all(6, *agent, upload + "5\r\nhel");
    ASSERT_TRUE(all_over(stalled));
    EXPECT_TRUE(stalled[0]->received.starts_with("HTTP/1.1 504 ")) << stalled[0]->received;
    EXPECT_EQ(ejections(), 0u);
    const auto whole = ask_all(5, *agent, upload + "2\r\nhi\r\n0\r\n\r\n");
    ASSERT_TRUE(all_over(whole)) << "the agent's turn";
    EXPECT_TRUE(whole[0]->received.starts_with("HTTP/1.1 504 ")) << whole[0]->received;
    EXPECT_EQ(ejections(), 1u);
}

// Backends close a connection whose upload stalls, some without a word.
TEST_F(FailingAgentTest, ABackendThatGivesAStalledUploadUpPutsNoAgentOut) {
    const auto agent = stream_from();
    const http::Field said[] = {{"ee-error", "backend_unreachable"}};
    const auto give_up = [&] { agent->respond(502, said, true); };
    const auto stalled = ask_all(6, *agent, upload + "5\r\nhel", give_up);
    ASSERT_TRUE(all_over(stalled));
    EXPECT_NE(stalled[0]->received.find("\"backend_unreachable\""), std::string::npos)
        << stalled[0]->received;
    EXPECT_EQ(ejections(), 0u);
    ASSERT_TRUE(all_over(ask_all(5, *agent, get("/"), give_up))) << "all of the request is there";
    EXPECT_EQ(ejections(), 1u);
}

TEST_F(FailingAgentTest, AnAnswerThatStopsPutsNoAgentOut) {
    const auto agent = stream_from();
    const auto begun = ask_all(6, *agent, get("/"), [&] { agent->respond(200); });
    ASSERT_TRUE(all_over(begun));
    EXPECT_EQ(ejections(), 0u);
}

TEST_F(FailingAgentTest, AnAgentThatRefusesEveryRequestIsPutOut) {
    const auto agent = stream_from();
    const std::string post =
        "POST / HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const auto refused = ask_all(5, *agent, post, [&] { agent->reset(http::http2_code::refused_stream); });
    ASSERT_TRUE(all_over(refused));
    EXPECT_TRUE(refused[0]->received.starts_with("HTTP/1.1 503 ")) << refused[0]->received;
    EXPECT_NE(refused[0]->received.find("\"overloaded\""), std::string::npos) << refused[0]->received;
    EXPECT_EQ(ejections(), 1u);
}

TEST_F(FailingAgentTest, AnAgentThatIsLostWithManyRequestsIsNotPutOut) {
    const auto agent = stream_from();
    const auto lost = ask_all(6, *agent, upload);
    agent->wire.stream.abort();
    ASSERT_TRUE(all_over(lost));
    EXPECT_NE(lost[0]->received.find("\"tunnel_closed\""), std::string::npos) << lost[0]->received;
    EXPECT_EQ(ejections(), 0u);
}

}  // namespace
}  // namespace ee::proxy

#include "tunnel/session.h"

#include <gtest/gtest.h>

#include "http/test_http2.h"
#include "tunnel/message_sink.h"
#include "tunnel/test_agent.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;
using Words = std::vector<std::string>;

class TunnelSession : public testing::Test {
protected:
    void connect(Wire wire = Wire::v1) {
        auto [ours, theirs] = net::socket_pair();
        auto stream = std::make_unique<net::Stream>(loop, std::move(ours), before_upgrade);
        stream->start();
        session = std::make_shared<Session>(context, 1, wire, http::Upgraded{std::move(stream), {}},
                                            [this](Session&) {
                                                gone = true;
                                                loop.dispose(std::move(session));
                                            });
        agent = std::make_unique<TestAgent>(loop, std::move(theirs));
    }
    void activate(std::uint32_t max_requests = 64, Wire wire = Wire::v1) {
        connect(wire);
        agent->send(test_registration("a1", max_requests));
        ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
        agent->attest();
        ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
        agent->heard.clear();
        owner.events.clear();
    }
    Result<StreamId> open(TestVisitor& visitor, std::string_view target, std::string_view body = "",
                          std::chrono::milliseconds timeout = 30s) {
        return session->open_stream({.method = "GET", .target = target, .fields = {}, .body = body}, visitor,
                                    loop.now() + timeout);
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    bool closes() {
        return until([&] { return gone && !agent->closed.empty(); });
    }

    TunnelSession() { settings.answer_time = 0ms; }  // open() says when a request is due.

    net::Loop loop;
    TestOwner owner;
    TunnelSettings settings;
    protocol::Decoder decoder;
    SessionContext context{loop, settings, owner, decoder, test_entropy()};
    net::Recorder before_upgrade;
    std::shared_ptr<Session> session;
    std::unique_ptr<TestAgent> agent;
    bool gone = false;
};

// ---- From the connection to service ----

TEST_F(TunnelSession, BecomesActiveByRegistrationAndAttestation) {
    connect();
    EXPECT_EQ(session->open_streams() + session->stream_limit(), 0u);
    agent->send(test_registration("a1", 8));
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    EXPECT_EQ(session->registration()->agent_id, "a1");
    TestVisitor early;
    EXPECT_EQ(open(early, "/").error().code, "tunnel_closed");
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
    EXPECT_EQ(owner.events, (Words{"check claim", "verify", "admit", "activated"}));
    EXPECT_EQ(session->stream_limit(), 8u + 64u);
    EXPECT_EQ(session->machine().state(), SessionState::active);
    EXPECT_EQ(early.got, "");
}

TEST_F(TunnelSession, TakesAMessageInFragmentsAndInPieces) {
    connect();
    const std::string text = protocol::encode(test_registration());
    agent->frame(http::Opcode::text, text.substr(0, 10), false);
    agent->frame(http::Opcode::ping, "between");
    run_turns(loop, 3);
    agent->frame(http::Opcode::continuation, text.substr(10));
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    EXPECT_EQ(agent->heard.front(), "pong between");
}

TEST_F(TunnelSession, RefusesAnAgentTheOwnerRefuses) {
    owner.claim = fail("invalid_network", "no such network");
    connect();
    agent->send(test_registration());
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard, (Words{"status invalid invalid_network", "close 1008 invalid_network"}));
    EXPECT_EQ(owner.events, (Words{"check claim", "refused invalid_network", "closed invalid_network"}));
}

TEST_F(TunnelSession, GivesUpOnAnAgentThatNeverRegisters) {
    settings.session.register_timeout = 0s;
    connect();
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard, (Words{"status invalid register_timeout", "close 1008 register_timeout"}));
}

TEST_F(TunnelSession, IgnoresAVerdictOnATunnelThatIsGone) {
    owner.holds_verdicts = true;
    connect();
    agent->send(test_registration());
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    agent->attest();
    ASSERT_TRUE(until([&] { return owner.has("verify"); }));
    const std::shared_ptr<Session> waiting = session;
    session->refuse({"rate_limited", "too many"}, 5);
    waiting->judged({});
    ASSERT_TRUE(closes());
    waiting->judged({});
    waiting->challenge(protocol::ChallengeReason::operator_request);
    waiting->warn({"registration_expiring", ""});
    waiting->drain("draining", std::nullopt);
    EXPECT_EQ(owner.events, (Words{"check claim", "verify", "refused rate_limited", "closed rate_limited"}));
    EXPECT_EQ(agent->heard,
              (Words{"challenge register", "status invalid rate_limited", "close 1008 rate_limited"}));
}

// ---- Requests ----

TEST_F(TunnelSession, CarriesRequestsAndTheirAnswers) {
    activate();
    TestVisitor first, second;
    ASSERT_TRUE(open(first, "/1?q", "abc"));
    ASSERT_TRUE(open(second, "/2"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 2; }));
    EXPECT_EQ(agent->requests[0].body, "abc");
    EXPECT_EQ(session->open_streams(), 2u);
    EXPECT_EQ(session->requests(), 2u);
    agent->answer(agent->requests[1].request_id, "two", 404);
    agent->answer(agent->requests[0].request_id, "one");
    ASSERT_TRUE(until([&] { return !first.got.empty(); }));
    EXPECT_EQ(first.got, "200 one.");
    EXPECT_EQ(second.got, "404 two.");
    EXPECT_EQ(session->open_streams(), 0u);
}

TEST_F(TunnelSession, AsksOnlyAsManyRequestsAtOnceAsTheAgentTakes) {
    activate(1);
    TestVisitor visitors[3];
    for (TestVisitor& visitor : visitors) ASSERT_TRUE(open(visitor, "/"));
    run_turns(loop, 5);
    EXPECT_EQ(agent->requests.size(), 1u);
    for (std::size_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(until([&] { return agent->requests.size() == i + 1; }));
        agent->answer(agent->requests[i].request_id, "ok");
    }
    EXPECT_TRUE(until([&] { return visitors[2].got == "200 ok."; }));
}

TEST_F(TunnelSession, AChallengeGoesBeforeRequestsThatWait) {
    activate(1);
    TestVisitor first, second;
    ASSERT_TRUE(open(first, "/1"));
    ASSERT_TRUE(open(second, "/2"));
    session->challenge(protocol::ChallengeReason::operator_request);
    ASSERT_TRUE(until([&] { return agent->heard.size() == 2; }));
    agent->answer(agent->requests[0].request_id, "ok");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 2; }));
    EXPECT_EQ(agent->heard, (Words{"request /1", "challenge operator", "request /2"}));
    agent->attest();
    EXPECT_TRUE(until([&] { return owner.has("renewed"); }));
}

TEST_F(TunnelSession, ABadAnswerFailsItsRequestAlone) {
    activate();
    TestVisitor bad, unreachable, good;
    ASSERT_TRUE(open(bad, "/bad"));
    ASSERT_TRUE(open(unreachable, "/unreachable"));
    ASSERT_TRUE(open(good, "/good"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 3; }));
    agent->answer(agent->requests[0].request_id, "", 99);
    agent->answer(agent->requests[1].request_id, "", 502, {}, protocol::backend_unreachable);
    agent->answer(agent->requests[2].request_id, "ok");
    ASSERT_TRUE(until([&] { return good.got == "200 ok."; }));
    EXPECT_EQ(bad.got, "bad_agent_answer");
    EXPECT_EQ(unreachable.got, "backend_unreachable");
    EXPECT_EQ(session->machine().state(), SessionState::active);
}

TEST_F(TunnelSession, DropsAnswersNobodyWaitsFor) {
    activate();
    TestVisitor visitor;
    const auto id = open(visitor, "/");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    session->cancel_stream(*id);
    session->cancel_stream(*id);
    agent->answer(agent->requests[0].request_id, "late");
    agent->answer("77", "never asked");
    ASSERT_TRUE(until([&] { return owner.events.size() == 2; }));
    EXPECT_EQ(owner.events, (Words{"dropped visitor_gone", "dropped unknown_request"}));
    EXPECT_EQ(visitor.got, "");
}

TEST_F(TunnelSession, FailsARequestThatIsNotAnsweredInTime) {
    activate(1);
    TestVisitor sent, waiting, later;
    ASSERT_TRUE(open(later, "/later", "", 30s));
    ASSERT_TRUE(open(waiting, "/waiting", "", 40ms));
    ASSERT_TRUE(until([&] { return !waiting.got.empty(); }));
    EXPECT_EQ(waiting.got, "proxy_timeout");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    agent->answer(agent->requests[0].request_id, "ok");
    ASSERT_TRUE(until([&] { return later.got == "200 ok."; }));
    ASSERT_TRUE(open(sent, "/sent", "", 40ms));
    ASSERT_TRUE(until([&] { return !sent.got.empty(); }));
    EXPECT_EQ(sent.got, "proxy_timeout");
    EXPECT_EQ(session->machine().state(), SessionState::active);
}

TEST_F(TunnelSession, ARequestTooLargeForAgentsIsRefused) {
    activate();
    TestVisitor visitor;
    EXPECT_EQ(open(visitor, "/", std::string(4 << 20, 'x')).error().code, "body_too_large");
    EXPECT_EQ(session->requests(), 0u);
}

TEST_F(TunnelSession, RequestsToAnAgentThatDoesNotReadWaitAndThenGoOn) {
    settings.output_bytes_max = 256 * 1024;
    activate();
    agent->stream.pause_reading();
    std::vector<TestVisitor> visitors(40);
    const std::string body(256 * 1024, 'b');
    for (TestVisitor& visitor : visitors) {
        ASSERT_TRUE(open(visitor, "/", body));
        run_turns(loop, 1);
    }
    run_turns(loop, 10);
    // 40 requests would be 14 MB; one more than the limit was written, and the kernel took some.
    EXPECT_LT(session->bytes_out(), 4u << 20);
    EXPECT_TRUE(agent->requests.empty());
    agent->stream.resume_reading();
    ASSERT_TRUE(until([&] { return agent->requests.size() == visitors.size(); }));
    for (const protocol::ProxyRequest& request : agent->requests) agent->answer(request.request_id, "ok");
    EXPECT_TRUE(until([&] { return visitors.back().got == "200 ok."; }));
}

TEST_F(TunnelSession, RequestsOfOneTurnBeyondTheOutputLimitFollowInTheNext) {
    settings.output_bytes_max = 1;  // One request a turn.
    activate();
    std::vector<TestVisitor> visitors(10);
    for (TestVisitor& visitor : visitors) ASSERT_TRUE(open(visitor, "/"));
    EXPECT_TRUE(until([&] { return agent->requests.size() == visitors.size(); }));
}

// ---- Signs of life ----

TEST_F(TunnelSession, PingsKeepAQuietTunnelAlive) {
    settings.keep_alive = {.ping_interval = 50ms, .silence_max = 2s, .probe_time = 1s};
    activate();
    net::run_for(loop, 2200ms);
    EXPECT_FALSE(gone);
    EXPECT_TRUE(owner.has("rtt"));
    EXPECT_TRUE(session->rtt());
}

TEST_F(TunnelSession, TheHttp2PrefaceFollowsTheAttestation) {
    connect(Wire::v2);
    agent->send(test_registration());
    ASSERT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    run_turns(loop, 5);
    EXPECT_EQ(agent->binary, "");
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
    EXPECT_TRUE(until([&] { return agent->binary.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); }));
    EXPECT_EQ(owner.events.back(), "activated");
}

TEST_F(TunnelSession, APongDoesNotOvertakeTheRequestsOpenedBeforeIt) {
    activate(64, Wire::v2);
    http::Side server({.role = http::Http2Settings::Role::server});
    agent->on_binary = [&](std::string_view bytes) {
        ASSERT_TRUE(server.session.receive(bytes));
        for (const auto& [id, heard] : server.streams)
            if (!heard.head.empty()) agent->heard.push_back(heard.head);
    };
    const StreamRequest first{.method = "GET", .target = "/first", .scheme = "https", .authority = "x"};
    const StreamRequest last{.method = "GET", .target = "/last", .scheme = "https", .authority = "x"};
    TestVisitor visitor, next;
    // In the turn in which the ping is read, behind it.
    visitor.ended = [&] { ASSERT_TRUE(session->open_stream(last, next, loop.now())); };
    ASSERT_TRUE(session->open_stream(first, visitor, loop.now()));
    ASSERT_TRUE(until([&] { return agent->has_heard("GET https x /first"); }));
    agent->heard.clear();
    server.streams.clear();
    http::StringSink answer;
    server.session.respond(1, {.status = 200}, "", true);
    server.session.pull(answer, 1 << 20);
    agent->frame(http::Opcode::ping, "mark");
    agent->frame(http::Opcode::binary, answer.text);
    ASSERT_TRUE(until([&] { return agent->has_heard("pong mark"); }));
    EXPECT_EQ(agent->heard, (Words{"GET https x /last", "pong mark"}));
}

TEST_F(TunnelSession, AnAgentThatSaysItLeavesGetsNoMoreRequestsAndItsPong) {
    for (const Wire wire : {Wire::v1, Wire::v2}) {
        gone = false;
        owner.events.clear();
        activate(64, wire);
        agent->on_binary = [](std::string_view) {};
        TestVisitor before;
        const StreamRequest request{
            .method = "GET", .target = "/", .fields = {}, .scheme = "https", .authority = "x"};
        ASSERT_TRUE(session->open_stream(request, before, loop.now()));
        agent->frame(http::Opcode::ping, leaving_mark);
        ASSERT_TRUE(until([&] { return agent->has_heard("pong leaving"); }));
        TestVisitor after;
        const bool leaves = wire == Wire::v2;  // On v1 an agent says that it is not well.
        EXPECT_EQ(owner.has("drain agent_stopping"), leaves);
        EXPECT_EQ(session->open_stream(request, after, loop.now()).has_value(), !leaves);
        EXPECT_EQ(session->open_streams(), leaves ? 1u : 2u);
        session->refuse({"rate_limited", ""}, std::nullopt);
        ASSERT_TRUE(closes());
    }
}

TEST_F(TunnelSession, APongDoesNotOvertakeRequestsThatLeaveInALaterTurn) {
    activate(64, Wire::v2);
    http::Side server({.role = http::Http2Settings::Role::server});
    std::size_t known = 0;
    agent->on_binary = [&](std::string_view bytes) {
        ASSERT_TRUE(server.session.receive(bytes));
        for (; known < server.streams.size(); ++known) agent->heard.emplace_back("request");
    };
    // Their heads are more than what is written at a time.
    const std::size_t count = 60;
    // Not shorter in HPACK's code, and too large for its table.
    const std::string filler(2 * frames_bytes_max / count, '"');
    const http::Field fields[] = {{"x-filler", filler}};
    const StreamRequest request{
        .method = "GET", .target = "/", .fields = fields, .scheme = "https", .authority = "x"};
    std::vector<TestVisitor> visitors(count + 1);
    visitors[0].ended = [&] {
        for (std::size_t i = 1; i <= count; ++i) {
            const std::string target = "/" + std::to_string(i);
            StreamRequest one = request;
            one.target = target;
            ASSERT_TRUE(session->open_stream(one, visitors[i], loop.now()));
        }
    };
    ASSERT_TRUE(session->open_stream(request, visitors[0], loop.now()));
    ASSERT_TRUE(until([&] { return known == 1; }));
    agent->heard.clear();
    http::StringSink answer;
    server.session.respond(1, {.status = 200}, "", true);
    server.session.pull(answer, 1 << 20);
    agent->frame(http::Opcode::ping, "mark");
    agent->frame(http::Opcode::binary, answer.text);
    ASSERT_TRUE(until([&] { return known == count + 1 && agent->has_heard("pong mark"); }));
    EXPECT_EQ(agent->heard.back(), "pong mark");
}

TEST_F(TunnelSession, ClosesATunnelThatHasBeenSilent) {
    settings.keep_alive = {.ping_interval = 20ms, .silence_max = 100ms, .probe_time = 1s};
    activate();
    agent->answers_pings = false;
    TestVisitor visitor;
    ASSERT_TRUE(open(visitor, "/"));
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard.back(), "close 1001 idle_timeout");
    EXPECT_TRUE(agent->has_heard("status invalid idle_timeout"));
    EXPECT_EQ(visitor.got, "tunnel_closed");
    EXPECT_TRUE(owner.has("closed idle_timeout"));
}

// As after a stop of the process, when timers are due before all has been read that came meanwhile.
TEST_F(TunnelSession, WhatLiesUnreadIsASignOfLife) {
    settings.keep_alive = {.ping_interval = 1h, .silence_max = 300ms, .probe_time = 1s};
    activate();
    loop.favor_foreground(1h);
    loop.charge_background(1s);  // It is not read for seconds.
    agent->frame(http::Opcode::ping, "here");
    net::run_for(loop, 1s);
    EXPECT_FALSE(agent->has_heard("pong here"));
    EXPECT_EQ(owner.events, Words{});
}

TEST_F(TunnelSession, WhatLiesUnreadOfAnAgentThatDoesNotReadIsNone) {
    settings.keep_alive = {.ping_interval = 1h, .silence_max = 300ms, .probe_time = 1s};
    settings.farewell_time = 50ms;
    activate();
    agent->stream.pause_reading();
    for (int i = 0; i < 40000; ++i) agent->frame(http::Opcode::ping, std::string(125, 'p'));
    ASSERT_TRUE(until([&] { return gone; }));
    EXPECT_TRUE(owner.has("closed idle_timeout"));
}

TEST_F(TunnelSession, AnythingItHearsIsASignOfLife) {
    settings.keep_alive = {.ping_interval = 1h, .silence_max = 2s, .probe_time = 1s};
    activate();
    net::Timer health(loop, [&] {
        agent->send(protocol::Health{.pass = true, .detail = {}, .checkpoint = {}});
        health.arm_after(50ms);
    });
    health.arm_after(50ms);
    net::run_for(loop, 2200ms);
    EXPECT_FALSE(gone);
    EXPECT_TRUE(owner.has("health pass"));
}

TEST_F(TunnelSession, AProbeIsAnsweredByAnySignOfLife) {
    activate();
    std::vector<bool> answers;
    session->probe([&](bool answered) { answers.push_back(answered); });
    session->probe([&](bool answered) { answers.push_back(answered); });
    EXPECT_TRUE(answers.empty());
    ASSERT_TRUE(until([&] { return answers.size() == 2; }));
    EXPECT_EQ(answers, (std::vector<bool>{true, true}));
    EXPECT_EQ(agent->heard, (Words{"ping"}));  // One question for both.
}

TEST_F(TunnelSession, AProbeOfASilentAgentFailsAndDoesNotCloseTheTunnel) {
    settings.keep_alive.probe_time = 40ms;
    activate();
    agent->answers_pings = false;
    std::optional<bool> answer;
    session->probe([&](bool answered) { answer = answered; });
    ASSERT_TRUE(until([&] { return answer.has_value(); }));
    EXPECT_FALSE(*answer);
    EXPECT_EQ(session->machine().state(), SessionState::active);
}

TEST_F(TunnelSession, AProbeOfATunnelThatClosesFails) {
    activate();
    agent->answers_pings = false;
    std::vector<bool> answers;
    session->probe([&](bool answered) { answers.push_back(answered); });
    session->refuse({"app_forgotten", ""}, std::nullopt);
    EXPECT_EQ(answers, (std::vector<bool>{false}));
    session->probe([&](bool answered) { answers.push_back(answered); });
    EXPECT_EQ(answers, (std::vector<bool>{false, false}));
}

// ---- Draining ----

TEST_F(TunnelSession, AnIdleTunnelIsDrainedAtOnce) {
    activate();
    session->drain("draining", 1000);
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard, (Words{"status draining draining", "close 1001 draining"}));
    EXPECT_EQ(owner.events, (Words{"drain draining", "closed draining"}));
}

TEST_F(TunnelSession, ADrainingTunnelFinishesItsRequestsAndTakesNoMore) {
    activate(1);
    TestVisitor sent, waiting, refused;
    ASSERT_TRUE(open(sent, "/sent"));
    ASSERT_TRUE(open(waiting, "/waiting"));
    session->drain("superseded", std::nullopt);
    session->drain("draining", std::nullopt);  // Once is enough.
    EXPECT_EQ(open(refused, "/refused").error().code, "tunnel_closed");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    agent->answer(agent->requests[0].request_id, "one");
    ASSERT_TRUE(until([&] { return agent->requests.size() == 2; }));
    agent->answer(agent->requests[1].request_id, "two");
    ASSERT_TRUE(closes());
    EXPECT_EQ(sent.got + waiting.got, "200 one.200 two.");
    EXPECT_EQ(agent->heard.back(), "close 1001 superseded");
    EXPECT_EQ(owner.events, (Words{"drain superseded", "closed superseded"}));
}

TEST_F(TunnelSession, ADrainingTunnelClosesWhenTheLastVisitorLeaves) {
    activate();
    TestVisitor visitor;
    const auto id = open(visitor, "/");
    session->drain("draining", std::nullopt);
    session->cancel_stream(*id);
    ASSERT_TRUE(closes());
    EXPECT_EQ(visitor.got, "");
}

TEST_F(TunnelSession, DrainingEndsAtItsDeadline) {
    settings.session.drain_timeout = 0s;
    activate();
    TestVisitor visitor;
    ASSERT_TRUE(open(visitor, "/"));
    session->drain("draining", std::nullopt);
    ASSERT_TRUE(closes());
    EXPECT_EQ(visitor.got, "tunnel_closed");
    EXPECT_EQ(agent->heard.back(), "close 1001 draining");
}

TEST_F(TunnelSession, ATunnelWithoutFurtherStreamIdsIsDrained) {
    settings.first_stream = 0x7fffffff;
    activate(64, Wire::v2);
    http::Side server({.role = http::Http2Settings::Role::server});
    agent->on_binary = [&](std::string_view bytes) { ASSERT_TRUE(server.session.receive(bytes)); };
    const StreamRequest request{.method = "GET", .target = "/", .scheme = "https", .authority = "x"};
    TestVisitor last, none;
    ASSERT_TRUE(session->open_stream(request, last, loop.now()));
    EXPECT_FALSE(session->takes_requests());
    EXPECT_EQ(session->open_stream(request, none, loop.now()).error().code, "tunnel_closed");
    ASSERT_TRUE(until([&] { return agent->has_heard("status draining draining"); }));
    ASSERT_TRUE(until([&] { return server.streams.contains(0x7fffffff); }));
    http::StringSink answer;
    server.session.respond(0x7fffffff, {.status = 200}, "last", true);
    server.session.pull(answer, 1 << 20);
    agent->frame(http::Opcode::binary, answer.text);
    ASSERT_TRUE(closes());
    EXPECT_EQ(last.got, "200 last.");
    EXPECT_EQ(agent->heard, (Words{"status draining draining", "close 1001 draining"}));
    EXPECT_EQ(owner.events, (Words{"drain draining", "closed draining"})) << "it is not the agent that stops";
}

// ---- Ends ----

TEST_F(TunnelSession, FailsItsRequestsWhenTheSocketDies) {
    activate();
    TestVisitor sent, cancelled;
    ASSERT_TRUE(open(sent, "/"));
    const auto id = open(cancelled, "/");
    session->cancel_stream(*id);
    // Out of routing first: who hears of the failure may send another request at once.
    bool was_closed = false;
    Result<StreamId> again = StreamId{0};
    TestVisitor second;
    sent.failed = [&] {
        was_closed = owner.has("closed tunnel_closed");
        again = open(second, "/again");
    };
    agent->stream.abort();
    ASSERT_TRUE(until([&] { return gone; }));
    EXPECT_EQ(sent.got, "tunnel_closed");
    EXPECT_TRUE(was_closed);
    EXPECT_EQ(again.error().code, "tunnel_closed");
    EXPECT_EQ(cancelled.got + second.got, "");
    EXPECT_EQ(owner.events, (Words{"closed tunnel_closed"}));
}

TEST_F(TunnelSession, AnAgentThatEndsItsSideServesNobodyHoweverMuchWaitsForIt) {
    activate();
    agent->stream.pause_reading();
    std::vector<TestVisitor> visitors(3);
    for (TestVisitor& visitor : visitors) ASSERT_TRUE(open(visitor, "/", std::string(1 << 20, 'x')));
    run_turns(loop, 5);
    ASSERT_EQ(owner.events, Words{});
    agent->stream.shut_after_flush();
    ASSERT_TRUE(until([&] { return !owner.events.empty(); }));
    EXPECT_EQ(owner.events, (Words{"closed tunnel_closed"}));
    for (const TestVisitor& visitor : visitors) EXPECT_EQ(visitor.got, "tunnel_closed");
    EXPECT_FALSE(gone) << "what waits may still be read";
    TestVisitor late;
    EXPECT_EQ(open(late, "/").error().code, "tunnel_closed");
    agent->stream.abort();
    EXPECT_TRUE(until([&] { return gone; }));
    EXPECT_EQ(owner.count("closed tunnel_closed"), 1u);
}

TEST_F(TunnelSession, AnswersTheAgentsClose) {
    activate();
    TestVisitor visitor;
    ASSERT_TRUE(open(visitor, "/"));
    ASSERT_TRUE(until([&] { return agent->requests.size() == 1; }));
    agent->frame(http::Opcode::close, "\x03\xe8 bye");
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard.back(), "close 1000 closed_by_agent");
    EXPECT_EQ(visitor.got, "tunnel_closed");
    EXPECT_EQ(owner.events, (Words{"closed closed_by_agent"}));
}

TEST_F(TunnelSession, ClosesWithACodeThatSaysWhatWasBroken) {
    struct Row {
        const char* what;
        std::string bytes;
        const char* close;
    };
    const Row rows[] = {
        {"unmasked", std::string("\x81\x02{}"), "close 1002 websocket_protocol_error"},
        {"reserved bit", std::string("\xf1\x80\0\0\0\0", 6), "close 1002 websocket_protocol_error"},
        {"reserved opcode", std::string("\x83\x80\0\0\0\0", 6), "close 1002 websocket_protocol_error"},
        {"no message", std::string("\x80\x80\0\0\0\0", 6), "close 1002 websocket_protocol_error"},
        {"fragmented ping", std::string("\x09\x80\0\0\0\0", 6), "close 1002 websocket_protocol_error"},
        {"no UTF-8", std::string("\x81\x81\0\0\0\0\xff", 7), "close 1007 invalid_utf8"},
    };
    for (const Row& row : rows) {
        gone = false;
        owner.events.clear();
        connect();
        agent->raw(row.bytes);
        ASSERT_TRUE(closes()) << row.what;
        EXPECT_EQ(agent->heard, (Words{row.close})) << row.what;
        EXPECT_EQ(owner.events.size(), 1u) << row.what;
    }
}

TEST_F(TunnelSession, RefusesATooLargeMessageByItsHeaderAlone) {
    connect();
    // Text, final, masked, 65,537 bytes; nothing of the payload.
    const std::string header("\x81\xff\0\0\0\0\0\x01\0\x01\0\0\0\0", 14);
    agent->raw(header);
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard, (Words{"status invalid message_too_large", "close 1009 message_too_large"}));

    gone = false;
    agent.reset();
    settings.session.body_bytes_max = 64 * 1024;
    activate();
    const std::string health =
        R"({"type":"health","status":"pass","detail":")" + std::string(65500, 'd') + "\"}";
    agent->say(health);  // Attested agents may say more.
    ASSERT_TRUE(until([&] { return owner.has("health pass"); }));
    http::append_frame_header(agent->stream.output(), http::Opcode::text,
                              protocol::answer_text_bytes_max(64 * 1024) + 1, http::MaskKey{});
    agent->stream.flush_later();
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard.back(), "close 1009 message_too_large");
}

TEST_F(TunnelSession, AMessageThatDoesNotEndEndsTheTunnel) {
    settings.message_time = 400ms;
    activate();
    // One after the other, none of them whole at any moment, and each in time.
    const std::string health = R"({"type":"health","status":"pass"})";
    bool later = false;
    net::Timer late(loop, [&] { later = true; });
    late.arm_after(1s);
    agent->frame(http::Opcode::text, health.substr(0, 30), false);
    for (std::size_t passed = 0; !later; ++passed) {
        agent->frame(http::Opcode::continuation, health.substr(30));
        agent->frame(http::Opcode::text, health.substr(0, 30), false);
        ASSERT_TRUE(until([&] { return owner.count("health pass") > passed; }));
    }
    EXPECT_EQ(agent->closed, "");
    bool again = false;
    net::Timer pings(loop, [&] { again = true; });
    for (int i = 0; !gone && i < 1000; ++i) {
        again = false;
        agent->frame(http::Opcode::ping, "still here");
        pings.arm_after(10ms);
        ASSERT_TRUE(until([&] { return again || gone; }));
    }
    EXPECT_EQ(agent->heard.back(), "close 1001 idle_timeout");
    EXPECT_TRUE(owner.has("refused idle_timeout"));
}

TEST_F(TunnelSession, ALargeMessageHasTheTimeThatASlowWayTakes) {
    settings.message_time = 400ms;
    activate();
    const std::string piece(8000, 'd');
    agent->frame(http::Opcode::text, R"({"type":"health","status":"pass","detail":")", false);
    bool later = false;
    net::Timer pause(loop, [&] { later = true; });
    // 80 KB/s, for twice as long as a message has that does not go on.
    for (int i = 0; i < 8; ++i) {
        later = false;
        pause.arm_after(100ms);
        ASSERT_TRUE(until([&] { return later || gone; }));
        ASSERT_FALSE(gone) << i;
        agent->frame(http::Opcode::continuation, piece, false);
    }
    agent->frame(http::Opcode::continuation, "\"}");
    EXPECT_TRUE(until([&] { return owner.has("health pass") || gone; }));
    EXPECT_EQ(agent->closed, "");
}

TEST_F(TunnelSession, RefusesBinaryMessages) {
    activate();
    for (int i = 1; i < 10; ++i) {
        agent->frame(http::Opcode::binary, "bytes");
        ASSERT_TRUE(until([&] { return owner.events.size() == static_cast<std::size_t>(i); }));
    }
    EXPECT_EQ(owner.events, Words(9, "tolerated unknown_message"));
    agent->frame(http::Opcode::binary, "bytes");
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard.back(), "close 1008 unknown_message");
}

// Faster than anything leaves: nobody else is kept from asking by it.
TEST_F(TunnelSession, TakesRequestsHoweverManyWereGivenUpInTheSameTurn) {
    activate(64, Wire::v2);
    agent->on_binary = [](std::string_view) {};
    const StreamRequest request{
        .method = "GET", .target = "/", .fields = {}, .scheme = "https", .authority = "x"};
    for (int i = 0; i < 1000; ++i) {
        TestVisitor visitor;
        const auto opened = session->open_stream(request, visitor, loop.now());
        ASSERT_TRUE(opened) << i << " " << opened.error().detail;
        session->cancel_stream(*opened);
    }
    EXPECT_EQ(session->open_streams(), 0u);
}

TEST_F(TunnelSession, GathersNoLargeBinaryMessage) {
    activate();
    http::append_frame_header(agent->stream.output(), http::Opcode::binary, 65537, http::MaskKey{});
    agent->stream.flush_later();
    ASSERT_TRUE(closes());
    EXPECT_EQ(agent->heard.back(), "close 1009 message_too_large");
}

TEST_F(TunnelSession, ClosesOnHttp2ThatIsNoneOrAFlood) {
    const std::string begin("\0\0\0\4\0\0\0\0\0", 9), ping("\0\0\10\6\0\0\0\0\0pingping", 17);
    std::string pings;
    for (int i = 0; i < 600; ++i) pings += ping;
    for (const Words& messages : {Words{"HTTP/1.1 400 Bad Request\r\n\r\n"}, Words{begin, pings, pings}}) {
        gone = false;
        activate(64, Wire::v2);
        agent->on_binary = [](std::string_view) {};
        for (const std::string& bytes : messages) agent->frame(http::Opcode::binary, bytes);
        ASSERT_TRUE(closes()) << messages.size();
        EXPECT_EQ(agent->heard.back(), "close 1002 http2_protocol_error");
    }
}

TEST_F(TunnelSession, StopsListeningToAnAgentThatDoesNotRead) {
    connect();
    agent->stream.pause_reading();
    const std::string payload(125, 'p');
    for (int i = 0; i < 100000; ++i) agent->frame(http::Opcode::ping, payload);  // 13 MB of pings.
    run_turns(loop, 300);
    EXPECT_GT(agent->stream.pending_output(), 8u << 20);
    EXPECT_LT(session->bytes_in(), 4u << 20);
    agent->stream.resume_reading();
    EXPECT_TRUE(until([&] { return agent->heard.size() == 100000; }));
}

TEST_F(TunnelSession, AStrangerWhoSpeaksOutOfOrderIsHeardTenTimesASecond) {
    connect();
    const protocol::Health health{.pass = true, .detail = {}, .checkpoint = {}};
    for (int i = 0; i < 30; ++i) agent->send(health);
    ASSERT_TRUE(until([&] { return owner.count("tolerated not_registered") == 30; }));
    agent->send(test_registration());
    net::run_for(loop, 1s);
    EXPECT_FALSE(owner.has("check claim"));
    EXPECT_TRUE(until([&] { return agent->has_heard("challenge register"); }));
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->has_heard("status ok attested"); }));
    for (int i = 0; i < 300; ++i) agent->attest();  // Who serves is known.
    agent->frame(http::Opcode::ping, "here");
    EXPECT_TRUE(run_until(loop, [&] { return agent->has_heard("pong here"); }, 2s));
    EXPECT_EQ(owner.count("tolerated unexpected_attestation"), 300u);
}

TEST_F(TunnelSession, AFewMessagesOutOfOrderDelayNobody) {
    connect();
    for (int i = 0; i < 10; ++i) agent->send(protocol::Health{.pass = true, .detail = {}, .checkpoint = {}});
    agent->send(test_registration());
    EXPECT_TRUE(run_until(loop, [&] { return agent->has_heard("challenge register"); }, 500ms));
}

TEST_F(TunnelSession, DoesNotWaitForeverForAnAgentThatDoesNotReadItsFarewell) {
    settings.farewell_time = 50ms;
    settings.output_bytes_max = 1 << 20;
    activate();
    agent->stream.pause_reading();
    std::vector<TestVisitor> visitors(8);
    for (TestVisitor& visitor : visitors) ASSERT_TRUE(open(visitor, "/", std::string(1 << 20, 'x')));
    run_turns(loop, 5);
    session->refuse({"app_forgotten", ""}, std::nullopt);
    for (const TestVisitor& visitor : visitors) EXPECT_EQ(visitor.got, "tunnel_closed");
    EXPECT_TRUE(until([&] { return gone; }));
}

}  // namespace
}  // namespace ee::tunnel

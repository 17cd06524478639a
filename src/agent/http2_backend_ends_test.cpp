// Requests over HTTP/2 that end before their answer, and what is sent again.

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "agent/http2_test_server.h"
#include "http/test_server.h"

namespace ee::agent {
namespace {

using namespace std::chrono_literals;
using http::Field;
using http::OwnedField;
using net::run_turns;
using testing::ElementsAre;
using testing::HasSubstr;

class Http2BackendEnds : public testing::Test, protected Http2BackendFixture {
protected:
    // The backend stops as gracefully as HTTP/2 lets it: what is behind `last` was not looked at.
    void goaway(std::size_t peer, http::Http2StreamId last, std::uint32_t code = 0) {
        std::string frame("\0\0\x08\x07\0\0\0\0\0", 9);
        for (const auto number : {static_cast<std::uint32_t>(last), code})
            for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(number >> shift));
        server.peers[peer]->stream.write(frame);
    }
    void reset(http::Http2StreamId id, std::uint32_t code) {
        server.peers[0]->session.reset(id, code);
        server.peers[0]->stream.flush_later();
    }
};

// ---- Cancelled, reset ----

TEST_F(Http2BackendEnds, CancellingEndsTheStreamAloneAndCallsNobody) {
    Http2Asker cancelled, other, waiting;
    ask(cancelled, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(hears(0, 1));
    ask(other);
    ASSERT_TRUE(hears(0, 3));
    server.peers[0]->answer(1, 200, "half", false);
    ASSERT_TRUE(until([&] { return cancelled.body == "half"; }));
    cancelled.exchange->cancel();
    EXPECT_TRUE(until([&] { return server.request(0, 1).reset == http::http2_code::cancel; }));
    server.peers[0]->answer(3, 200, "whole");
    EXPECT_TRUE(ends(other, "end"));
    EXPECT_EQ(other.body, "whole");
    EXPECT_EQ(cancelled.ended, "");
    EXPECT_EQ(backend->requests_open(), 0u);
    EXPECT_EQ(server.peers.size(), 1u);
}

TEST_F(Http2BackendEnds, AStreamThatTheBackendResetsIsABrokenAnswerAndCostsNoOther) {
    Http2Asker early, late, other;
    ask(early);
    ask(late);
    ask(other);
    ASSERT_TRUE(hears(0, 5));
    server.peers[0]->answer(3, 200, "half", false);
    ASSERT_TRUE(until([&] { return late.body == "half"; }));
    reset(1, http::http2_code::internal_error);
    reset(3, http::http2_code::cancel);
    EXPECT_TRUE(ends(early, "bad_backend_answer"));
    EXPECT_THAT(early.why, HasSubstr("HTTP/2 error 2"));
    EXPECT_TRUE(ends(late, "bad_backend_answer"));
    server.peers[0]->answer(5, 200, "");
    EXPECT_TRUE(ends(other, "end"));
}

TEST_F(Http2BackendEnds, AnAnswerThatIsNotAsLongAsItSaysIsBroken) {
    Http2Asker asker;
    ask(asker);
    ASSERT_TRUE(hears(0, 1));
    const Field length{"content-length", "3"};
    server.peers[0]->answer(1, 200, "ab", true, {&length, 1});
    EXPECT_TRUE(ends(asker, "bad_backend_answer"));
}

TEST_F(Http2BackendEnds, AnAnswerWhoseStatusIsNoneIsBroken) {
    Http2Asker asker;
    ask(asker);
    ASSERT_TRUE(hears(0, 1));
    server.peers[0]->answer(1, 600, "");
    EXPECT_TRUE(ends(asker, "bad_backend_answer"));
    EXPECT_EQ(asker.status, 0);
}

// ---- Refused, and sent again ----

TEST_F(Http2BackendEnds, WhatAGoawayRefusesIsSentAgainOnANewConnectionWithItsBodyAndTrailers) {
    Http2Asker served, refused;
    ask(served);
    ask(refused, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(refused.exchange->send_body("begin "));
    ASSERT_TRUE(until([&] { return server.has(0, 3) && refused.written == 6; }));
    goaway(0, 1);
    ASSERT_TRUE(hears(1, 1));
    ASSERT_TRUE(refused.exchange->send_body("end"));
    const Field sum{"x-sum", "1"};
    ASSERT_TRUE(refused.exchange->end_body({&sum, 1}));
    ASSERT_TRUE(hears_all(1, 1));
    EXPECT_EQ(server.request(1, 1).body, "begin end");
    EXPECT_THAT(server.request(1, 1).trailers, ElementsAre(OwnedField{"x-sum", "1"}));
    EXPECT_EQ(refused.written, 9u);  // Nothing twice.
    server.peers[1]->answer(1, 200, "again");
    EXPECT_TRUE(ends(refused, "end"));
    // The other one ends where it began, and its connection with it.
    server.peers[0]->answer(1, 200, "first");
    EXPECT_TRUE(ends(served, "end"));
    EXPECT_EQ(served.body, "first");
    EXPECT_TRUE(until([&] { return server.peers[0]->is_closed; }));
    EXPECT_EQ(backend->connections(), 1u);
}

TEST_F(Http2BackendEnds, ARefusedRequestThatWasCompleteIsSentAgainWhole) {
    Http2Asker asker;
    ask(asker, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(asker.exchange->send_body("all"));
    const Field sum{"x-sum", "1"};
    ASSERT_TRUE(asker.exchange->end_body({&sum, 1}));
    ASSERT_TRUE(hears_all(0, 1));
    goaway(0, 0);
    ASSERT_TRUE(hears_all(1, 1));
    EXPECT_EQ(server.request(1, 1).body, "all");
    EXPECT_THAT(server.request(1, 1).trailers, ElementsAre(OwnedField{"x-sum", "1"}));
}

TEST_F(Http2BackendEnds, ARefusedRequestWhoseBodyIsNotKeptFails) {
    Http2Asker asker;
    ask(asker, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    ASSERT_TRUE(hears(0, 1));
    ASSERT_TRUE(asker.exchange->send_body(std::string(64 * 1024 + 1, 'x')));
    ASSERT_TRUE(until([&] { return asker.written == 64 * 1024 + 1; }));
    goaway(0, 0);
    EXPECT_TRUE(ends(asker, "backend_unreachable"));
    EXPECT_EQ(server.peers.size(), 1u);
}

TEST_F(Http2BackendEnds, ABackendThatRefusesEachTimeIsAskedThreeTimes) {
    Http2Asker asker;
    ask(asker);
    for (const http::Http2StreamId id : {1, 3, 5}) {
        ASSERT_TRUE(hears(0, id));
        EXPECT_EQ(asker.ended, "");
        reset(id, http::http2_code::refused_stream);
    }
    EXPECT_TRUE(ends(asker, "backend_unreachable"));
    run_turns(loop, 5);
    EXPECT_EQ(server.peers[0]->requests.size(), 3u);
}

TEST_F(Http2BackendEnds, TakesAGoawayForWhatIsToComeAsWell) {
    ASSERT_TRUE(warm_up());
    goaway(0, 1);
    ASSERT_TRUE(until([&] { return server.peers[0]->is_closed; }));
    Http2Asker asker;
    ask(asker);
    EXPECT_TRUE(hears(1, 1));
}

// ---- The connection ends ----

TEST_F(Http2BackendEnds, AConnectionThatEndsCostsTheRequestsOnItAndNoneTwice) {
    struct Row {
        const char* what;
        BackendRequest request;
        bool again;
    };
    const Row rows[] = {
        {"GET", {.method = "GET", .path = "/", .fields = {}}, true},
        {"PUT with its body", {.method = "PUT", .path = "/", .fields = {}, .body = "b"}, true},
        {"POST", {.method = "POST", .path = "/", .fields = {}}, false},
        {"a body that follows", {.method = "PUT", .path = "/", .fields = {}, .body_follows = true}, false},
    };
    for (const Row& row : rows) {
        restart();
        const std::size_t first = server.peers.size();
        ASSERT_TRUE(warm_up());
        Http2Asker asker;
        ask(asker, row.request);
        ASSERT_TRUE(hears(first, 3)) << row.what;
        server.peers[first]->stream.abort();
        if (!row.again) {
            EXPECT_TRUE(ends(asker, "backend_unreachable")) << row.what;
            EXPECT_EQ(server.peers.size(), first + 1);
            continue;
        }
        ASSERT_TRUE(hears_all(first + 1, 1)) << row.what;
        EXPECT_EQ(server.request(first + 1, 1).body, row.request.body);
        server.peers[first + 1]->stream.abort();  // Once is enough.
        EXPECT_TRUE(ends(asker, "backend_unreachable")) << row.what;
        EXPECT_EQ(server.peers.size(), first + 2);
    }
}

TEST_F(Http2BackendEnds, AnAnswerThatBeganBreaksWithItsConnection) {
    ASSERT_TRUE(warm_up());
    Http2Asker begun, interim;
    ask(begun);
    ask(interim);
    ASSERT_TRUE(hears(0, 5));
    server.peers[0]->answer(3, 200, "half", false);
    server.peers[0]->session.interim(5, 103, {});
    ASSERT_TRUE(until([&] { return begun.body == "half" && !interim.interim.empty(); }));
    server.peers[0]->stream.abort();
    EXPECT_TRUE(ends(begun, "bad_backend_answer"));
    EXPECT_TRUE(ends(interim, "bad_backend_answer"));
    EXPECT_EQ(backend->requests_open(), 0u);
    EXPECT_EQ(backend->connections(), 0u);
}

TEST_F(Http2BackendEnds, ABackendThatBreaksTheProtocolIsSaidTo) {
    const std::string data_on_no_stream("\0\0\1\0\0\0\0\0\0x", 10);  // RFC 9113 section 6.1
    const std::string ping("\0\0\10\6\0\0\0\0\0pingping", 17);
    std::string flood;
    for (int i = 0; i < 2000; ++i) flood += ping;
    for (const std::string& said : {data_on_no_stream, flood}) {
        restart();
        const std::size_t peer = server.peers.size();
        ASSERT_TRUE(warm_up());
        Http2Asker asker;
        ask(asker, {.method = "POST", .path = "/", .fields = {}});
        ASSERT_TRUE(hears(peer, 3));
        server.peers[peer]->stream.output().append(said);
        server.peers[peer]->stream.flush_later();
        EXPECT_TRUE(ends(asker, "backend_unreachable")) << said.size();
        EXPECT_EQ(asker.why, "the backend broke the HTTP/2 protocol");
        EXPECT_EQ(backend->connections(), 0u);
    }
}

TEST_F(Http2BackendEnds, ABackendThatRestartsCostsNoRequestThatWasNotUnderWay) {
    ASSERT_TRUE(warm_up());
    server.peers[0]->stream.abort();
    run_turns(loop, 10);
    std::vector<Http2Asker> after(8);
    for (Http2Asker& asker : after) ask(asker, {.method = "POST", .path = "/", .fields = {}});
    ASSERT_TRUE(hears(1, 15));
    for (const auto& [id, request] : server.peers[1]->requests) server.peers[1]->answer(id, 200, "");
    for (Http2Asker& asker : after) EXPECT_TRUE(ends(asker, "end"));
    EXPECT_EQ(server.peers.size(), 2u);
}

// The kernel knows of its end; the loop has not been told yet.
TEST_F(Http2BackendEnds, AConnectionThatHasJustEndedIsAskedForNothing) {
    settings.connections_max = 1;
    restart();
    ASSERT_TRUE(warm_up());
    server.peers[0]->stream.abort();
    Http2Asker asker;
    ask(asker, {.method = "POST", .path = "/", .fields = {}});
    ASSERT_TRUE(hears(1, 1));
    server.peers[1]->answer(1, 200, "");
    EXPECT_TRUE(ends(asker, "end"));
}

// Nor is one that has said something meanwhile, until that is read.
TEST_F(Http2BackendEnds, AConnectionWithSomethingUnreadServesOnceItIsRead) {
    ASSERT_TRUE(warm_up());
    server.peers[0]->stream.write(std::string("\0\0\x08\x06\0\0\0\0\0ping it!", 17));
    run_turns(loop, 0);  // It is sent, and not read.
    Http2Asker asker;
    ask(asker);
    EXPECT_EQ(backend->connections(), 2u);
    ASSERT_TRUE(hears(0, 3));
    server.peers[0]->answer(3, 200, "");
    EXPECT_TRUE(ends(asker, "end"));
}

// ---- No connection ----

TEST_F(Http2BackendEnds, SaysThatNobodyListens) {
    server.listener->close();
    std::vector<Http2Asker> askers(3);
    for (Http2Asker& asker : askers)
        ask(asker, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});
    for (Http2Asker& asker : askers) {
        ASSERT_TRUE(ends(asker, "backend_unreachable"));
        EXPECT_THAT(asker.why, HasSubstr("refused"));
    }
    EXPECT_EQ(backend->requests_open(), 0u);
    EXPECT_EQ(backend->connections(), 0u);
}

TEST_F(Http2BackendEnds, AsksNothingOfAServerThatDoesNotSpeakHttp2) {
    http::TestServer other(loop);
    settings.connect_time = 100ms;
    settings.url = server.url();
    settings.url.port = other.listener->port();
    backend.emplace(loop, resolver, settings);
    for (const bool answers : {true, false}) {
        const std::size_t peer = other.peers.size();
        Http2Asker asker;
        ask(asker, {.method = "POST", .path = "/secret", .fields = {}, .body = "secret"});
        ASSERT_TRUE(until([&] { return other.peers.size() > peer && !other.peers[peer]->received.empty(); }));
        if (answers) other.peers[peer]->say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        EXPECT_TRUE(ends(asker, answers ? "backend_unreachable" : "backend_timeout"));
        EXPECT_THAT(asker.why, HasSubstr(answers ? "does not speak HTTP/2" : "did not speak HTTP/2 in time"));
        EXPECT_EQ(other.peers[peer]->received.find("secret"), std::string::npos);
        EXPECT_TRUE(until([&] { return !other.peers[peer]->closed.empty(); }));
    }
}

TEST_F(Http2BackendEnds, ABackendThatTakesNoStreamAtAllIsNotReached) {
    server.settings.streams_max = 0;
    settings.connections_max = 2;
    settings.unused_time = 50ms;
    restart();
    Http2Asker asker;
    ask(asker);
    EXPECT_TRUE(ends(asker, "backend_unreachable"));
    EXPECT_LE(server.peers.size(), 4u);
}

// ---- Time ----

TEST_F(Http2BackendEnds, ABackendThatOwesAndDoesNothingIsGivenUpAndAskedOnANewConnection) {
    settings.idle_time = 60ms;
    restart();
    Http2Asker silent, pausing, next;
    ask(silent);
    ask(pausing, {.method = "POST", .path = "/", .fields = {}, .body_follows = true});  // Owes us nothing.
    ASSERT_TRUE(hears(0, 3));
    run_turns(loop, 3);
    const auto asked = loop.now();
    Http2Asker later;
    ask(later);
    EXPECT_TRUE(ends(silent, "backend_timeout"));
    EXPECT_TRUE(ends(later, "backend_timeout"));
    EXPECT_GE(loop.now() - asked, 60ms);
    EXPECT_TRUE(until([&] { return server.request(0, 5).reset == http::http2_code::cancel; }));
    EXPECT_EQ(pausing.ended, "");
    ask(next);
    EXPECT_TRUE(hears(1, 1));
    server.peers[0]->answer(3, 200, "");
    EXPECT_TRUE(ends(pausing, "end"));
}

TEST_F(Http2BackendEnds, AWholeAnswerHasItsTime) {
    settings.timeout = 50ms;
    restart();
    std::string error;
    protocol::ProxyRequest request;
    request.method = "GET";
    request.path = "/";
    backend->send(request, [&](const http::AnswerView*, const Error& why) { error = why.code; });
    ASSERT_TRUE(hears(0, 1));
    server.peers[0]->answer(1, 200, "half", false);
    ASSERT_TRUE(until([&] { return !error.empty(); }));
    EXPECT_EQ(error, "backend_timeout");
}

TEST_F(Http2BackendEnds, MayGoWhileRequestsAreOpen) {
    server.settings.streams_max = 1;
    settings.connections_max = 1;
    restart();
    const Field bad{"x", "\n"};
    Http2Asker open, waiting, unwritable;
    ask(open);
    ask(waiting);
    ASSERT_TRUE(hears(0, 1));
    ask(unwritable, {.method = "GET", .path = "/", .fields = {&bad, 1}});
    backend.reset();
    loop.collect();
    EXPECT_TRUE(until([&] { return server.peers[0]->is_closed; }));
    for (const Http2Asker* asker : {&open, &waiting, &unwritable}) EXPECT_EQ(asker->ended, "");
}

}  // namespace
}  // namespace ee::agent

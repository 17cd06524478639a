// Requests with bodies to a backend that gives a connection's window back only as its handlers read: the
// window is the one every connection begins with.

#include <gtest/gtest.h>

#include "agent/http2_test_server.h"
#include "base/big_endian.h"
#include "http/test_server.h"

namespace ee::agent {
namespace {

using net::run_turns;

constexpr std::size_t window = 65535;
const BackendRequest upload{.method = "POST", .path = "/", .fields = {}, .body_follows = true};

class Http2BackendWindow : public testing::Test {
protected:
    Http2BackendWindow() { restart(); }
    ~Http2BackendWindow() override {
        backend.reset();
        loop.collect();
    }
    void restart() {
        settings.url = server.url();
        settings.url.scheme = "h2c";
        backend.emplace(loop, resolver, settings);
    }
    void ask(Http2Asker& asker, const BackendRequest& request) {
        asker.exchange = &backend->open(request, asker);
    }
    bool until(const std::function<bool()>& done) { return net::run_until(loop, done); }
    bool accept(std::size_t peer) {
        if (!until([&] { return server.peers.size() > peer; })) return false;
        server.peers[peer]->say(std::string("\0\0\0\x4\0\0\0\0\0", 9));  // SETTINGS
        return true;
    }
    void give_back(std::size_t peer, std::uint32_t bytes) {
        std::string frame("\0\0\x4\x8\0\0\0\0\0", 9);  // WINDOW_UPDATE
        append_big_endian<4>(frame, bytes);
        server.peers[peer]->say(frame);
    }
    // One whose handler reads nothing, and which has all of the first connection's window.
    void stall(Http2Asker& stalled) {
        ask(stalled, upload);
        ASSERT_TRUE(accept(0));
        ASSERT_TRUE(stalled.exchange->send_body(std::string(4 * window, 'x')));
        ASSERT_TRUE(until([&] { return stalled.written == window; }));
        run_turns(loop, 20);
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    http::TestServer server{loop};
    BackendSettings settings;
    std::optional<Http2Backend> backend;
};

TEST_F(Http2BackendWindow, ABodyIsBegunOnAnotherConnectionWhereOneThatIsNotReadHasTheWindow) {
    Http2Asker stalled, whole, streamed;
    stall(stalled);
    ask(streamed, upload);
    ASSERT_TRUE(streamed.exchange->send_body("message"));
    ASSERT_TRUE(accept(1));
    EXPECT_TRUE(until([&] { return streamed.written == 7; }));
    ASSERT_TRUE(streamed.exchange->end_body({}));
    ask(whole, {.method = "POST", .path = "/", .fields = {}, .body = "whole"});
    EXPECT_TRUE(until([&] { return server.peers[1]->received.ends_with("whole"); }));
    EXPECT_EQ(stalled.written, window);
    EXPECT_EQ(server.peers.size(), 2u);
}

// Whatever the second one comes to take: what the first one says later must not wait for it.
TEST_F(Http2BackendWindow, EachBodyThatIsBeingSentHasAConnectionOfItsOwn) {
    Http2Asker quiet, greedy;
    ask(quiet, upload);
    ASSERT_TRUE(accept(0));
    ASSERT_TRUE(quiet.exchange->send_body("hello"));
    ask(greedy, upload);
    ASSERT_TRUE(accept(1));
    ASSERT_TRUE(greedy.exchange->send_body(std::string(4 * window, 'x')));
    ASSERT_TRUE(until([&] { return greedy.written == window; }));
    ASSERT_TRUE(quiet.exchange->send_body("again"));
    EXPECT_TRUE(until([&] { return quiet.written == 10; }));
    // One that has ended, or was given up, leaves its connection to the next.
    quiet.exchange->cancel();
    Http2Asker next;
    ask(next, upload);
    ASSERT_TRUE(next.exchange->send_body("message"));
    EXPECT_TRUE(until([&] { return next.written == 7; }));
    EXPECT_EQ(server.peers.size(), 2u);
}

TEST_F(Http2BackendWindow, OneThatHasNearlyAllOfItIsEnough) {
    Http2Asker nearly, next;
    ask(nearly,
        {.method = "POST", .path = "/", .fields = {}, .body_follows = true, .content_length = 60'000});
    ASSERT_TRUE(accept(0));
    ASSERT_TRUE(nearly.exchange->send_body(std::string(60'000, 'x')));
    ASSERT_TRUE(nearly.exchange->end_body({}));
    ASSERT_TRUE(until([&] { return nearly.written == 60'000; }));
    ask(next, upload);
    ASSERT_TRUE(next.exchange->send_body(std::string(30'000, 'y')));
    ASSERT_TRUE(accept(1));
    EXPECT_TRUE(until([&] { return next.written == 30'000; }));
}

TEST_F(Http2BackendWindow, WhatWasGivenInTheSameTurnCountsAsTaken) {
    Http2Asker first, second;
    ask(first, upload);
    ASSERT_TRUE(accept(0));
    ASSERT_TRUE(first.exchange->send_body("x"));
    ASSERT_TRUE(until([&] { return first.written == 1; }));
    ASSERT_TRUE(first.exchange->send_body(std::string(2 * window, 'x')));
    ask(second, upload);
    ASSERT_TRUE(second.exchange->send_body("message"));
    ASSERT_TRUE(accept(1));
    EXPECT_TRUE(until([&] { return second.written == 7; }));
}

TEST_F(Http2BackendWindow, WhatHasNoBodySharesTheConnectionAllTheSame) {
    Http2Asker stalled, get;
    stall(stalled);
    const std::size_t before = server.peers[0]->received.size();
    ask(get, {.method = "GET", .path = "/", .fields = {}});
    EXPECT_TRUE(until([&] { return server.peers[0]->received.size() > before; }));
    EXPECT_EQ(server.peers.size(), 1u);
}

TEST_F(Http2BackendWindow, WhereNoMoreConnectionsMayBeOpenedItWaitsForTheWindowAndHoldsUpNobody) {
    settings.connections_max = settings.waiting_max = 1;
    restart();
    Http2Asker stalled, next, get, refused;
    stall(stalled);
    const std::size_t before = server.peers[0]->received.size();
    ask(next, upload);
    ASSERT_TRUE(next.exchange->send_body("message"));
    run_turns(loop, 20);
    EXPECT_EQ(server.peers[0]->received.size(), before);
    ask(get, {.method = "GET", .path = "/", .fields = {}});
    EXPECT_TRUE(until([&] { return server.peers[0]->received.size() > before; }));
    EXPECT_EQ(next.written, 0u);
    ask(refused, upload);
    EXPECT_TRUE(until([&] { return refused.ended == "backend_unreachable"; }));
    give_back(0, 100);  // Where there is no other, a little has to do.
    EXPECT_TRUE(until([&] { return next.written == 7; }));
    EXPECT_EQ(server.peers.size(), 1u);
}

TEST_F(Http2BackendWindow, AConnectionThatCannotBeMadeIsTriedAgainForABodyThatWaits) {
    Http2Asker stalled, next;
    stall(stalled);
    ask(next, upload);
    ASSERT_TRUE(next.exchange->send_body("message"));
    ASSERT_TRUE(until([&] { return server.peers.size() == 2; }));
    server.peers[1]->stream.abort();  // Before its SETTINGS.
    ASSERT_TRUE(accept(2));
    EXPECT_TRUE(until([&] { return next.written == 7; }));
}

}  // namespace
}  // namespace ee::agent

// Readers of events, over real sockets.

#include "api/event_streams.h"

#include <gtest/gtest.h>

#include "http/server.h"
#include "http/test_http2.h"
#include "net/test_peer.h"

namespace ee::api {
namespace {

using namespace std::chrono_literals;
using net::run_until;

struct NoStore final : events::Store {
    void keep(events::SharedEvent, std::uint64_t) override {}
};

// A visitor that speaks HTTP/2, and reads no more of a stream than its window.
struct Visitor final : net::Stream::Handler {
    Visitor(net::Loop& loop, net::Fd socket, std::uint32_t window_bytes)
        : side({.role = http::Http2Settings::Role::client, .window_bytes = window_bytes}),
          stream(loop, std::move(socket), *this) {
        stream.start();
        stream.flush_later();
    }
    void on_data(std::span<char> data) override {
        EXPECT_TRUE(side.session.receive({data.data(), data.size()}));
        stream.flush_later();
    }
    void on_flush() override {
        http::StringSink sink;
        side.session.pull(sink, 1 << 20);
        stream.output().append(sink.text);
    }
    void on_closed(const Error&) override {}
    http::Http2StreamId get(std::string_view path) {
        const auto id =
            side.session.open({.method = "GET", .scheme = "http", .authority = "x", .path = path}, {}, true);
        stream.flush_later();
        return id.value();
    }
    const std::string& body(http::Http2StreamId id) { return side.streams[id].body; }

    http::Side side;
    net::Stream stream;
};

class EventStreamsTest : public testing::Test, public http::RequestHandler {
protected:
    EventStreamsTest() {
        limits.heartbeat = 1h;
        server_limits.http2 = true;
        server_limits.memory = &memory;
    }
    void TearDown() override {
        server.reset();
        loop.collect();
    }
    void start() {
        streams.emplace(loop, log, metrics, limits);
        server.emplace(loop, *this, server_limits);
        ASSERT_TRUE(server->listen("127.0.0.1", 0, nullptr));
    }

    // The path is the position.
    http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
    void on_request(http::Exchange& exchange) override {
        const http::Field type{"Content-Type", "text/event-stream"};
        const std::uint64_t position = std::stoull(std::string(exchange.head().origin_form.substr(1)));
        EXPECT_TRUE(streams->open(exchange, {&type, 1}, position, {}));
    }
    std::string on_refused(const http::Refusal&) override { return "id"; }

    void happen(int count, std::size_t detail_bytes = 1) {
        std::uint64_t last = 0;
        for (int i = 0; i < count; ++i)
            last = log.add({.kind = "attested", .detail = std::string(detail_bytes, 'x')});
        log.written(last, last + 1000, true);
    }
    static std::size_t count_of(const std::string& text, std::string_view part) {
        std::size_t count = 0;
        for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
        return count;
    }
    std::unique_ptr<net::Peer> visit(std::string_view path) {
        auto peer = std::make_unique<net::Peer>(loop, net::connect_to(server->port()));
        peer->say("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_TRUE(run_until(loop, [&] { return count_of(peer->received, "id: ") > 0; }));
        return peer;
    }
    std::uint64_t cut() { return metrics.counter("ee_event_streams_cut_total", "").value(); }

    net::Loop loop;
    NoStore store;
    events::EventLog log{store, {}};
    telemetry::Metrics metrics;
    BodyMemory memory{64 * 1024 * 1024};
    EventStreams::Limits limits;
    http::ServerLimits server_limits;
    std::optional<EventStreams> streams;
    std::optional<http::Server> server;
};

TEST_F(EventStreamsTest, SendWhatCameAndWhatComesUntilTheyAreEnded) {
    start();
    happen(2);
    const auto peer = visit("/1");
    EXPECT_TRUE(run_until(loop, [&] { return count_of(peer->received, "event: attested") == 1; }));
    EXPECT_EQ(count_of(peer->received, "\"seq\":2,"), 1u);
    happen(1);
    EXPECT_TRUE(run_until(loop, [&] { return count_of(peer->received, "\"seq\":3,") == 1; }));
    EXPECT_EQ(streams->size(), 1u);
    streams->end_all();
    EXPECT_EQ(streams->size(), 0u);
    // The last chunk: nothing was cut short.
    EXPECT_TRUE(run_until(loop, [&] { return peer->received.ends_with("\r\n0\r\n\r\n"); }));
    happen(1);
}

TEST_F(EventStreamsTest, AVisitorThatLeavesIsForgotten) {
    start();
    auto peer = visit("/0");
    peer.reset();
    EXPECT_TRUE(run_until(loop, [&] { return streams->size() == 0; }));
    happen(1);
    EXPECT_EQ(cut(), 0u);
}

TEST_F(EventStreamsTest, ManyOfOneHttp2ConnectionEachAtItsOwnPace) {
    start();
    happen(3);
    Visitor visitor(loop, net::connect_to(server->port()), 1 << 20);
    const auto all = visitor.get("/0"), rest = visitor.get("/2");
    EXPECT_TRUE(run_until(loop, [&] {
        return count_of(visitor.body(all), "event: attested") == 3 &&
               count_of(visitor.body(rest), "event: attested") == 1;
    }));
    EXPECT_EQ(streams->size(), 2u);
    visitor.side.session.reset(all, http::http2_code::cancel);
    visitor.stream.flush_later();
    EXPECT_TRUE(run_until(loop, [&] { return streams->size() == 1; }));
    happen(1);
    EXPECT_TRUE(run_until(loop, [&] { return count_of(visitor.body(rest), "\"seq\":4,") == 1; }));
    streams->end_all();
    EXPECT_TRUE(run_until(loop, [&] { return visitor.side.streams[rest].ended; }));
}

TEST_F(EventStreamsTest, AReaderThatDoesNotReadHoldsLittleAndIsCut) {
    limits.heartbeat = 200ms;
    start();
    Visitor visitor(loop, net::connect_to(server->port()), 2000);
    visitor.side.consumes = false;
    const auto id = visitor.get("/0");
    EXPECT_TRUE(run_until(loop, [&] { return streams->size() == 1; }));
    happen(2000, 1000);
    EXPECT_TRUE(run_until(loop, [&] { return visitor.body(id).size() >= 2000; }));
    EXPECT_LT(memory.held(), 64u * 1024);
    EXPECT_TRUE(run_until(loop, [&] { return cut() == 1; }));
    EXPECT_EQ(streams->size(), 0u);
    EXPECT_TRUE(run_until(loop, [&] { return visitor.side.streams[id].reset.has_value(); }));
}

TEST_F(EventStreamsTest, ASlowReaderIsNotCut) {
    limits.heartbeat = 500ms;
    start();
    happen(200, 1000);
    Visitor visitor(loop, net::connect_to(server->port()), 4000);
    const auto id = visitor.get("/0");
    EXPECT_TRUE(run_until(loop, [&] { return count_of(visitor.body(id), "event: attested") == 200; }));
    // It is told that nothing happens, and of its position.
    EXPECT_TRUE(run_until(loop, [&] { return count_of(visitor.body(id), ":\nid: 200\n\n") >= 3; }));
    EXPECT_EQ(cut(), 0u);
}

TEST_F(EventStreamsTest, AreFullAtTheirLimit) {
    limits.streams_max = 2;
    start();
    const auto one = visit("/0");
    EXPECT_FALSE(streams->is_full());
    const auto two = visit("/0");
    EXPECT_TRUE(streams->is_full());
}

}  // namespace
}  // namespace ee::api

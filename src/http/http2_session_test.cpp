// Two sessions back to back, through strings.
#include "http/http2_session.h"

#include <random>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "http/test_http2.h"

namespace ee::http {
namespace {

struct Http2SessionTest : testing::Test {
    void make(Http2Settings client_settings = {}, Http2Settings server_settings = {}) {
        client_settings.role = Http2Settings::Role::client;
        server_settings.role = Http2Settings::Role::server;
        server_settings.connect_protocol = true;
        client.emplace(client_settings);
        server.emplace(server_settings);
    }
    Http2SessionTest() { make(); }

    // Moves what one side has to say, at most so many bytes; in pieces when they are given a size.
    std::size_t move(Side& from, Side& to, std::size_t bytes_max = 1 << 20) {
        StringSink sink;
        from.session.pull(sink, bytes_max);
        moved += sink.text.size();
        for (std::string_view rest = sink.text; !rest.empty();) {
            const std::size_t size = piece == 0 ? rest.size() : 1 + random() % piece;
            const auto taken = to.session.receive(rest.substr(0, size));
            if (!taken) broken = taken.error().code;
            rest.remove_prefix(std::min(size, rest.size()));
        }
        return sink.text.size();
    }
    // Until neither has anything to say.
    void exchange(std::size_t bytes_max = 1 << 20) {
        while (move(*client, *server, bytes_max) + move(*server, *client, bytes_max) > 0) {
        }
    }
    static Http2Head get(std::string_view path = "/", std::span<const Field> fields = {}) {
        return {.method = "GET", .scheme = "https", .authority = "app.test", .path = path, .fields = fields};
    }
    static Http2Head post(std::string_view path = "/", std::span<const Field> fields = {}) {
        return {.method = "POST", .scheme = "https", .authority = "app.test", .path = path, .fields = fields};
    }
    Http2StreamId open(const Http2Head& head, std::string_view body = "", bool end = true) {
        const auto id = client->session.open(head, body, end);
        EXPECT_TRUE(id) << id.error().code;
        return id.value_or(0);
    }

    std::optional<Side> client, server;
    std::minstd_rand random{1};
    std::size_t piece = 0;
    std::size_t moved = 0;
    std::string broken;
};

const Http2Head ok{.status = 200};

// Large bodies are not to be printed.
std::string difference(std::string_view a, std::string_view b) {
    if (a == b) return "";
    const auto at = std::ranges::mismatch(a, b).in1 - a.begin();
    return std::to_string(a.size()) + " and " + std::to_string(b.size()) + " bytes, the same up to " +
           std::to_string(at);
}

TEST_F(Http2SessionTest, CarriesARequestAndItsAnswer) {
    const Field asked[] = {{"Accept", "*/*"}, {"x-two", "1"}, {"x-two", "2"}};
    const Http2StreamId id = open(get("/path?q=1", asked));
    exchange();
    EXPECT_EQ(server->streams[id].head, "GET https app.test /path?q=1 accept=*/* x-two=1 x-two=2");
    EXPECT_TRUE(server->streams[id].ended);
    const Field told[] = {{"Content-Type", "text/plain"}};
    server->session.respond(id, {.status = 200, .fields = told}, "hello", true);
    exchange();
    EXPECT_EQ(client->streams[id].head, "200 content-type=text/plain");
    EXPECT_EQ(client->streams[id].body, "hello");
    EXPECT_TRUE(client->streams[id].ended);
    EXPECT_EQ(client->session.open_streams(), 0u);
    EXPECT_EQ(server->session.open_streams(), 0u);
    EXPECT_FALSE(client->streams[id].reset || server->streams[id].reset);
}

TEST_F(Http2SessionTest, CarriesBodiesBothWaysWithTrailersInAnyFragments) {
    piece = 300;
    const Http2StreamId id = open(post(), "first ", false);
    exchange();
    EXPECT_EQ(server->streams[id].body, "first ");
    server->session.interim(id, 103, std::vector<Field>{{"link", "</a>"}});
    server->session.respond(id, ok, "", false);
    const std::string large(300'000, 'x');
    client->session.send_body(id, large);
    server->session.send_body(id, large);
    exchange();
    client->session.end_body(id, std::vector<Field>{{"x-sum", "1"}});
    server->session.end_body(id, std::vector<Field>{{"grpc-status", "0"}});
    exchange();
    EXPECT_EQ(client->streams[id].interim, "103 link=</a>");
    EXPECT_EQ(difference(server->streams[id].body, "first " + large), "");
    EXPECT_EQ(server->streams[id].trailers, " x-sum=1");
    EXPECT_EQ(difference(client->streams[id].body, large), "");
    EXPECT_EQ(client->streams[id].trailers, " grpc-status=0");
    EXPECT_EQ(client->streams[id].taken, large.size() + 6);
    EXPECT_EQ(client->session.queued_bytes() + server->session.queued_bytes(), 0u);
    EXPECT_EQ(client->session.unconsumed_bytes() + server->session.unconsumed_bytes(), 0u);
    EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
}

// What came of a body that nobody will read any more must not use up the connection.
TEST_F(Http2SessionTest, StreamsThatEndUnreadDoNotStopTheConnection) {
    client->consumes = client->keep_bodies = false;
    std::size_t received = 0;
    const std::string large(1 << 20, 'x');
    for (int i = 0; i < 100; ++i) {
        const Http2StreamId id = open(get());
        exchange();
        server->session.respond(id, ok, large, true);
        exchange();
        received += client->received[id];
        if (i % 2 == 0) client->session.reset(id, http2_code::cancel);
        exchange();
    }
    EXPECT_GE(received, 100u << 20);
    EXPECT_EQ(client->session.open_streams(), 0u);
    EXPECT_EQ(client->session.unconsumed_bytes(), 0u);
}

TEST_F(Http2SessionTest, AReaderThatDoesNotConsumeStopsItsOwnWriterOnly) {
    client->consumes = false;
    const Http2StreamId stalled = open(get("/stalled"));
    exchange();
    server->session.respond(stalled, ok, std::string(4 << 20, 'x'), true);
    exchange();
    EXPECT_EQ(client->received[stalled], 1u << 20) << "one window";
    EXPECT_EQ(client->session.unconsumed_bytes(), 1u << 20);

    client->consumes = true;
    const Http2StreamId other = open(get("/other"));
    exchange();
    server->session.respond(other, ok, std::string(4 << 20, 'y'), true);
    exchange();
    EXPECT_TRUE(client->streams[other].ended);
    EXPECT_FALSE(client->streams[stalled].ended);

    client->session.consume(stalled, 1 << 20);
    exchange();
    EXPECT_TRUE(client->streams[stalled].ended);
}

TEST_F(Http2SessionTest, ManyStalledReadersDoNotStopOthers) {
    client->consumes = client->keep_bodies = false;
    for (int i = 0; i < 100; ++i) {
        const Http2StreamId id = open(get());
        exchange();
        server->session.respond(id, ok, std::string(256 << 10, 'x'), false);
        exchange();
    }
    client->consumes = true;
    const Http2StreamId id = open(get());
    exchange();
    server->session.respond(id, ok, std::string(1 << 20, 'y'), true);
    exchange();
    EXPECT_TRUE(client->streams[id].ended);
}

TEST_F(Http2SessionTest, ABulkStreamLeavesRoomForASmallOne) {
    client->keep_bodies = false;
    const Http2StreamId bulk = open(get("/bulk")), bulk2 = open(get("/bulk2"));
    exchange();
    server->session.respond(bulk, ok, std::string(16 << 20, 'x'), true);
    server->session.respond(bulk2, ok, std::string(16 << 20, 'x'), true);
    move(*server, *client, 256 << 10);
    const Http2StreamId small = open(get("/small"));
    move(*client, *server);
    server->session.respond(small, ok, std::string(1024, 'y'), true);
    client->order.clear();
    move(*server, *client, 256 << 10);
    EXPECT_TRUE(client->streams[small].ended) << "within one turn's output";
    EXPECT_NE(std::ranges::find(client->order, bulk), client->order.end());
    EXPECT_NE(std::ranges::find(client->order, bulk2), client->order.end());
}

TEST_F(Http2SessionTest, WindowsGrowWhereTheyLimitTheStream) {
    client->keep_bodies = false;
    const Http2StreamId id = open(get());
    exchange();
    server->session.respond(id, ok, std::string(64 << 20, 'x'), true);
    // A long path: what one side says arrives after everything it says meanwhile.
    std::vector<std::size_t> rounds;
    while (!client->streams[id].ended) {
        const std::size_t before = client->received[id];
        StringSink to_client, to_server;
        server->session.pull(to_client, 64 << 20);
        client->session.pull(to_server, 1 << 20);
        ASSERT_TRUE(client->session.receive(to_client.text));
        ASSERT_TRUE(server->session.receive(to_server.text));
        rounds.push_back(client->received[id] - before);
        ASSERT_LT(rounds.size(), 60u) << "64 rounds at least without growth";
    }
    EXPECT_GE(std::ranges::max(rounds), 6u << 20);
    EXPECT_LE(std::ranges::max(rounds), 8u << 20);
}

TEST_F(Http2SessionTest, UnreadBytesAreBounded) {
    Http2Settings settings;
    settings.unconsumed_bytes_max = 8 << 20;
    make(settings);
    client->consumes = client->keep_bodies = false;
    std::size_t peak = 0;
    for (int i = 0; i < 200; ++i) {
        const Http2StreamId id = open(get());
        exchange();
        server->session.respond(id, ok, std::string(1 << 20, 'x'), false);
        exchange();
        peak = std::max(peak, client->session.unconsumed_bytes());
    }
    EXPECT_LE(peak, (8u << 20) + (64 << 10));
    // Once they are read, windows are as before.
    client->consumes = true;
    for (const auto& [id, bytes] : client->received) client->session.consume(id, 0);
    for (const auto& [id, heard] : client->streams) client->session.reset(id, http2_code::cancel);
    exchange();
    const Http2StreamId id = open(get());
    exchange();
    server->session.respond(id, ok, std::string(1 << 20, 'x'), true);
    exchange();
    EXPECT_EQ(client->received[id], 1u << 20);
}

TEST_F(Http2SessionTest, SessionsThatShareAMemoryAreUnderPressureTogether) {
    BodyMemory memory(4 << 20);
    Http2Settings settings;
    settings.memory = &memory;
    make(settings);
    Http2Settings peers;
    peers.role = Http2Settings::Role::server;
    Side other(settings), other_server(peers);
    client->consumes = client->keep_bodies = other_server.keep_bodies = false;
    // How much of an answer comes while nobody reads it.
    const auto window = [&] {
        const Http2StreamId id = open(get());
        exchange();
        server->session.respond(id, ok, std::string(3 << 20, 'x'), true);
        exchange();
        const std::size_t received = client->received[id];
        client->session.reset(id, http2_code::cancel);
        exchange();
        return received;
    };
    EXPECT_EQ(window(), 1u << 20);
    ASSERT_TRUE(other.session.open(post(), std::string(3 << 20, 'x'), true));
    EXPECT_EQ(memory.held(), 3u << 20);
    EXPECT_EQ(window(), 64u << 10);
    while (move(other, other_server) + move(other_server, other) > 0) {
    }
    EXPECT_EQ(memory.held(), 0u);
    EXPECT_EQ(window(), 1u << 20);
    // What is given up, and what dies with its session, is not held any more.
    const auto id = other.session.open(post(), std::string(1 << 20, 'x'), false);
    EXPECT_EQ(other.session.held_bytes(*id), 1u << 20);
    other.session.reset(*id, http2_code::cancel);
    EXPECT_EQ(memory.held(), 0u);
    open(post(), std::string(1 << 20, 'x'), false);
    EXPECT_EQ(memory.held(), 1u << 20);
    make();
    EXPECT_EQ(memory.held(), 0u);
}

TEST_F(Http2SessionTest, CancelsBothWays) {
    const Http2StreamId id = open(post(), "abc", false), gone = open(get());
    exchange();
    client->session.reset(id, http2_code::cancel);
    server->session.reset(gone, http2_code::internal_error);
    client->session.send_body(id, "late");
    exchange();
    EXPECT_EQ(server->streams[id].reset, http2_code::cancel);
    EXPECT_EQ(client->streams[gone].reset, http2_code::internal_error);
    EXPECT_FALSE(client->streams[id].reset) << "who gives up hears no more";
    EXPECT_FALSE(server->streams[id].ended);
    EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
    // Before it was even sent.
    client->session.reset(open(get()), http2_code::cancel);
    exchange();
    EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
    // After the request was complete, while the answer comes.
    const Http2StreamId half = open(get());
    exchange();
    server->session.respond(half, ok, "abc", false);
    exchange();
    client->session.reset(half, http2_code::cancel);
    exchange();
    EXPECT_EQ(server->streams[half].reset, http2_code::cancel);
}

TEST_F(Http2SessionTest, AnAnswerBeforeTheRequestIsCompleteStopsTheRequest) {
    const Http2StreamId id = open(post(), "abc", false);
    exchange();
    server->session.respond(id, {.status = 413}, "too much", true);
    exchange();
    EXPECT_EQ(client->streams[id].head, "413");
    EXPECT_TRUE(client->streams[id].ended);
    EXPECT_FALSE(client->streams[id].reset);
    client->session.send_body(id, "more");  // Nobody wants it; nothing comes of it.
    exchange();
    EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
}

TEST_F(Http2SessionTest, CallbacksMayActOnTheSession) {
    server->on_request = [&](Http2StreamId id) { server->session.respond(id, ok, "hello", true); };
    client->on_bytes = [&](Http2StreamId id) {
        client->session.reset(id, http2_code::cancel);
        if (id < 20) open(get());
    };
    open(get());
    exchange();
    EXPECT_EQ(client->streams.size(), 11u);
    EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
}

TEST_F(Http2SessionTest, ExtendedConnectOpensAStreamBothWays) {
    const Http2Head connect{.method = "CONNECT",
                            .scheme = "https",
                            .authority = "app.test",
                            .path = "/ws",
                            .protocol = "websocket"};
    EXPECT_EQ(client->session.open(connect, "", false).error().code, "upgrade_unsupported")
        << "not yet known";
    exchange();
    const Http2StreamId id = open(connect, "", false);
    exchange();
    EXPECT_EQ(server->streams[id].head, "CONNECT websocket https app.test /ws");
    server->session.respond(id, ok, "", false);
    server->session.send_body(id, "to visitor");
    client->session.send_body(id, "to backend");
    exchange();
    EXPECT_EQ(client->streams[id].body, "to visitor");
    EXPECT_EQ(server->streams[id].body, "to backend");
    client->session.end_body(id);
    server->session.end_body(id);
    exchange();
    EXPECT_TRUE(client->streams[id].ended && server->streams[id].ended);
}

TEST_F(Http2SessionTest, ExtendedConnectNeedNotWaitForAPeerThatIsKnownToTakeIt) {
    const Http2Head connect{.method = "CONNECT",
                            .scheme = "https",
                            .authority = "app.test",
                            .path = "/ws",
                            .protocol = "websocket"};
    Http2Settings knowing;
    knowing.connect_protocol = true;
    make(knowing);
    const Http2StreamId id = open(connect, "", false);
    exchange();
    EXPECT_EQ(server->streams[id].head, "CONNECT websocket https app.test /ws");

    // What the peer says itself is what holds.
    make(knowing);
    server.emplace(Http2Settings{.role = Http2Settings::Role::server});
    open(get());
    exchange();
    EXPECT_EQ(client->session.open(connect, "", false).error().code, "upgrade_unsupported");
}

TEST_F(Http2SessionTest, AsManyStreamsAsMayBeNeedNotWaitForThePeersSettings) {
    Http2Settings many;
    many.streams_max = 256;
    make(many, many);
    for (int i = 0; i < 256; ++i) open(get());
    EXPECT_EQ(client->session.open(get(), "", true).error().code, "overloaded");
    exchange();
    EXPECT_EQ(server->streams.size(), 256u);
}

TEST_F(Http2SessionTest, BothSidesLimitTheStreamsThatAreOpenAtOnce) {
    Http2Settings few;
    few.streams_max = 3;
    make({}, few);
    exchange();
    EXPECT_EQ(client->session.stream_limit(), 3u);
    for (int i = 0; i < 3; ++i) open(get());
    EXPECT_EQ(client->session.open(get(), "", true).error().code, "overloaded");
    exchange();
    server->session.respond(1, ok, "", true);
    exchange();
    EXPECT_TRUE(client->session.open(get(), "", true));
}

TEST_F(Http2SessionTest, AStreamThatWasGivenUpMakesRoomForAnotherAtOnce) {
    Http2Settings one;
    one.streams_max = 1;
    make({}, one);
    exchange();
    for (int i = 0; i < 10; ++i) {
        const Http2StreamId id = open(post(), "some of it", false);
        EXPECT_EQ(client->session.open(get(), "", true).error().code, "overloaded");
        if (i % 3 != 0) exchange();  // The others are given up before they are sent.
        client->session.reset(id, http2_code::cancel);
    }
    const Http2StreamId last = open(get());
    exchange();
    server->session.respond(last, ok, "", true);
    exchange();
    EXPECT_EQ(client->streams[last].head, "200");
    EXPECT_FALSE(client->goaway);
    for (const auto& [id, heard] : client->streams) EXPECT_FALSE(heard.reset) << id;
}

TEST_F(Http2SessionTest, StreamsThatWereGivenUpAreBoundedUntilThePeerIsTold) {
    Http2Settings few;
    few.streams_max = 3;
    make(few, few);
    exchange();
    Result<Http2StreamId> id;
    std::size_t opened = 0;
    for (; opened < 1000 && (id = client->session.open(get(), "", true)); ++opened)
        client->session.reset(*id, http2_code::cancel);
    EXPECT_EQ(opened, 256u);
    EXPECT_EQ(id.error().code, "overloaded");
    exchange();
    EXPECT_EQ(client->session.open_streams(), 0u);
    EXPECT_TRUE(client->session.open(get(), "", true));
}

TEST_F(Http2SessionTest, AHeadIsPulledWholeAndBeforeAnyBody) {
    exchange();
    const std::string large(40'000, '"');
    const Field fields[] = {{"x-large", large}};
    Http2Head head = get();
    head.fields = fields;
    const Http2StreamId first = client->session.open(get(), "a body", true).value();
    const Http2StreamId second = client->session.open(head, "", true).value();
    EXPECT_GT(client->session.frames_before_bodies(), 0u);
    StringSink heads;
    EXPECT_LT(client->session.pull(heads, 1), 100u);
    EXPECT_GT(client->session.frames_before_bodies(), 0u);
    EXPECT_GT(client->session.pull(heads, 1), large.size());  // Three frames.
    EXPECT_EQ(client->session.frames_before_bodies(), 0u);
    ASSERT_TRUE(server->session.receive(heads.text));
    EXPECT_EQ(server->order, (std::vector{first, second}));
    exchange();
    EXPECT_EQ(server->streams[first].body, "a body");
}

TEST_F(Http2SessionTest, ADrainLetsOpenStreamsFinish) {
    const Http2StreamId id = open(get());
    exchange();
    server->session.begin_drain();
    server->session.goaway(http2_code::no_error);
    exchange();
    EXPECT_EQ(client->goaway, http2_code::no_error);
    EXPECT_TRUE(client->session.is_draining());
    EXPECT_EQ(client->session.open(get(), "", true).error().code, "http2_draining");
    EXPECT_FALSE(client->session.is_finished());
    server->session.respond(id, ok, "hello", true);
    exchange();
    EXPECT_EQ(client->streams[id].body, "hello");
    EXPECT_TRUE(server->session.is_finished());
}

TEST_F(Http2SessionTest, WhatTheOtherSideDidNotTakeWasNotServed) {
    exchange();
    server->session.goaway(http2_code::no_error);
    StringSink late;
    server->session.pull(late, 1 << 20);
    const Http2StreamId id = open(get());
    exchange();
    ASSERT_TRUE(client->session.receive(late.text));
    exchange();
    EXPECT_EQ(client->streams[id].reset, http2_code::refused_stream);
    EXPECT_TRUE(server->streams.empty());
}

TEST_F(Http2SessionTest, IsUsedUpWithTheLastStreamThatThereIs) {
    make({.first_stream = 0x7ffffffd});
    open(get("/a"));
    EXPECT_FALSE(client->session.is_draining() || client->session.is_used_up());
    const Http2StreamId last = open(get("/b"));
    EXPECT_EQ(last, 0x7fffffff);
    EXPECT_TRUE(client->session.is_draining() && client->session.is_used_up());
    const auto none = client->session.open(get("/c"), "", true);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, "http2_draining");
    exchange();
    server->session.respond(last, ok, "b", true);
    exchange();
    EXPECT_EQ(client->streams[last].body, "b");
    EXPECT_EQ(broken, "");
}

TEST_F(Http2SessionTest, RequestsOverTheLimitsAreToldAndAnswersResetTheirStream) {
    Http2Settings small;
    small.head = {.bytes_max = 1000, .fields_max = 5};
    make(small, small);
    const std::string long_value(990, 'x');
    const std::vector<Field> large = {{"a", long_value}}, many(6, Field{"a", "b"}), good(5, Field{"a", "b"});
    const Http2StreamId too_large = open(get("/", large)), too_many = open(get("/", many)),
                        fits = open(get("/", good));
    exchange();
    EXPECT_EQ(server->streams[too_large].head, "too large");
    EXPECT_EQ(server->streams[too_many].head, "too large a=b a=b a=b a=b a=b");
    EXPECT_EQ(server->streams[fits].head, "GET https app.test / a=b a=b a=b a=b a=b");
    server->session.respond(too_many, {.status = 431}, "", true);
    exchange();
    EXPECT_EQ(client->streams[too_many].head, "431");
    server->session.respond(fits, {.status = 200, .fields = large}, "", true);
    exchange();
    EXPECT_TRUE(client->streams[fits].reset);
    EXPECT_EQ(client->streams[fits].head, "");
    const Http2StreamId trailing = open(get());
    exchange();
    server->session.respond(trailing, ok, "", false);
    server->session.end_body(trailing, many);
    exchange();
    EXPECT_FALSE(client->streams[trailing].ended);
    EXPECT_TRUE(client->streams[trailing].reset);
}

TEST_F(Http2SessionTest, AServerHearsOfTheEndOfBothSides) {
    const Http2StreamId id = open(post(), "", false);
    exchange();
    server->session.respond(id, ok, "answer", true);
    EXPECT_EQ(server->streams[id].completed, 0);
    exchange();
    EXPECT_EQ(server->streams[id].completed, 1) << "what is left of the request is not waited for";
    EXPECT_FALSE(server->streams[id].reset);
    const Http2StreamId given_up = open(get());
    exchange();
    server->session.reset(given_up, http2_code::cancel);
    exchange();
    EXPECT_EQ(server->streams[given_up].completed, 0);
}

TEST_F(Http2SessionTest, CookiesInPiecesAreJoined) {
    const std::vector<Field> crumbs = {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}};
    const Http2StreamId id = open(get("/", crumbs));
    exchange();
    EXPECT_EQ(server->streams[id].head, "GET https app.test / x=y cookie=a=1; b=2");
}

// RFC 9113 section 8: what must not be in a message. The peer's stream is reset, others go on.
TEST_F(Http2SessionTest, MalformedMessagesAreRefused) {
    const std::vector<Field> rows[] = {
        {{"connection", "close"}},
        {{"transfer-encoding", "chunked"}},
        {{"te", "gzip"}},
        {{"upgrade", "websocket"}},
        {{"x", "a\r\nb"}},
        {{"x", std::string_view("a\0b", 3)}},
        {{"x y", "z"}},
        {{"", "z"}},
        {{"content-length", "1"}},
        {{"content-length", "0"}, {"content-length", "0"}},
        {{"content-length", "+0"}},
        {{":path", "/b"}},
        {{"host", "other.test"}, {":x", ""}},
    };
    for (const auto& fields : rows) {
        make();
        const Http2StreamId id = open(get("/", fields));
        exchange();
        EXPECT_TRUE(server->streams.empty() || server->streams[id].reset) << fields[0].name;
        EXPECT_TRUE(client->streams[id].reset) << fields[0].name;
        const Http2StreamId next = open(get());
        exchange();
        EXPECT_TRUE(server->streams[next].ended) << fields[0].name;
    }
}

TEST_F(Http2SessionTest, AStatusThatIsNoneResetsItsStream) {
    const Http2StreamId id = open(get());
    exchange();
    // HEADERS with a literal `:status: 000`.
    StringSink sink;
    server->session.pull(sink, 1 << 20);
    using namespace std::string_literals;
    ASSERT_TRUE(client->session.receive(sink.text + "\0\0\x0d\1\4\0\0\0\1\0\x07:status\x03"s + "000"));
    EXPECT_EQ(client->streams[id].reset, http2_code::protocol_error);
    EXPECT_EQ(client->streams[id].head, "");
}

TEST_F(Http2SessionTest, WhatIsNoHttp2EndsTheConnection) {
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const auto frame = [](std::size_t size, char type, char flags, std::string_view rest) {
        std::string out{'\0', static_cast<char>(size >> 8), static_cast<char>(size), type, flags};
        return out.append(rest);
    };
    using namespace std::string_literals;
    const std::string settings = frame(0, 4, 0, "\0\0\0\0"s);
    const std::string rows[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"s,
        preface + frame(1, 4, 0, "\0\0\0\0x"s),                            // SETTINGS of a wrong size
        preface + settings + frame(0, 0, 0, "\0\0\0\1"s),                  // DATA on an idle stream
        preface + settings + frame(4, 8, 0, "\0\0\0\0\0\0\0\0"s),          // WINDOW_UPDATE of nothing
        preface + settings + frame(1, 1, 4, "\0\0\0\2\x82"s),              // a stream of the other side's
        preface + settings + frame(1, 9, 4, "\0\0\0\1\x82"s),              // CONTINUATION of nothing
        preface + settings + frame(2, 1, 4, "\0\0\0\1\xff\xff"s),          // HPACK that does not decode
        preface + settings + frame(4, 3, 0, "\0\0\0\1\0\0\0\0"s),          // RST_STREAM of an idle stream
        preface + settings + frame(8, 6, 0, "\0\0\0\1\0\0\0\0\0\0\0\0"s),  // PING on a stream
    };
    for (const std::string& row : rows) {
        make();
        StringSink first;
        server->session.pull(first, 1 << 20);
        const auto taken = server->session.receive(row);
        StringSink last;
        server->session.pull(last, 1 << 20);
        EXPECT_TRUE(!taken || server->session.is_finished()) << testing::PrintToString(row);
        EXPECT_TRUE(server->streams.empty());
    }
}

// A field of 3,900 bytes in HPACK's table (RFC 7541), and heads that each name it so many times, a byte each.
TEST_F(Http2SessionTest, HeadsThatUnfoldFarBeyondWhatIsAllowedEndTheConnection) {
    const auto headers = [](Http2StreamId stream, const std::string& block) {
        std::string out;
        append_big_endian<3>(out, block.size());
        out += std::string("\1\5", 2);  // HEADERS, END_HEADERS and END_STREAM
        append_big_endian<4>(out, static_cast<std::uint32_t>(stream));
        return out + block;
    };
    const std::string request("\x82\x87\x84", 3);  // GET https /
    constexpr std::size_t rest = 3900 - 127;       // of its length, behind the first seven bits
    const std::string length{'\x7f', static_cast<char>(0x80 | (rest & 0x7f)), static_cast<char>(rest >> 7)};
    const std::string filled = request + std::string("\x40\1x", 3) + length + std::string(3900, 'v');
    const auto heads = [&](int count, int references) {
        make();
        exchange();
        if (!server->session.receive(headers(1, filled))) return -1;
        for (int i = 0; i < count; ++i)
            if (!server->session.receive(
                    headers(3 + 2 * i, request + std::string(static_cast<std::size_t>(references), '\xbe'))))
                return i;
        return count;
    };
    EXPECT_EQ(heads(200, 10), 200);  // 39 kB are a head.
    EXPECT_EQ(heads(64, 20), 64);    // 78 kB are none, and are answered.
    EXPECT_EQ(heads(200, 20), 64);   // But not for ever.
    EXPECT_EQ(heads(1, 100), 0);     // 390 kB
    EXPECT_EQ(heads(1, 16'000), 0);
}

// What a flood of frames makes this side answer is not kept without end for a peer that reads none of it.
TEST_F(Http2SessionTest, APeerThatTakesNoAnswersMayNotAskForAnyNumber) {
    struct Row {
        std::string name;
        bool is_to_server;
        std::function<std::string(int)> nth;
        bool is_told = true;
    };
    using namespace std::string_literals;
    const Row rows[] = {
        {"HEADERS over the limit, which is not acknowledged", true,
         [](int i) { return frame(1, 5, 1 + 2 * i, get_block); }},
        {"PUSH_PROMISE, before it is acknowledged that there is none", false,
         [](int i) {
             std::string promised;
             append_big_endian<4>(promised, static_cast<std::uint32_t>(2 + 2 * i));
             return frame(5, 4, 1, promised.append(get_block));
         }},
        {"PING", true, [](int) { return frame(6, 0, 0, "12345678"); }, false},
        {"SETTINGS", true, [](int) { return frame(4, 0, 0); }, false},
    };
    for (const Row& row : rows) {
        make();
        Side& side = row.is_to_server ? *server : *client;
        Side& other = row.is_to_server ? *client : *server;
        StringSink asked;
        open(get());
        client->session.pull(asked, 1 << 20);
        const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        ASSERT_TRUE(side.session.receive((row.is_to_server ? preface : "") + frame(4, 0, 0)));
        int count = 0;
        while (count < 40'000 && side.session.receive(row.nth(count))) ++count;
        EXPECT_LT(count, 20'000) << row.name;
        EXPECT_FALSE(side.session.receive(row.nth(count))) << row.name;
        EXPECT_LT(side.session.frames_before_bodies(), 20'000u) << row.name;
        if (!row.is_told) continue;
        StringSink last;
        side.session.pull(last, 100);
        static_cast<void>(other.session.receive((row.is_to_server ? "" : asked.text) + last.text));
        EXPECT_EQ(other.goaway, http2_code::enhance_your_calm) << row.name;
        EXPECT_EQ(side.session.frames_before_bodies(), 0u) << row.name;
    }
}

// Of those that are open already the peer hears as of any others.
TEST_F(Http2SessionTest, NothingIsBegunBehindAGoawayThatHasNotLeft) {
    exchange();
    const Http2StreamId before = open(get());
    move(*client, *server);
    server->session.goaway(http2_code::no_error);
    const Http2StreamId behind = open(get("/behind"));
    move(*client, *server);
    EXPECT_TRUE(server->streams[before].ended);
    EXPECT_FALSE(server->streams.contains(behind));
    server->session.respond(before, ok, "hello", true);
    exchange();
    EXPECT_EQ(client->streams[before].body, "hello");
    EXPECT_EQ(client->streams[behind].reset, http2_code::refused_stream);
    EXPECT_TRUE(server->session.is_finished());
    EXPECT_EQ(broken, "");
}

TEST_F(Http2SessionTest, RandomTrafficComesThroughWhole) {
    for (unsigned seed = 1; seed <= 40; ++seed) {
        random.seed(seed);
        piece = seed % 3 == 0 ? 0 : 2000;
        make();
        std::map<Http2StreamId, std::string> asked, told;
        std::map<Http2StreamId, bool> asking, telling;
        for (int step = 0; step < 300; ++step) {
            const std::string bytes(random() % 50'000, static_cast<char>('a' + random() % 26));
            switch (random() % 6) {
                case 0:
                    if (const auto id = client->session.open(post(), bytes, false)) {
                        asked[*id] = bytes;
                        asking[*id] = true;
                    }
                    break;
                case 1: move(*client, *server, 1 + random() % 100'000); break;
                case 2: move(*server, *client, 1 + random() % 100'000); break;
                case 3:
                    for (auto& [id, open] : asking)
                        if (open && random() % 3 == 0) {
                            client->session.send_body(id, bytes);
                            asked[id] += bytes;
                            if (random() % 4 == 0) {
                                client->session.end_body(id);
                                open = false;
                            }
                        }
                    break;
                default:
                    for (const auto& [id, heard] : server->streams)
                        if (!telling.contains(id)) {
                            server->session.respond(id, ok, bytes, false);
                            told[id] = bytes;
                            telling[id] = true;
                        } else if (telling[id] && heard.ended && random() % 3 == 0) {
                            server->session.send_body(id, bytes);
                            told[id] += bytes;
                            server->session.end_body(id);
                            telling[id] = false;
                        }
            }
        }
        for (const auto& [id, open] : asking)
            if (open) client->session.end_body(id);
        exchange();
        for (const auto& [id, heard] : server->streams) {
            if (!telling.contains(id)) {
                server->session.respond(id, ok, "", true);
            } else if (telling[id]) {
                server->session.end_body(id);
            }
        }
        exchange();
        for (const auto& [id, body] : asked) {
            ASSERT_EQ(difference(server->streams[id].body, body), "") << "seed " << seed << " stream " << id;
            ASSERT_EQ(difference(client->streams[id].body, told[id]), "")
                << "seed " << seed << " stream " << id;
            ASSERT_TRUE(client->streams[id].ended && server->streams[id].ended);
        }
        EXPECT_EQ(client->session.open_streams() + server->session.open_streams(), 0u);
        EXPECT_EQ(client->session.queued_bytes() + client->session.unconsumed_bytes(), 0u);
    }
}

}  // namespace
}  // namespace ee::http

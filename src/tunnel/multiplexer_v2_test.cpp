// The multiplexer against an HTTP/2 server of the same process, as an agent has it.
#include "tunnel/multiplexer_v2.h"

#include <algorithm>
#include <functional>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tunnel/message_sink.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using http::Http2StreamId;

const MonoTime start{1h};
using Heard = std::vector<std::string>;

struct StringSink final : http::Http2Sink {
    void write(std::string_view bytes) override { text.append(bytes); }
    std::string text;
};

struct Agent final : http::Http2Observer {
    explicit Agent(std::uint32_t streams_max)
        : session({.role = http::Http2Settings::Role::server,
                   .streams_max = streams_max,
                   .connect_protocol = true},
                  *this) {}

    void on_head(Http2StreamId stream, const http::Http2Head& head, bool end) override {
        std::string text = fmt::format("{} {} {}", head.method, head.authority, head.path);
        for (const http::Field& field : head.fields) text += fmt::format(" {}={}", field.name, field.value);
        heads[stream] = text + (end ? "." : "");
        last = stream;
    }
    void on_body(Http2StreamId stream, std::string_view bytes) override {
        bodies[stream].append(bytes);
        session.consume(stream, bytes.size());
    }
    void on_end(Http2StreamId stream, std::span<const http::Field>) override { ended.push_back(stream); }
    void on_reset(Http2StreamId stream, std::uint32_t code) override { resets[stream] = code; }

    http::Http2Session session;
    std::map<Http2StreamId, std::string> heads, bodies;
    std::map<Http2StreamId, std::uint32_t> resets;
    std::vector<Http2StreamId> ended;
    Http2StreamId last = 0;
};

class Visitor final : public StreamObserver {
public:
    Heard heard;
    std::function<void(std::string_view)> then = [](std::string_view) {};

    void on_sent() override { ++sent; }
    void on_interim(int status, std::span<const http::Field>) override {
        hear(fmt::format("interim {}", status));
    }
    void on_head(int status, std::span<const http::Field> fields, std::optional<std::uint64_t> content_length,
                 bool end) override {
        hear(fmt::format("head {} {} {}{}", status, fields.size(),
                         content_length ? std::to_string(*content_length) : "?", end ? "." : ""));
    }
    void on_body(std::string_view bytes) override {
        received += bytes.size();
        hear(fmt::format("body {}", bytes.size() < 10 ? bytes : "..."));
    }
    void on_end(std::span<const http::Field> trailers) override {
        hear(fmt::format("end {}", trailers.size()));
    }
    bool on_answer_end() override {
        if (goes_on) hear("answer end");
        return goes_on;
    }
    void on_body_taken(std::size_t bytes) override { taken += bytes; }
    void on_failed(const Error& error) override { hear(error.code); }

    std::size_t received = 0, taken = 0;
    int sent = 0;
    bool goes_on = false;  // Behind the end of the answer.

private:
    void hear(const std::string& what) {
        heard.push_back(what);
        then(what);
    }
};

struct MultiplexerV2Test : testing::Test {
    explicit MultiplexerV2Test(std::size_t ours_max = 3, std::uint32_t agents_max = 256)
        : mux({.streams_max = ours_max}), agent(agents_max) {}
    // Until neither side has more to say.
    void exchange() {
        for (bool any = true; any;) {
            StringSink out, in;
            mux.pull(out, 1 << 20);
            agent.session.pull(in, 1 << 20);
            any = !out.text.empty() || !in.text.empty();
            ASSERT_TRUE(agent.session.receive(out.text));
            if (const auto taken = mux.receive(in.text, now); !taken) refused = taken.error().code;
        }
    }
    StreamId open(Visitor& visitor, std::string_view body = "", bool body_follows = false) {
        const auto id = mux.open({.method = "POST",
                                  .target = "/x?y",
                                  .body = body,
                                  .body_follows = body_follows,
                                  .authority = "app.test"},
                                 visitor, now);
        EXPECT_TRUE(id) << id.error().code;
        return id.value_or(0);
    }
    void respond(int status, std::span<const http::Field> fields = {}, std::string_view body = "",
                 bool end = true) {
        agent.session.respond(agent.last, {.status = status, .fields = fields}, body, end);
    }

    MultiplexerV2 mux;
    Agent agent;
    MonoTime now = start;
    std::string refused;
};

TEST_F(MultiplexerV2Test, CarriesARequestAndItsAnswer) {
    EXPECT_EQ(mux.held_bytes(), 0u);
    Visitor visitor;
    open(visitor, "body");
    EXPECT_EQ(visitor.sent, 0);
    exchange();
    EXPECT_EQ(visitor.sent, 1);
    EXPECT_EQ(agent.heads[1], "POST app.test /x?y content-length=4");
    EXPECT_EQ(agent.bodies[1], "body");
    const http::Field fields[] = {{"content-length", "2"}, {"a", "b"}};
    agent.session.interim(1, 103, {});
    respond(200, fields, "hi");
    exchange();
    EXPECT_EQ(visitor.heard, (Heard{"interim 103", "head 200 2 2", "body hi", "end 0"}));
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_TRUE(agent.resets.empty()) << "what is complete is not reset";
}

// gRPC's answer of trailers alone is a head that is the end; another may be empty and have trailers.
TEST_F(MultiplexerV2Test, TellsAHeadThatIsTheEndFromOneOfAnEmptyBody) {
    const http::Field empty[] = {{"content-length", "0"}}, trailers[] = {{"grpc-status", "0"}};
    Visitor with_trailers, alone;
    open(with_trailers);
    exchange();
    respond(200, empty, "", false);
    agent.session.end_body(agent.last, trailers);
    exchange();
    EXPECT_EQ(with_trailers.heard, (Heard{"head 200 1 0", "end 1"}));
    open(alone);
    exchange();
    respond(200, trailers);
    exchange();
    EXPECT_EQ(alone.heard, (Heard{"head 200 1 0.", "end 0"}));
}

TEST_F(MultiplexerV2Test, StreamsABodyAndTellsOfRoom) {
    Visitor visitor;
    const StreamId id = open(visitor, "", true);
    mux.send_body(id, std::string(100'000, 'x'));
    exchange();
    EXPECT_EQ(visitor.taken, 100'000u);
    mux.end_body(id, {});
    exchange();
    EXPECT_EQ(agent.bodies[1].size(), 100'000u);
    EXPECT_EQ(agent.ended, std::vector<Http2StreamId>{1});
}

TEST_F(MultiplexerV2Test, HoldsTheAgentToTheWindowUntilTheVisitorHasTheBytes) {
    Visitor visitor;
    const StreamId id = open(visitor);
    exchange();
    respond(200, {}, std::string(3 << 20, 'x'));
    exchange();
    EXPECT_EQ(visitor.received, 1u << 20);
    EXPECT_EQ(mux.held_bytes(), 1u << 20);
    mux.consumed(id, 1 << 20);
    exchange();
    EXPECT_EQ(visitor.received, 2u << 20);
    mux.cancel(id);
    EXPECT_EQ(mux.held_bytes(), 0u);
    exchange();
    EXPECT_EQ(agent.resets[1], http::http2_code::cancel);
    EXPECT_EQ(visitor.received, 2u << 20);
}

TEST_F(MultiplexerV2Test, EndsAStreamForTheMemoryItHolds) {
    Visitor reader, writer;
    const StreamId read = open(reader);
    exchange();
    respond(200, {}, std::string(3 << 20, 'x'), false);
    exchange();
    now += 1s;
    const StreamId written = open(writer, "", true);
    exchange();
    mux.send_body(written, std::string(100'000, 'x'));
    std::vector<std::string> held;
    mux.visit_held([&](StreamId id, std::size_t bytes, MonoTime last_active) {
        held.push_back(fmt::format("{}: {} {}", id, bytes, (now - last_active) / 1s));
    });
    std::ranges::sort(held);
    EXPECT_EQ(held, (Heard{fmt::format("{}: 1048576 1", read), fmt::format("{}: 100000 0", written)}));
    mux.shed(read);
    mux.shed(read);
    EXPECT_EQ(mux.held_bytes(), 100'000u);
    EXPECT_EQ(reader.heard.back(), "overloaded");
    exchange();
    EXPECT_EQ(agent.resets[1], http::http2_code::enhance_your_calm);
    mux.shed(written);
    EXPECT_EQ(writer.heard, Heard{"overloaded"});
    EXPECT_EQ(mux.open_streams(), 0u);
}

// RFC 9113 section 4.1
std::string without_settings(std::string_view frames) {
    std::string out;
    while (!frames.empty()) {
        const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(frames[i]); };
        const std::size_t size = 9 + (std::size_t{byte(0)} << 16 | byte(1) << 8 | byte(2));
        if (byte(3) != 0x4) out.append(frames.substr(0, size));
        frames.remove_prefix(size);
    }
    return out;
}

// The agent does not hear that windows are smaller from now on.
TEST_F(MultiplexerV2Test, GivesUpVisitorsThatReadNothingOnceTheTunnelHoldsTooMuch) {
    MultiplexerV2 roomy({});
    std::vector<Visitor> visitors(80);
    for (Visitor& visitor : visitors)
        ASSERT_TRUE(roomy.open({.method = "GET", .target = "/", .authority = "app.test"}, visitor, now));
    StringSink heads;
    roomy.pull(heads, 1 << 20);
    ASSERT_TRUE(agent.session.receive(heads.text));
    for (const auto& [stream, head] : agent.heads)
        agent.session.respond(stream, {.status = 200}, std::string(1 << 20, 'x'), false);
    std::size_t most = 0;
    for (bool any = true; any;) {
        StringSink out, in;
        roomy.pull(out, 1 << 20);
        agent.session.pull(in, 1 << 20);
        any = !out.text.empty() || !in.text.empty();
        ASSERT_TRUE(agent.session.receive(without_settings(out.text)));
        ASSERT_TRUE(roomy.receive(in.text, now));
        most = std::max(most, roomy.held_bytes());
    }
    EXPECT_LE(most, std::size_t{65} << 20);
    const auto given_up = std::ranges::count_if(
        visitors, [](const Visitor& visitor) { return visitor.heard.back() == "slow_visitor"; });
    EXPECT_GE(given_up, 15);
    EXPECT_LE(given_up, 17);
}

TEST_F(MultiplexerV2Test, SaysWhatWentWrong) {
    const struct {
        int status;
        http::Field field;
        const char* heard;
    } rows[] = {
        {502, {"ee-error", "backend_unreachable"}, "backend_unreachable"},
        {504, {"ee-error", "backend_timeout"}, "proxy_timeout"},
        {502, {"ee-error", "bad_backend_answer"}, "bad_agent_answer"},
        {501, {"ee-error", "upgrade_unsupported"}, "upgrade_unsupported"},
        {501, {"a", "b"}, "head 501 1 ?"},
        {502, {"a", "b"}, "head 502 1 ?"},  // The backend's own.
        {200, {"ee-error", "backend_unreachable"}, "head 200 1 ?"},
        {600, {"a", "b"}, "bad_agent_answer"},
    };
    for (const auto& row : rows) {
        Visitor visitor;
        const StreamId id = open(visitor);
        exchange();
        respond(row.status, {&row.field, 1}, "", false);
        exchange();
        EXPECT_EQ(visitor.heard, Heard{row.heard}) << row.status;
        mux.cancel(id);
        exchange();
    }
    Visitor broken, half, late, surplus;
    open(surplus);
    exchange();
    agent.session.reset(agent.last, http::http2_code::refused_stream);
    exchange();
    EXPECT_EQ(surplus.heard, Heard{"stream_refused"});
    open(broken);
    exchange();
    // Whatever it says: what a visitor did not read is for this side to tell.
    agent.session.reset(agent.last, http::http2_code::enhance_your_calm);
    open(half);
    exchange();
    respond(200, {}, "ab", false);
    exchange();
    agent.session.reset(agent.last, http::http2_code::internal_error);
    open(late);
    exchange();
    respond(200, {}, "ab", false);
    exchange();
    agent.session.reset(agent.last, http::http2_code::cancel);
    exchange();
    EXPECT_EQ(late.heard, (Heard{"head 200 0 ?", "body ab", "proxy_timeout"}));
    EXPECT_EQ(broken.heard, Heard{"bad_agent_answer"});
    EXPECT_EQ(half.heard, (Heard{"head 200 0 ?", "body ab", "bad_agent_answer"}));
}

// ---- What is said first ----

struct MultiplexerV2Greeting : MultiplexerV2Test {
    MultiplexerV2Greeting() : MultiplexerV2Test(3, 2) {}
    std::string pulled() {
        StringSink out;
        mux.pull(out, 1 << 20);
        return out.text;
    }
    std::string answered(std::string_view said) {
        EXPECT_TRUE(agent.session.receive(said));
        StringSink out;
        agent.session.pull(out, 1 << 20);
        return out.text;
    }
};

TEST_F(MultiplexerV2Greeting, IsSaidBeforeAnyRequestAndSoTheAgentsLimitIsKnownToTheFirst) {
    EXPECT_TRUE(mux.wants_output());
    const std::string preface = pulled();
    EXPECT_TRUE(preface.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) << preface;
    EXPECT_FALSE(mux.wants_output());
    EXPECT_EQ(pulled(), "");
    const std::string answer = answered(preface);
    ASSERT_GT(answer.size(), 18u);
    ASSERT_TRUE(mux.receive(answer, now));
    EXPECT_FALSE(mux.wants_output());  // It is kept until there is something to say.
    EXPECT_EQ(mux.stream_limit(), 3u);
    Visitor visitors[3];
    open(visitors[0]), open(visitors[1]);
    EXPECT_EQ(mux.stream_limit(), 2u);
    const auto third = mux.open({.method = "GET", .target = "/", .authority = "app.test"}, visitors[2], now);
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, "overloaded");
    exchange();
    EXPECT_EQ(agent.heads.size(), 2u);
    EXPECT_EQ(refused, "");
}

TEST_F(MultiplexerV2Greeting, AnythingElseThatAnAgentSaysIsHeardAtOnce) {
    const std::string answer = answered(pulled());
    ASSERT_TRUE(mux.receive(answer, now));
    agent.session.goaway(http::http2_code::no_error);
    ASSERT_TRUE(mux.receive(answered(""), now));
    EXPECT_TRUE(mux.is_draining());

    // A frame in two pieces, and more than is kept.
    for (const bool is_cut : {true, false}) {
        MultiplexerV2 other({.streams_max = 3});
        StringSink out;
        other.pull(out, 1 << 20);
        const std::size_t cut = is_cut ? 5 : 0;
        ASSERT_TRUE(other.receive(std::string_view(answer).substr(0, cut), now));
        ASSERT_TRUE(other.receive(std::string_view(answer).substr(cut), now));
        const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
        for (int i = 0; i < 30 && !is_cut; ++i) ASSERT_TRUE(other.receive(settings, now));
        EXPECT_EQ(other.stream_limit(), 2u);
        EXPECT_TRUE(other.wants_output());
    }
}

// ---- Streams of bytes, whose sides end each by itself ----

struct MultiplexerV2Bytes : MultiplexerV2Test {
    void SetUp() override {
        exchange();  // The agent says that it takes extended CONNECT.
        visitor.goes_on = true;
        id = mux.open({.method = "CONNECT",
                       .target = "/",
                       .body = "hello",
                       .body_follows = true,
                       .authority = "myapp.app.test",
                       .protocol = sealed_protocol},
                      visitor, now)
                 .value();
        exchange();
        agent.session.keep_receiving(agent.last);
        respond(200, {}, "", false);
        exchange();
        ASSERT_EQ(visitor.heard, Heard{"head 200 0 ?"});
        visitor.heard.clear();
    }

    Visitor visitor;
    StreamId id = 0;
};

TEST_F(MultiplexerV2Bytes, GoOnAfterTheAgentsSideHasEnded) {
    agent.session.send_body(agent.last, "bye");
    agent.session.end_body(agent.last);
    exchange();
    EXPECT_EQ(visitor.heard, (Heard{"body bye", "answer end"}));
    EXPECT_EQ(mux.open_streams(), 1u);
    mux.send_body(id, " more");
    exchange();
    EXPECT_EQ(agent.bodies[agent.last], "hello more");
    EXPECT_EQ(visitor.taken, 10u);
    mux.end_body(id, {});
    exchange();
    EXPECT_EQ(agent.ended, std::vector<Http2StreamId>{agent.last});
    EXPECT_EQ(visitor.heard, (Heard{"body bye", "answer end", "end 0"}));
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_TRUE(agent.resets.empty());
}

TEST_F(MultiplexerV2Bytes, GoOnAfterTheVisitorsSideHasEnded) {
    mux.end_body(id, {});
    exchange();
    EXPECT_EQ(agent.ended, std::vector<Http2StreamId>{agent.last});
    agent.session.send_body(agent.last, "late");
    exchange();
    agent.session.end_body(agent.last);
    exchange();
    EXPECT_EQ(visitor.heard, (Heard{"body late", "answer end", "end 0"}));
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_TRUE(agent.resets.empty());
}

TEST_F(MultiplexerV2Bytes, FailOnceWhenTheAgentBreaksOffBehindItsEnd) {
    agent.session.end_body(agent.last);
    exchange();
    agent.session.reset(agent.last, http::http2_code::connect_error);
    exchange();
    EXPECT_EQ(visitor.heard, (Heard{"answer end", "bad_agent_answer"}));
    EXPECT_EQ(mux.open_streams(), 0u);
}

TEST_F(MultiplexerV2Bytes, OfAnAgentThatWantsNoMoreAreNotTakenForWhole) {
    agent.session.end_body(agent.last);
    exchange();
    agent.session.reset(agent.last, http::http2_code::no_error);
    mux.send_body(id, "lost");
    exchange();
    EXPECT_EQ(visitor.heard, (Heard{"answer end", "bad_agent_answer"}));
}

TEST_F(MultiplexerV2Bytes, AreCancelledBehindTheEndOfEitherSide) {
    agent.session.end_body(agent.last);
    exchange();
    mux.cancel(id);
    exchange();
    EXPECT_EQ(visitor.heard, Heard{"answer end"});
    EXPECT_EQ(agent.resets[agent.last], http::http2_code::cancel);
    EXPECT_EQ(mux.open_streams(), 0u);
}

TEST_F(MultiplexerV2Bytes, FailWithTheTunnelAndByIdlenessBehindTheAgentsEnd) {
    agent.session.end_body(agent.last);
    exchange();
    mux.expire(now + 300s);
    EXPECT_EQ(visitor.heard, (Heard{"answer end", "proxy_timeout"}));
    Visitor other;
    other.goes_on = true;
    open(other, "", true);
    mux.close({"tunnel_closed", "x"});
    EXPECT_EQ(other.heard, Heard{"tunnel_closed"});
}

TEST_F(MultiplexerV2Test, TakesSoManyAndNoneOnceTheAgentStops) {
    Visitor visitors[4];
    for (int i = 0; i < 3; ++i) open(visitors[i]);
    EXPECT_EQ(mux.open({.method = "GET", .target = "/", .authority = "a"}, visitors[3], now).error().code,
              "overloaded");
    exchange();
    agent.session.begin_drain();
    agent.session.goaway(http::http2_code::no_error);
    exchange();
    EXPECT_TRUE(mux.is_draining());
    mux.cancel(1);
    EXPECT_EQ(mux.open({.method = "GET", .target = "/", .authority = "a"}, visitors[3], now).error().code,
              "tunnel_closed");
    respond(200);
    exchange();
    EXPECT_EQ(visitors[2].heard, (Heard{"head 200 0 0.", "end 0"})) << "what was open is finished";
    EXPECT_EQ(refused, "");
}

// The agent takes one stream at a time, too, and would refuse a second.
struct MultiplexerV2OfOne : MultiplexerV2Test {
    MultiplexerV2OfOne() : MultiplexerV2Test(1, 1) { exchange(); }
};

TEST_F(MultiplexerV2OfOne, OpensTheNextStreamWithinTheEndOfTheLast) {
    Visitor visitors[5];
    for (std::size_t i = 0; i + 1 < std::size(visitors); ++i)
        visitors[i].then = [&, i](std::string_view what) {
            EXPECT_EQ(mux.open_streams(), what.starts_with("end") ? 0u : 1u);
            if (what.starts_with("end")) open(visitors[i + 1]);
        };
    open(visitors[0]);
    for (const Visitor& visitor : visitors) {
        exchange();
        respond(200, {}, "abc");
        exchange();
        EXPECT_EQ(visitor.heard, (Heard{"head 200 0 ?", "body abc", "end 0"}));
    }
    EXPECT_TRUE(agent.resets.empty());
    EXPECT_EQ(refused, "");
}

TEST_F(MultiplexerV2OfOne, OpensTheNextStreamWhereARequestWasAnsweredBeforeItsEnd) {
    Visitor early, next;
    early.then = [&](std::string_view what) {
        if (what.starts_with("end")) open(next);
    };
    open(early, "some of it", true);
    exchange();
    respond(413);
    exchange();
    EXPECT_EQ(early.heard, (Heard{"head 413 0 0.", "end 0"}));
    respond(200);
    exchange();
    EXPECT_EQ(next.heard, (Heard{"head 200 0 0.", "end 0"}));
    EXPECT_EQ(refused, "");
}

TEST_F(MultiplexerV2OfOne, OpensTheNextStreamInPlaceOfOneThatWasCancelled) {
    Visitor left[3], stays;
    mux.cancel(open(left[0]));
    const StreamId sent = open(left[1]);
    exchange();
    EXPECT_EQ(agent.heads.size(), 1u) << "the first was cancelled before it was sent";
    mux.cancel(sent);
    mux.cancel(open(left[2]));
    open(stays);
    EXPECT_EQ(mux.open({.method = "GET", .target = "/", .authority = "a"}, left[0], now).error().code,
              "overloaded");
    exchange();
    respond(200);
    exchange();
    EXPECT_EQ(stays.heard, (Heard{"head 200 0 0.", "end 0"}));
    EXPECT_EQ(agent.heads.size(), 2u);
    EXPECT_EQ(agent.resets, (std::map<Http2StreamId, std::uint32_t>{
                                {static_cast<Http2StreamId>(sent), http::http2_code::cancel}}));
    EXPECT_EQ(refused, "");
}

TEST_F(MultiplexerV2Test, FailsStreamsOnWhichNothingComesOrGoes) {
    Visitor idle, busy;
    open(idle);
    const StreamId kept = open(busy, "", true);
    exchange();
    EXPECT_EQ(mux.next_deadline(), start + 300s);
    now = start + 200s;
    exchange();
    EXPECT_TRUE(mux.receive("", now));
    mux.send_body(kept, "x");
    exchange();
    mux.expire(start + 299s);
    EXPECT_TRUE(idle.heard.empty());
    mux.expire(start + 300s);
    EXPECT_EQ(idle.heard, Heard{"proxy_timeout"});
    EXPECT_TRUE(busy.heard.empty());
    EXPECT_EQ(mux.next_deadline(), start + 500s);
    exchange();
    EXPECT_EQ(agent.resets.size(), 1u);
}

TEST_F(MultiplexerV2Test, ClosesEachStreamOnceAndTakesNoMore) {
    Visitor a, b, c;
    open(a);
    const StreamId second = open(b);
    exchange();
    a.then = [&](std::string_view) { mux.cancel(second); };
    mux.close({"tunnel_closed", "x"});
    EXPECT_LE(a.heard.size() + b.heard.size(), 2u);
    EXPECT_GE(a.heard.size() + b.heard.size(), 1u);
    EXPECT_EQ(mux.open({.method = "GET", .target = "/", .authority = "a"}, c, now).error().code,
              "tunnel_closed");
    EXPECT_EQ(mux.open_streams(), 0u);
}

TEST_F(MultiplexerV2Test, CallbacksMayOpenCancelAndClose) {
    Visitor first, second, third;
    const StreamId id = open(first);
    first.then = [&](std::string_view what) {
        if (what.starts_with("head")) {
            mux.cancel(id);
            open(second);
        }
    };
    second.then = [&](std::string_view what) {
        if (what.starts_with("body")) mux.close({"tunnel_closed", ""});
    };
    exchange();
    respond(200, {}, "abc");
    exchange();
    EXPECT_EQ(first.heard, Heard{"head 200 0 ?"}) << "nothing comes after cancel()";
    respond(200, {}, "abc");
    exchange();
    EXPECT_EQ(second.heard, (Heard{"head 200 0 ?", "body abc", "tunnel_closed"}));
}

TEST_F(MultiplexerV2Test, RefusesWhatIsNoHttp2) {
    Visitor visitor;
    open(visitor);
    StringSink said;
    mux.pull(said, 1 << 20);
    EXPECT_FALSE(mux.is_broken());
    const auto taken = mux.receive("HTTP/1.1 200 OK\r\n\r\n", now);
    mux.pull(said, 1 << 20);
    EXPECT_TRUE(!taken || mux.is_broken());
}

TEST(MessageSink, CutsMessagesAtTheirLimit) {
    std::string out;
    {
        MessageSink sink(out, [] { return std::optional<http::MaskKey>({1, 2, 3, 4}); });
        for (int i = 0; i < 100; ++i) sink.write(std::string(999, static_cast<char>('a' + i % 26)));
    }
    http::FrameDecoder decoder(http::FrameDecoder::Role::server,
                               {.text_bytes_max = 0, .binary_bytes_max = message_bytes_max});
    std::span<char> rest(out);
    std::string all;
    std::vector<std::size_t> sizes;
    while (!rest.empty()) {
        std::size_t consumed = 0;
        const auto event = decoder.next(rest, consumed).value();
        ASSERT_TRUE(event);
        all.append(event->payload);
        sizes.push_back(event->payload.size());
        rest = rest.subspan(consumed);
    }
    EXPECT_EQ(all.size(), 99'900u);
    EXPECT_EQ(all.substr(998, 3), "abb");
    EXPECT_EQ(sizes,
              (std::vector<std::size_t>{16384, 16384, 16384, 16384, 16384, 16384, 99'900 - 6 * 16384}));
}

}  // namespace
}  // namespace ee::tunnel

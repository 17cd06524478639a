#include "tunnel/multiplexer_v1.h"

#include <functional>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "protocol/decoder.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;

const MonoTime start{1000h};

// Writes down what it is told; may act when it is.
class Visitor final : public StreamObserver {
public:
    std::vector<std::string> heard;
    std::function<void(std::string_view)> then = [](std::string_view) {};

    void on_head(int status, std::span<const http::Field> headers,
                 std::optional<std::uint64_t> content_length, bool end) override {
        hear(fmt::format("head {} {} {}{}", status, headers.size(), content_length.value(), end ? "." : ""));
    }
    void on_body(std::string_view bytes) override { hear(fmt::format("body {}", bytes)); }
    void on_end(std::span<const http::Field>) override { hear("end"); }
    void on_failed(const Error& error) override { hear(error.code); }

private:
    void hear(std::string what) {
        heard.push_back(what);
        then(what);
    }
};

using Heard = std::vector<std::string>;

StreamRequest get(std::string_view target, std::string_view body = {}) {
    return {"GET", target, {}, body};
}

protocol::ProxyResponse answer(StreamId id, std::string body = "hi") {
    return {std::to_string(id), protocol::ProxyAnswer{200, {{"A", "1"}}, std::move(body)}};
}

std::string next(MultiplexerV1& mux) {
    std::string text;
    return mux.next_message(text) ? text : "";
}

StreamId open(MultiplexerV1& mux, Visitor& visitor, MonoTime deadline = start + 15s) {
    return mux.open(get("/x"), visitor, deadline).value();
}

TEST(MultiplexerV1, ARequestGoesOutAndItsAnswerComesBack) {
    MultiplexerV1 mux({});
    Visitor visitor;
    const http::Field headers[] = {{"Host", "h"}};
    const StreamId id = mux.open({"POST", "/a?b", headers, "body"}, visitor, start + 15s).value();
    EXPECT_TRUE(visitor.heard.empty());
    EXPECT_EQ(next(mux),
              fmt::format(R"({{"type":"proxy_request","request_id":"{}","method":"POST","path":"/a?b",)"
                          R"("headers":{{"Host":"h"}},"body_b64":"Ym9keQ=="}})",
                          id));
    EXPECT_EQ(mux.open_streams(), 1u);
    mux.receive(answer(id));
    EXPECT_EQ(visitor.heard, (Heard{"head 200 1 2", "body hi", "end"}));
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_EQ(mux.outstanding(), 0u);
}

TEST(MultiplexerV1, AnEmptyBodyIsNoBody) {
    MultiplexerV1 mux({});
    Visitor visitor;
    const StreamId id = open(mux, visitor);
    next(mux);
    mux.receive(answer(id, ""));
    EXPECT_EQ(visitor.heard, (Heard{"head 200 1 0.", "end"}));
}

TEST(MultiplexerV1, AnAgentThatAnswersInTurnGetsOneRequestAtATime) {
    MultiplexerV1 mux({});
    Visitor a, b;
    const StreamId first = open(mux, a);
    open(mux, b);
    EXPECT_NE(next(mux), "");
    EXPECT_EQ(next(mux), "");
    EXPECT_EQ(mux.waiting(), 1u);
    mux.receive(answer(first));
    EXPECT_NE(next(mux), "");
}

TEST(MultiplexerV1, AsManyAreOutstandingAsTheAgentTakes) {
    MultiplexerV1 mux({.outstanding_max = 3, .waiting_max = 2});
    Visitor visitor;
    EXPECT_EQ(mux.stream_limit(), 5u);
    for (int i = 0; i < 5; ++i) open(mux, visitor);
    const auto refused = mux.open(get("/x"), visitor, start + 15s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "overloaded");
    int sent = 0;
    while (next(mux) != "") ++sent;
    EXPECT_EQ(sent, 3);
    EXPECT_EQ(mux.outstanding(), 3u);
    EXPECT_EQ(mux.open_streams(), 5u);
}

TEST(MultiplexerV1, RequestsThatWaitAreCountedUntilTheyAreWrittenOrGone) {
    BodyMemory memory(1 << 20);
    Visitor visitor;
    {
        MultiplexerV1 mux({.memory = &memory});
        open(mux, visitor);
        const std::size_t one = memory.held();
        EXPECT_GT(one, 40u);
        const StreamId cancelled = open(mux, visitor);
        open(mux, visitor);
        EXPECT_EQ(memory.held(), 3 * one);
        EXPECT_EQ(next(mux).size(), one);
        EXPECT_EQ(memory.held(), 2 * one);
        mux.cancel(cancelled);
        EXPECT_EQ(memory.held(), one);
    }
    EXPECT_EQ(memory.held(), 0u);
}

TEST(MultiplexerV1, AnswersMayComeInAnyOrder) {
    MultiplexerV1 mux({.outstanding_max = 2});
    Visitor a, b;
    const StreamId first = open(mux, a), second = open(mux, b);
    next(mux), next(mux);
    mux.receive(answer(second, "b"));
    mux.receive(answer(first, "a"));
    EXPECT_EQ(a.heard[1], "body a");
    EXPECT_EQ(b.heard[1], "body b");
}

TEST(MultiplexerV1, ARequestOverTheFrameLimitIsRefusedAtOnce) {
    MultiplexerV1 mux({});
    Visitor visitor;
    const std::string huge(4 * 1024 * 1024, 'x'), fits(3 * 1024 * 1024 - 1024, 'x'),
        head_tips(3 * 1024 * 1024, 'x');
    EXPECT_EQ(mux.open(get("/", huge), visitor, start).error().code, "body_too_large");
    EXPECT_EQ(mux.open(get("/", head_tips), visitor, start).error().code, "body_too_large");
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_TRUE(mux.open(get("/", fits), visitor, start));
    EXPECT_LE(next(mux).size(), 4u * 1024 * 1024);
}

TEST(MultiplexerV1, NoMessageReachesFourMebibytesWhereDeployedAgentsCloseTheTunnel) {
    MultiplexerV1 mux({.outstanding_max = 2});
    Visitor visitor;
    const std::string body(3'000'000, 'x');
    open(mux, visitor);
    const std::size_t around = next(mux).size();
    const std::size_t path_bytes = 4 * 1024 * 1024 - 1 - around - base64_size(body.size()) + 2;
    const std::string path = "/" + std::string(path_bytes - 1, 'p');
    EXPECT_EQ(mux.open(get(path + "p", body), visitor, start).error().code, "body_too_large");
    EXPECT_TRUE(mux.open(get(path, body), visitor, start));
    EXPECT_EQ(next(mux).size(), 4u * 1024 * 1024 - 1);
}

TEST(MultiplexerV1, CarriesNoUpgradeAndNoBodyThatIsStillToCome) {
    MultiplexerV1 mux({});
    Visitor visitor;
    StreamRequest upgrade = get("/x"), upload = get("/x");
    upgrade.protocol = "websocket";
    upload.body_follows = true;
    for (const StreamRequest& request : {upgrade, upload}) {
        const auto refused = mux.open(request, visitor, start + 15s);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, "upgrade_unsupported");
    }
    EXPECT_EQ(mux.open_streams(), 0u);
}

TEST(MultiplexerV1, AnAnswerOverTheBodyLimitIsABadOne) {
    MultiplexerV1 mux({.outstanding_max = 2, .body_bytes_max = 4});
    Visitor over, at;
    const StreamId first = open(mux, over), second = open(mux, at);
    next(mux), next(mux);
    mux.receive(answer(first, "12345"));
    mux.receive(answer(second, "1234"));
    EXPECT_EQ(over.heard, Heard{"bad_agent_answer"});
    EXPECT_EQ(at.heard.back(), "end");
}

TEST(MultiplexerV1, ABrokenAnswerAndAnUnreachableBackendFailTheirRequestOnly) {
    MultiplexerV1 mux({.outstanding_max = 3});
    Visitor a, b, c;
    const StreamId first = open(mux, a), second = open(mux, b), third = open(mux, c);
    while (next(mux) != "") {
    }
    mux.receive({std::to_string(first), fail("bad_agent_answer")});
    mux.receive({std::to_string(second), fail("backend_unreachable")});
    mux.receive(answer(third));
    EXPECT_EQ(a.heard, Heard{"bad_agent_answer"});
    EXPECT_EQ(b.heard, Heard{"backend_unreachable"});
    EXPECT_EQ(c.heard.back(), "end");
}

TEST(MultiplexerV1, AnswersOfUnknownRequestsAreDroppedAndCounted) {
    MultiplexerV1 mux({.outstanding_max = 1});
    Visitor sent, waiting;
    const StreamId first = open(mux, sent), second = open(mux, waiting);
    next(mux);
    for (const std::string& id :
         {std::string("0"), std::string("99"), std::string(""), std::string("x"), "0" + std::to_string(first),
          std::to_string(first) + " ", std::string("99999999999999999999999"), std::to_string(second)})
        mux.receive({id, protocol::ProxyAnswer{200, {}, ""}});
    EXPECT_EQ(mux.unknown_answers(), 8u);
    EXPECT_TRUE(sent.heard.empty());
    EXPECT_TRUE(waiting.heard.empty());
    mux.receive(answer(first));
    mux.receive(answer(first));  // Answered already.
    EXPECT_EQ(mux.unknown_answers(), 9u);
    EXPECT_EQ(sent.heard.size(), 3u);
}

TEST(MultiplexerV1, ACancelledWaitingRequestIsNeverSent) {
    MultiplexerV1 mux({});
    Visitor a, b;
    open(mux, a);
    const StreamId second = open(mux, b);
    next(mux);
    mux.cancel(second);
    EXPECT_EQ(mux.waiting(), 0u);
    EXPECT_TRUE(b.heard.empty());
    mux.cancel(second);
    mux.cancel(77);
    EXPECT_EQ(mux.open_streams(), 1u);
}

TEST(MultiplexerV1, TheLateAnswerOfACancelledRequestIsSwallowedAndFreesItsPlace) {
    MultiplexerV1 mux({});
    Visitor gone, patient;
    const StreamId first = open(mux, gone);
    const StreamId second = open(mux, patient);
    next(mux);
    mux.cancel(first);
    EXPECT_EQ(mux.open_streams(), 1u);
    EXPECT_EQ(mux.outstanding(), 1u);
    EXPECT_EQ(next(mux), "") << "the agent is still busy with the cancelled one";
    mux.receive(answer(first));
    EXPECT_TRUE(gone.heard.empty());
    EXPECT_EQ(mux.late_answers(), 1u);
    EXPECT_NE(next(mux), "");
    mux.receive(answer(second));
    EXPECT_EQ(patient.heard.back(), "end");
    EXPECT_EQ(mux.unknown_answers(), 0u);
}

TEST(MultiplexerV1, ALostAnswerDoesNotBlockAnAgentThatAnswersInTurnForEver) {
    MultiplexerV1 mux({.abandoned_time = 60s});
    Visitor unlucky, next_one;
    const StreamId lost = open(mux, unlucky, start + 15s);
    next(mux);
    mux.expire(start + 15s);
    EXPECT_EQ(unlucky.heard, Heard{"proxy_timeout"});
    const StreamId second = open(mux, next_one, start + 90s);
    mux.expire(start + 74s);
    EXPECT_EQ(next(mux), "") << "it may still be working on the first";
    EXPECT_EQ(mux.next_deadline(), start + 75s);
    mux.expire(start + 75s);
    EXPECT_NE(next(mux), "");
    mux.receive(answer(lost));
    EXPECT_EQ(mux.unknown_answers(), 1u);
    mux.receive(answer(second));
    EXPECT_EQ(next_one.heard.back(), "end");
}

TEST(MultiplexerV1, WaitingCountsAgainstTheDeadline) {
    MultiplexerV1 mux({});
    Visitor sent, waiting, later;
    const StreamId first = open(mux, sent, start + 5s);
    open(mux, waiting, start + 6s);
    open(mux, later, start + 20s);
    next(mux);
    EXPECT_EQ(mux.next_deadline(), start + 5s);
    mux.expire(start + 4s);
    EXPECT_TRUE(sent.heard.empty());
    mux.expire(start + 6s);
    EXPECT_EQ(sent.heard, Heard{"proxy_timeout"});
    EXPECT_EQ(waiting.heard, Heard{"proxy_timeout"});
    EXPECT_TRUE(later.heard.empty());
    EXPECT_EQ(mux.next_deadline(), start + 20s);
    EXPECT_EQ(next(mux), "") << "the expired one still occupies the agent";
    mux.receive(answer(first));
    EXPECT_EQ(sent.heard.size(), 1u);
    EXPECT_NE(next(mux), "");
}

TEST(MultiplexerV1, ClosingFailsEachOpenRequestOnce) {
    MultiplexerV1 mux({.outstanding_max = 2});
    Visitor written, cancelled, waiting;
    open(mux, written);
    const StreamId second = open(mux, cancelled);
    open(mux, waiting);
    next(mux), next(mux);
    mux.cancel(second);
    mux.close({"tunnel_closed", "gone"});
    mux.close({"tunnel_closed", "again"});
    mux.expire(start + 1h);
    EXPECT_EQ(written.heard, Heard{"tunnel_closed"});
    EXPECT_EQ(waiting.heard, Heard{"tunnel_closed"});
    EXPECT_TRUE(cancelled.heard.empty());
    EXPECT_EQ(mux.open_streams(), 0u);
    EXPECT_EQ(mux.outstanding(), 0u);
    EXPECT_EQ(mux.open(get("/"), written, start).error().code, "tunnel_closed");
    EXPECT_EQ(next(mux), "");
}

TEST(MultiplexerV1, NothingFollowsACancelFromWithinACallback) {
    MultiplexerV1 mux({});
    Visitor visitor;
    const StreamId id = open(mux, visitor);
    visitor.then = [&](std::string_view) { mux.cancel(id); };
    next(mux);
    mux.receive(answer(id));
    EXPECT_EQ(visitor.heard, Heard{"head 200 1 2"});
}

TEST(MultiplexerV1, ACallbackMayOpenTheNextRequest) {
    MultiplexerV1 mux({});
    Visitor a, b;
    const StreamId first = open(mux, a);
    StreamId second = 0;
    a.then = [&](std::string_view what) {
        if (what == "end") second = open(mux, b);
    };
    next(mux);
    mux.receive(answer(first));
    EXPECT_NE(next(mux), "");
    mux.receive(answer(second));
    EXPECT_EQ(b.heard.back(), "end");
}

TEST(MultiplexerV1, ACallbackMayCancelTheOthersThatExpireOrClose) {
    for (const bool by_close : {false, true}) {
        MultiplexerV1 mux({.outstanding_max = 2});
        Visitor visitors[4];
        std::vector<StreamId> ids;
        for (Visitor& visitor : visitors) ids.push_back(open(mux, visitor));
        next(mux), next(mux);
        for (Visitor& visitor : visitors)
            visitor.then = [&](std::string_view) {
                for (const StreamId id : ids) mux.cancel(id);
                EXPECT_EQ(mux.open_streams(), 0u);
            };
        if (by_close)
            mux.close({"tunnel_closed", ""});
        else
            mux.expire(start + 15s);
        std::size_t told = 0;
        for (const Visitor& visitor : visitors) told += visitor.heard.size();
        EXPECT_EQ(told, 1u);
        EXPECT_EQ(mux.waiting(), 0u);
    }
}

TEST(MultiplexerV1, AFailedRequestCanBeOpenedAgainFromItsCallback) {
    MultiplexerV1 mux({.outstanding_max = 2});
    Visitor visitor;
    open(mux, visitor, start + 1s);
    int reopened = 0;
    visitor.then = [&](std::string_view) {
        if (++reopened == 1) open(mux, visitor, start + 30s);
    };
    mux.expire(start + 1s);
    EXPECT_EQ(visitor.heard, Heard{"proxy_timeout"});
    EXPECT_EQ(mux.open_streams(), 1u);
    EXPECT_EQ(mux.next_deadline(), start + 30s);
}

TEST(MultiplexerV1, BuffersAreReusedWithoutMixingRequests) {
    MultiplexerV1 mux({.outstanding_max = 256});
    Visitor visitor;
    protocol::Decoder decoder;
    std::string out;
    for (int i = 0; i < 100; ++i) {
        const std::string target = fmt::format("/{}", std::string(static_cast<std::size_t>(100 - i), 'x'));
        mux.open(get(target), visitor, start).value();
        ASSERT_TRUE(mux.next_message(out));
        const auto message = decoder.decode_control_message(protocol::PaddedText(out));
        EXPECT_EQ(std::get<protocol::ProxyRequest>(*message).path, target);
    }
}

}  // namespace
}  // namespace ee::tunnel

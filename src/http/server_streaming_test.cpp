// Requests and answers whose bodies come and go in pieces.

#include <algorithm>

#include <gtest/gtest.h>

#include "http/server.h"
#include "http/test_http_server.h"
#include "http/test_transfer.h"
#include "net/test_certificate.h"
#include "net/test_peer.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::Peer;
using net::run_turns;
using net::run_until;

// A visitor that sends so many bytes as fast as they are taken, and counts what it hears.
struct Pump final : net::Stream::Handler {
    Pump(net::Loop& loop, net::Fd socket, std::string_view head, std::uint64_t bytes,
         std::unique_ptr<net::TlsSession> tls = nullptr)
        : left(bytes), stream(loop, std::move(socket), *this, std::move(tls)) {
        stream.start();
        stream.write(head);
        more();
    }
    void on_data(std::span<char> data) override {
        heard += data.size();
        start.append(data.data(), std::min(data.size(), start_max - std::min(start_max, start.size())));
    }
    void on_drained() override { more(); }
    void on_closed(const Error& why) override { closed = why.code; }
    void more() {
        const std::size_t size = std::min<std::uint64_t>(left, piece.size());
        left -= size;
        stream.write(std::string_view(piece).substr(0, size));
    }

    static constexpr std::size_t start_max = 4096;
    const std::string piece = std::string(256 * 1024, 'u');
    std::uint64_t left, heard = 0;
    std::string start, closed;
    net::Stream stream;
};

class HttpStreaming : public ServerTest<StreamingHandler> {
protected:
    std::unique_ptr<Pump> pump(std::string_view head, std::uint64_t bytes) {
        return std::make_unique<Pump>(loop, net::connect_to(server->port()), head, bytes);
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done, 60s); }
    // The transfer that the next request becomes.
    Transfer& next(std::size_t index = 0) {
        EXPECT_TRUE(until([&] { return handler.transfers.size() > index; }));
        return *handler.transfers.at(index);
    }
};

std::string post(std::string_view fields, std::string_view body = "") {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::string sized(std::uint64_t bytes) {
    return "Content-Length: " + std::to_string(bytes) + "\r\n";
}
const std::string chunked = "Transfer-Encoding: chunked\r\n";
const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";

// ---- Requests ----

TEST_F(HttpStreaming, HandsOutABodyAsItComes) {
    open();
    const auto visitor = visit();
    visitor->say(post(sized(6), "ab"));
    Transfer& transfer = next();
    ASSERT_TRUE(until([&] { return transfer.body == "ab"; }));
    EXPECT_TRUE(transfer.exchange->body_follows());
    visitor->say("cd");
    ASSERT_TRUE(until([&] { return transfer.body == "abcd"; }));
    EXPECT_EQ(transfer.ended, 0);
    visitor->say("ef");
    ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
    EXPECT_EQ(transfer.body, "abcdef");
    EXPECT_FALSE(transfer.exchange->body_follows());
    transfer.respond(200, "done");
    EXPECT_TRUE(until([&] { return visitor->received == ok("done"); }));
    EXPECT_EQ(handler.wholes, std::vector<std::string>{""});
}

TEST_F(HttpStreaming, ASmallBodyThatCameWithItsHeadIsWhole) {
    limits.whole_body_bytes_max = 5;
    handler.serve = [](Transfer& transfer) {
        const bool follows = transfer.exchange->body_follows();
        if (follows) transfer.on_end = [&transfer] { transfer.respond(200, "followed"); };
        if (follows) return transfer.exchange->take_body();
        transfer.respond(200, "whole");
    };
    open();
    const auto visitor = visit();
    visitor->say(post(sized(5), "12345") + post(sized(6), "123456") + post(sized(0)) +
                 post(chunked, "1\r\na\r\n0\r\n\r\n"));
    ASSERT_TRUE(until([&] { return handler.transfers.size() == 4; }));
    EXPECT_TRUE(until([&] {
        return visitor->received == ok("whole") + ok("followed") + ok("whole") + ok("followed");
    })) << visitor->received;
    EXPECT_EQ(handler.wholes, (std::vector<std::string>{"12345", "", "", ""}));
    EXPECT_EQ(handler.transfers[1]->body, "123456");
}

TEST_F(HttpStreaming, TakesTheFramingOffHoweverABodyIsCut) {
    open();
    const std::string request =
        post(chunked, "3;x=\"y\"\r\nabc\r\n00002\r\nde\r\n0\r\nX-Sum: 7\r\nY: z\r\n\r\n");
    for (std::size_t size = 1; size < 9; ++size) {
        const auto visitor = visit();
        for (std::size_t i = 0; i < request.size(); i += size) {
            visitor->say(std::string_view(request).substr(i, size));
            run_turns(loop, 2);
        }
        Transfer& transfer = next(size - 1);
        ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
        EXPECT_EQ(transfer.body, "abcde");
        EXPECT_EQ(transfer.trailers, (std::vector<OwnedField>{{"X-Sum", "7"}, {"Y", "z"}}));
        transfer.respond(200, "ok");
        EXPECT_TRUE(until([&] { return visitor->received == ok("ok"); }));
    }
}

TEST_F(HttpStreaming, ServesWhatIsPipelinedBehindAStreamedBody) {
    open();
    const auto visitor = visit();
    visitor->say(post(chunked, "2\r\nxy\r\n0\r\n\r\n") + "GET / HTTP/1.1\r\nHost: a\r\n\r\n" +
                 post(chunked, "1\r\nz\r\n0\r\n\r\n"));
    ASSERT_TRUE(until([&] { return next().ended == 1; }));
    run_turns(loop, 5);
    EXPECT_EQ(handler.transfers.size(), 1u);  // One after another.
    next().respond(200, "first");
    ASSERT_TRUE(until([&] { return next(2).ended == 1; }));
    next(2).respond(200, "third");
    EXPECT_TRUE(until([&] { return visitor->received == ok("first") + ok("no body") + ok("third"); }))
        << visitor->received;
    EXPECT_EQ(next(2).body, "z");
}

TEST_F(HttpStreaming, TakesAnUploadOfAnySizeInBoundedMemory) {
    constexpr std::uint64_t size = 256ull << 20;
    handler.serve = [](Transfer& transfer) {
        transfer.keeps = false;
        transfer.exchange->take_body();
    };
    for (const bool in_chunks : {false, true}) {
        if (!server) open();
        const std::string chunk_head = "10000000\r\n";  // One chunk of 256 MiB.
        const auto visitor = pump(post(in_chunks ? chunked : sized(size), in_chunks ? chunk_head : ""), size);
        Transfer& transfer = next(in_chunks ? 1 : 0);
        // Consumes later, as one that passes it on does.
        transfer.consumes = false;
        std::size_t stalls = 0;
        transfer.on_piece = [&] {
            if (transfer.unconsumed <= limits.unconsumed_bytes_max) return;
            ++stalls;
            loop.post([&] {
                if (transfer.exchange != nullptr) transfer.consume();
            });
        };
        ASSERT_TRUE(until([&] { return transfer.received == size; }));
        EXPECT_GT(stalls, 0u);
        EXPECT_LE(transfer.unconsumed_most, limits.unconsumed_bytes_max + net::Loop::read_buffer_size);
        if (in_chunks) visitor->stream.write("\r\n0\r\n\r\n");
        ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
        transfer.respond(200, "done");
        EXPECT_TRUE(until([&] { return visitor->start == ok("done"); }));
    }
}

TEST_F(HttpStreaming, StopsReadingWhileTooMuchIsUnconsumed) {
    limits.unconsumed_bytes_max = 64 * 1024;
    open();
    const auto visitor = pump(post(sized(64 << 20)), 64 << 20);
    Transfer& transfer = next();
    transfer.consumes = transfer.keeps = false;
    ASSERT_TRUE(until([&] { return transfer.unconsumed > limits.unconsumed_bytes_max; }));
    run_turns(loop, 20);
    const std::uint64_t received = transfer.received;
    EXPECT_LE(received, limits.unconsumed_bytes_max + net::Loop::read_buffer_size);
    const std::size_t still_too_much = limits.unconsumed_bytes_max + 1;
    transfer.exchange->body_consumed(std::exchange(transfer.unconsumed, still_too_much) - still_too_much);
    run_turns(loop, 20);
    EXPECT_EQ(transfer.received, received);
    transfer.consumes = true;
    transfer.consume();
    ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
    EXPECT_EQ(transfer.received, 64u << 20);
}

TEST_F(HttpStreaming, ABodyMayPauseLongerThanAnyDeadline) {
    limits.head_time = limits.keep_alive_time = limits.body_idle_time = limits.write_idle_time = 16ms;
    open();
    const auto visitor = visit();
    visitor->say(post(chunked, "1\r\na\r\n"));
    Transfer& transfer = next();
    ASSERT_TRUE(until([&] { return transfer.body == "a"; }));
    ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
    transfer.exchange->send("x");
    bool later = false;
    net::Timer late(loop, [&] { later = true; });
    late.arm_after(120ms);
    ASSERT_TRUE(until([&] { return later; }));
    visitor->say("1\r\nb\r\n0\r\n\r\n");
    ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
    EXPECT_EQ(transfer.body, "ab");
    transfer.finish();
    EXPECT_TRUE(until([&] { return visitor->received.ends_with("1\r\nx\r\n0\r\n\r\n"); }));
}

// ---- 100 Continue and other interim answers ----

TEST_F(HttpStreaming, TellsAVisitorToGoOnWhenTheBodyIsTaken) {
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    visitor->say(post(sized(4) + "Expect: 100-continue\r\n"));
    Transfer& transfer = next();
    run_turns(loop, 5);
    EXPECT_EQ(visitor->received, "");
    transfer.exchange->take_body();
    ASSERT_TRUE(until([&] { return visitor->received == go_on; }));
    visitor->say("body");
    ASSERT_TRUE(until([&] { return transfer.ended == 1; }));
    transfer.respond(200, "ok");
    EXPECT_TRUE(until([&] { return visitor->received == go_on + ok("ok"); }));
    EXPECT_EQ(visitor->closed, "");
}

TEST_F(HttpStreaming, NeverTellsAVisitorToGoOnTwiceNorAfterItsAnswerBegan) {
    const Field link{"Link", "</a>"};
    handler.serve = [&](Transfer& transfer) {
        ASSERT_TRUE(transfer.exchange->interim(103, {&link, 1}));
        ASSERT_TRUE(transfer.exchange->interim(100, {}));
        ASSERT_TRUE(transfer.exchange->interim(100, {}));
        transfer.exchange->take_body();
    };
    open();
    const auto visitor = visit();
    visitor->say(post(sized(4) + "Expect: 100-continue\r\n"));
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + go_on;
    ASSERT_TRUE(until([&] { return visitor->received == interim; })) << visitor->received;
    visitor->say("body");
    ASSERT_TRUE(until([&] { return next().ended == 1; }));
    next().respond(200, "ok");
    EXPECT_TRUE(until([&] { return visitor->received == interim + ok("ok"); }));

    handler.serve = [](Transfer& transfer) {
        ASSERT_TRUE(transfer.exchange->begin(200, {}, 2));
        transfer.exchange->take_body();
    };
    const auto other = visit();
    other->say(post(sized(4) + "Expect: 100-continue\r\n", "bo"));
    ASSERT_TRUE(until([&] { return next(1).body == "bo"; }));
    next(1).exchange->send("ok");
    next(1).finish();
    EXPECT_TRUE(until([&] {
        return other->received == ok("", "Connection: close\r\n").replace(33, 1, "2") + "ok";
    })) << other->received;
}

TEST_F(HttpStreaming, AsksForNoBodyThatIsAnsweredAtOnce) {
    handler.serve = [](Transfer& transfer) { transfer.respond(200, "no need"); };
    open();
    const auto visitor = visit();
    visitor->say(post(sized(4) + "Expect: 100-continue\r\n"));
    EXPECT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->received, ok("no need", "Connection: close\r\n"));
}

TEST_F(HttpStreaming, GivesInterimAnswersToNoOldVisitorAndNoneWithAFieldThatCannotBeWritten) {
    handler.serve = [](Transfer& transfer) {
        const Field bad{"Link", "a\r\nb"}, good{"Link", "a"};
        EXPECT_TRUE(transfer.exchange->interim(103, {&good, 1}));
        EXPECT_EQ(transfer.exchange->interim(103, {&bad, 1}), transfer.exchange->head().minor_version == 0);
        transfer.respond(200, "ok");
    };
    open();
    const auto old = visit(), visitor = visit();
    old->say("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(until([&] { return old->received == ok("ok", "Connection: close\r\n"); })) << old->received;
    visitor->say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(until([&] {
        return visitor->received == "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok("ok");
    })) << visitor->received;
}

// ---- Answers before the body has come ----

TEST_F(HttpStreaming, KeepsTheConnectionWhenLittleOfAnAnsweredBodyIsLeft) {
    handler.serve = [](Transfer& transfer) {
        if (!transfer.exchange->body_follows()) return transfer.respond(200, "next");
        transfer.respond(413, "no");
    };
    const std::string refused = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    open();
    for (const std::string& request : {post(sized(5), "he"), post(chunked, "5\r\nhe")}) {
        const auto visitor = visit();
        visitor->say(request);
        ASSERT_TRUE(until([&] { return visitor->received == refused; })) << visitor->received;
        visitor->say(request.find("chunked") == std::string::npos ? "llo" : "llo\r\n0\r\nX: y\r\n\r\n");
        visitor->say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_TRUE(until([&] { return visitor->received == refused + ok("next"); })) << visitor->received;
        EXPECT_EQ(visitor->closed, "");
    }
}

TEST_F(HttpStreaming, EndsTheConnectionWhenMuchOfAnAnsweredBodyIsLeftAndTheVisitorHasItsAnswer) {
    handler.serve = [](Transfer& transfer) { transfer.respond(413, "no"); };
    const std::string head = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n";
    open();
    // Known from the start, and found out while it comes.
    const std::pair<std::string, std::string> rows[] = {
        {post(sized(8 << 20)), head + "Connection: close\r\n\r\nno"},
        {post(chunked, "800000\r\n"), head + "\r\nno"},
    };
    for (const auto& [request, answer] : rows) {
        const auto visitor = pump(request, 8 << 20);
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_EQ(visitor->start, answer);
        EXPECT_EQ(visitor->closed, "closed");  // No reset took it away.
    }
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
}

TEST_F(HttpStreaming, ALongAnswerReachesAVisitorThatSendsItsBodyFirst) {
    handler.serve = [](Transfer& transfer) { transfer.respond(413, std::string(16 << 20, 'n')); };
    open();
    const auto visitor = pump(post(chunked, "800000\r\n"), 8 << 20);
    visitor->stream.pause_reading();
    ASSERT_TRUE(until([&] { return visitor->left == 0 && visitor->stream.pending_output() == 0; }));
    visitor->stream.resume_reading();
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->closed, "closed");
    EXPECT_GT(visitor->heard, 16u << 20);
}

TEST_F(HttpStreaming, AnswersWhileTheBodyStillComes) {
    handler.serve = [](Transfer& transfer) {
        ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
        transfer.on_piece = [&transfer] { transfer.exchange->send(std::exchange(transfer.body, {})); };
        transfer.on_end = [&transfer] { transfer.finish(); };
        transfer.exchange->take_body();
    };
    open();
    const auto visitor = visit();
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    visitor->say(post(sized(6), "one"));
    ASSERT_TRUE(until([&] { return visitor->received == head + "3\r\none\r\n"; })) << visitor->received;
    visitor->say("two" + post(sized(3)));
    ASSERT_TRUE(until([&] { return handler.transfers.size() == 2; }));
    visitor->say("end");
    EXPECT_TRUE(until([&] {
        return visitor->received ==
               head + "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" + head + "3\r\nend\r\n0\r\n\r\n";
    })) << visitor->received;
}

// ---- Broken off ----

TEST_F(HttpStreaming, TellsOnceThatAVisitorLeftInTheMiddleOfItsBody) {
    open();
    for (const bool paused : {false, true}) {
        auto visitor = pump(post(sized(64 << 20)), paused ? 64 << 20 : 1000);
        Transfer& transfer = next(paused ? 1 : 0);
        transfer.consumes = !paused;
        ASSERT_TRUE(until([&] { return transfer.received >= 1000; }));
        run_turns(loop, 20);
        visitor.reset();
        ASSERT_TRUE(until([&] {
            if (transfer.exchange != nullptr && transfer.unconsumed > 0) transfer.consume();
            return transfer.gone == 1;
        }));
        EXPECT_EQ(transfer.ended, 0);
    }
    EXPECT_EQ(server->connections(), 0u);
}

TEST_F(HttpStreaming, RefusesABodyThatBreaksTheRulesUnlessItsAnswerHasBegun) {
    struct Row {
        std::string body;
        std::string refused;
    };
    const Row rows[] = {
        {"3\r\nabc\r\nzz\r\n", "400 bad_chunk"},
        {"3\r\nabcd\r\n", "400 bad_chunk"},
        {"3\r\nabc\r\n0\r\nContent-Length: 1\r\n\r\n", "400 bad_trailer"},
        {"3\r\nabc\r\n8\r\ntoo much\r\n", "413 body_too_large"},
    };
    handler.body_max = 10;
    open();
    for (const bool begun : {false, true}) {
        handler.serve = [begun](Transfer& transfer) {
            EXPECT_TRUE(!begun || transfer.exchange->begin(200, {}, std::nullopt));
            transfer.exchange->take_body();
        };
        for (const Row& row : rows) {
            const std::size_t index = handler.transfers.size();
            const auto visitor = visit();
            visitor->say(post(chunked, row.body) + post(sized(1), "s"));
            ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
            EXPECT_EQ(handler.refused.back(), row.refused);
            EXPECT_EQ(next(index).gone, 1) << row.body;
            EXPECT_EQ(next(index).ended, 0);
            EXPECT_EQ(handler.transfers.size(), index + 1);
            const std::string status = begun ? "200" : row.refused.substr(0, 3);
            EXPECT_TRUE(visitor->received.empty() || visitor->received.starts_with("HTTP/1.1 " + status))
                << visitor->received;
            EXPECT_EQ(visitor->received.find("0\r\n\r\n"),
                      std::string::npos);  // Nothing passes for the whole.
            EXPECT_EQ(visitor->received.find("HTTP/1.1 ", 1), std::string::npos) << visitor->received;
        }
    }
    EXPECT_EQ(handler.refused.size(), 2 * std::size(rows));
}

TEST_F(HttpStreaming, DrainingLetsStreamedRequestsEnd) {
    open();
    const auto visitor = visit();
    visitor->say(post(chunked, "1\r\na\r\n"));
    ASSERT_TRUE(until([&] { return next().body == "a"; }));
    server->drain();
    EXPECT_EQ(server->busy(), 1u);
    visitor->say("1\r\nb\r\n0\r\n\r\n");
    ASSERT_TRUE(until([&] { return next().ended == 1; }));
    next().respond(200, "ok");
    EXPECT_TRUE(until([&] { return visitor->closed == "closed"; }));
    EXPECT_EQ(visitor->received, ok("ok", "Connection: close\r\n"));
}

// ---- Answers ----

// Sends so much, never more than `window` that the kernel has not taken.
void send_with_credit(Transfer& transfer, std::uint64_t size, std::size_t window,
                      std::size_t& outstanding_most) {
    const auto sent = std::make_shared<std::uint64_t>(0);
    transfer.on_room = [&transfer, &outstanding_most, sent, size, window] {
        static const std::string piece(32 * 1024, 'd');
        while (*sent < size && *sent - transfer.written + piece.size() <= window) {
            transfer.exchange->send(piece);
            *sent += piece.size();
            outstanding_most = std::max<std::size_t>(outstanding_most, *sent - transfer.written);
        }
        if (transfer.written == size) transfer.finish();
    };
    transfer.on_room();
}

TEST_F(HttpStreaming, SendsADownloadOfAnySizeInBoundedMemory) {
    constexpr std::uint64_t size = 256ull << 20;
    constexpr std::size_t window = 256 * 1024;
    std::size_t outstanding_most = 0;
    handler.serve = [&](Transfer& transfer) {
        ASSERT_TRUE(transfer.exchange->begin(200, {}, size));
        send_with_credit(transfer, size, window, outstanding_most);
    };
    open();
    const auto visitor = pump("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0);
    ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->heard, size + visitor->start.find("\r\n\r\n") + 4);
    EXPECT_EQ(handler.transfers[0]->written, size);
    EXPECT_LE(outstanding_most, window);
}

TEST_F(HttpStreaming, CountsAsWrittenOnlyWhatTheKernelHasTaken) {
    constexpr std::size_t size = 32 << 20;
    open();
    for (const char* version : {"1.1", "1.0"}) {  // In chunks, and bare.
        handler.serve = [](Transfer& transfer) {
            ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
            transfer.exchange->send(std::string(size, 'd'));
        };
        const std::size_t index = handler.transfers.size();
        const auto visitor = pump("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n\r\n", 0);
        visitor->stream.pause_reading();
        Transfer& transfer = next(index);
        ASSERT_TRUE(until([&] { return transfer.written > 0; }));
        run_turns(loop, 50);
        EXPECT_LT(transfer.written, size);
        visitor->stream.resume_reading();
        ASSERT_TRUE(until([&] { return transfer.written == size; }));
        EXPECT_TRUE(until([&] { return visitor->heard >= size; }));
        transfer.finish();
    }
}

TEST_F(HttpStreaming, AStalledReaderStopsItsSenderOnly) {
    constexpr std::uint64_t size = 32 << 20;
    std::size_t outstanding_most = 0;
    handler.serve = [&](Transfer& transfer) {
        if (transfer.exchange->head().target == "/quick") return transfer.respond(200, "quick");
        ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
        send_with_credit(transfer, size, 128 * 1024, outstanding_most);
    };
    open();
    const auto stalled = pump("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    stalled->stream.pause_reading();
    Transfer& transfer = next();
    ASSERT_TRUE(until([&] { return transfer.written > 0; }));
    run_turns(loop, 200);
    const std::uint64_t written = transfer.written;
    EXPECT_LT(written, size / 2);  // What the kernel holds for the two sockets.
    const auto other = visit();
    other->say("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(until([&] { return other->received == ok("quick"); }));
    EXPECT_EQ(transfer.written, written);
    stalled->stream.resume_reading();
    EXPECT_TRUE(until([&] { return transfer.exchange == nullptr; }));
    EXPECT_EQ(transfer.written, size);
}

TEST_F(HttpStreaming, GivesUpAVisitorThatTakesNothingButNotOneThatIsOwedNothing) {
    limits.write_idle_time = 50ms;
    std::size_t outstanding_most = 0;
    handler.serve = [&](Transfer& transfer) {
        ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
        if (transfer.exchange->head().target == "/idle") return transfer.exchange->send("event");
        send_with_credit(transfer, 64 << 20, 1 << 20, outstanding_most);
    };
    open();
    const auto idle = visit();
    idle->say("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(until([&] { return idle->received.ends_with("event\r\n"); }));
    const auto stalled = pump("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    stalled->stream.pause_reading();
    ASSERT_TRUE(until([&] { return next(1).gone == 1; }));
    EXPECT_EQ(next(0).gone, 0);
    next(0).exchange->send("another");
    EXPECT_TRUE(until([&] { return idle->received.ends_with("another\r\n"); }));
}

TEST_F(HttpStreaming, GivesUpAVisitorThatTakesNoInterimAnswers) {
    limits.write_idle_time = 50ms;
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    visitor->say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    Transfer& transfer = next();
    visitor->stream.pause_reading();
    const std::string hint(16 << 20, 'x');  // More than the kernel holds for the two sockets.
    ASSERT_TRUE(transfer.exchange->interim(103, std::array{Field{"Link", hint}}));
    EXPECT_TRUE(until([&] { return transfer.gone == 1; }));
}

TEST_F(HttpStreaming, GivesUpAVisitorThatTakesNothingOfEarlierAnswersWhileALaterRequestIsServed) {
    limits.write_idle_time = 50ms;
    const std::string big(100 * 1024, 'b');
    handler.serve = [&](Transfer& transfer) {
        if (transfer.exchange->head().target == "/big") transfer.respond(200, big);
    };
    open();
    const auto visitor = visit();
    visitor->stream.pause_reading();
    // Until the kernel holds as much as it will.
    do {
        const std::size_t answered = handler.transfers.size();
        visitor->say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        ASSERT_TRUE(until([&] { return handler.transfers.size() == answered + 1; }));
        run_turns(loop, 3);
    } while (server->busy() == 0);
    const std::size_t index = handler.transfers.size();
    visitor->say("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(until([&] { return next(index).gone == 1; }));
}

TEST_F(HttpStreaming, CountsAsWrittenWhatMayNotBeSent) {
    handler.serve = [](Transfer& transfer) {
        const bool empty = transfer.exchange->head().target == "/204";
        ASSERT_TRUE(transfer.exchange->begin(empty ? 204 : 200, {}, std::nullopt));
    };
    open();
    for (const std::string request :
         {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n"}) {
        const auto visitor = visit();
        const std::size_t index = handler.transfers.size();
        visitor->say(request);
        ASSERT_TRUE(until([&] { return visitor->received.ends_with("\r\n\r\n"); }));
        next(index).exchange->send("dropped");
        ASSERT_TRUE(until([&] { return next(index).written == 7; }));
        next(index).finish();
        run_turns(loop, 5);
        EXPECT_TRUE(visitor->received.ends_with("\r\n\r\n"));
    }
}

TEST_F(HttpStreaming, SendsTrailersToAVisitorThatTakesThem) {
    const Field status[] = {{"grpc-status", "0"}, {"X-Sum", "7"}};
    handler.serve = [&](Transfer& transfer) {
        const bool sized_answer = transfer.exchange->head().target == "/sized";
        ASSERT_TRUE(
            transfer.exchange->begin(200, {}, sized_answer ? std::optional<std::uint64_t>(1) : std::nullopt));
        transfer.exchange->send("a");
        transfer.finish(status);
    };
    open();
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    const std::tuple<std::string, std::string> rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\nConnection: TE\r\n\r\n",
         head + "\r\n1\r\na\r\n0\r\ngrpc-status: 0\r\nX-Sum: 7\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", head + "\r\n1\r\na\r\n0\r\n\r\n"},
        {"GET /sized HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", ok("a")},
        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", head + "\r\n"},
    };
    for (const auto& [request, answer] : rows) {
        const auto visitor = visit();
        visitor->say(request);
        EXPECT_TRUE(until([&] { return visitor->received == answer; })) << visitor->received;
    }
}

TEST_F(HttpStreaming, CutsAnAnswerWhoseTrailersCannotBeWritten) {
    handler.serve = [](Transfer& transfer) {
        const Field bad{"X", "a\r\nSet-Cookie: b"};
        ASSERT_TRUE(transfer.exchange->begin(200, {}, std::nullopt));
        transfer.exchange->send("a");
        transfer.finish({&bad, 1});
    };
    open();
    const auto visitor = visit();
    visitor->say("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
    EXPECT_EQ(visitor->received.find("0\r\n"), std::string::npos) << visitor->received;
}

// ---- Upgrades ----

TEST_F(HttpStreaming, UpgradesLongAfterTheRequestWithWhatCameBehindIt) {
    struct NewOwner final : net::Recorder {
    } owner;
    handler.serve = [](Transfer&) {};
    open();
    const auto visitor = visit();
    visitor->say("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nright ");
    Transfer& transfer = next();
    visitor->say("behind");
    run_turns(loop, 5);
    const std::string response = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    Upgraded upgraded = std::exchange(transfer.exchange, nullptr)->upgrade(response);
    upgraded.stream->set_handler(owner);
    upgraded.stream->pause_reading();
    run_turns(loop, 5);
    EXPECT_EQ(visitor->received, response);
    EXPECT_EQ(owner.received, "");  // Not before it asks for it.
    visitor->say(", and more");
    upgraded.stream->resume_reading();
    EXPECT_TRUE(until([&] { return owner.received == "right behind, and more"; })) << owner.received;
    upgraded.stream->write("hello");
    EXPECT_TRUE(until([&] { return visitor->received == response + "hello"; }));
    EXPECT_EQ(server->connections(), 0u);
    visitor->stream.abort();
    EXPECT_TRUE(until([&] { return owner.closed == "closed"; }));
    EXPECT_EQ(transfer.gone, 0);
}

// ---- TLS ----

TEST_F(HttpStreaming, CountsTheSameUnderTls) {
    const net::TestCertificate certificate;
    constexpr std::uint64_t size = 16 << 20;
    std::size_t outstanding_most = 0;
    handler.serve = [&](Transfer& transfer) {
        transfer.keeps = false;
        transfer.on_end = [&] {
            ASSERT_TRUE(transfer.exchange->begin(200, {}, size));
            send_with_credit(transfer, size, 256 * 1024, outstanding_most);
        };
        transfer.exchange->take_body();
    };
    open(certificate.server());
    Pump visitor(loop, net::connect_to(server->port()), post(sized(size) + "Connection: close\r\n"), size,
                 std::make_unique<net::TlsSession>(certificate.client(), "127.0.0.1"));
    ASSERT_TRUE(until([&] { return !visitor.closed.empty(); }));
    EXPECT_EQ(visitor.closed, "closed");
    EXPECT_EQ(next().received, size);
    EXPECT_EQ(next().written, size);
    EXPECT_EQ(visitor.heard, size + visitor.start.find("\r\n\r\n") + 4);
    EXPECT_LE(outstanding_most, 256u * 1024);
}

}  // namespace
}  // namespace ee::http

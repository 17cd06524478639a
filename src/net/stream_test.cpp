#include "net/stream.h"

#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "net/listener.h"
#include "net/loop.h"
#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

TEST(Stream, CarriesBytesBothWaysAndReportsTheEnd) {
    Loop loop;
    auto [left, right] = socket_pair();
    Echo near, far;
    Stream a(loop, std::move(left), near), b(loop, std::move(right), far);
    far.echo = &b;
    a.start();
    b.start();
    a.write("hello ");
    a.write("world");
    EXPECT_TRUE(run_until(loop, [&] { return near.received == "hello world"; }));
}

TEST(Stream, LargeOutputWaitsForASlowReaderAndThenDrains) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream a(loop, std::move(left), near), b(loop, std::move(right), far);
    b.pause_reading();
    a.start();
    b.start();
    const std::string big(8 << 20, 'x');
    a.write(big);
    loop.post([&] { loop.post([&] { b.resume_reading(); }); });
    EXPECT_TRUE(run_until(loop, [&] { return far.received.size() == big.size() && near.drained == 1; }));
    EXPECT_EQ(a.pending_output(), 0u);
}

TEST(Stream, SeesAnEndThatArrivesTogetherWithData) {
    Loop loop;
    auto [left, right] = socket_pair();
    ASSERT_EQ(::write(right.get(), "last words", 10), 10);
    right.reset();
    Recorder near;
    Stream a(loop, std::move(left), near);
    a.start();
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    EXPECT_EQ(near.received, "last words");
}

TEST(Stream, AnswersAPeerThatHasShutItsSide) {
    Loop loop;
    auto [left, right] = socket_pair();
    ASSERT_EQ(::write(right.get(), "question", 8), 8);
    ASSERT_EQ(::shutdown(right.get(), SHUT_WR), 0);
    Echo near;
    Stream a(loop, std::move(left), near);
    near.echo = &a;
    a.start();
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    char answer[16];
    EXPECT_EQ(::read(right.get(), answer, sizeof answer), 8);
    EXPECT_EQ(::read(right.get(), answer, sizeof answer), 0);
}

TEST(Stream, CloseAfterFlushLosesNothing) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream a(loop, std::move(left), near), b(loop, std::move(right), far);
    a.start();
    b.start();
    const std::string big(4 << 20, 'y');
    a.write(big);
    a.close_after_flush();
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "closed"; }));
    EXPECT_EQ(far.received.size(), big.size());
    b.abort();
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
}

TEST(Stream, ClosingGivesUpAPeerThatTakesNothing) {
    Loop loop;
    auto [left, right] = socket_pair();  // Nobody reads on the right.
    Recorder near;
    Stream a(loop, std::move(left), near);
    a.start();
    a.write(std::string(4 << 20, 'x'));
    a.close_after_flush(50ms);
    EXPECT_TRUE(run_until(loop, [&] { return !near.closed.empty(); }));
    EXPECT_EQ(near.closed, "connection_lost");
    EXPECT_FALSE(a.is_open());
}

TEST(Stream, ClosingWaitsForAPeerThatTakesAnythingAtAll) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Stream a(loop, std::move(left), near);
    a.start();
    const std::string big(4 << 20, 'x');
    a.write(big);
    a.close_after_flush(1500ms);  // Less than the reader needs, which takes it in 16 steps or more.
    std::size_t taken = 0;
    Timer reader(loop, [&] {
        std::string some(256 * 1024, '\0');
        const ssize_t count = ::read(right.get(), some.data(), some.size());
        if (count > 0) taken += static_cast<std::size_t>(count);
        if (count != 0) return reader.arm_after(100ms);
        right.reset();
    });
    reader.arm_after(100ms);
    EXPECT_TRUE(run_until(loop, [&] { return !near.closed.empty(); }));
    EXPECT_EQ(near.closed, "closed");
    EXPECT_EQ(taken, big.size());
}

TEST(Stream, SaysThatOutputIsGoneAlsoWhenItNeverHadToWait) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Stream a(loop, std::move(left), near);
    a.start();
    a.write("short");
    EXPECT_TRUE(run_until(loop, [&] { return near.drained == 1; }));
    EXPECT_EQ(a.pending_output(), 0u);
}

TEST(Stream, NoticesAResetWhileReadingIsPaused) {
    Loop loop;
    Fd accepted;
    const auto listener = Listener::open(loop, "127.0.0.1", 0,
                                         [&](Fd socket, const Endpoint&) { accepted = std::move(socket); });
    Fd visitor = connect_to((*listener)->port());
    ASSERT_TRUE(run_until(loop, [&] { return static_cast<bool>(accepted); }));
    Recorder near;
    Stream a(loop, std::move(accepted), near);
    a.pause_reading();
    a.start();
    const linger at_once{.l_onoff = 1, .l_linger = 0};  // Closing sends a reset.
    ASSERT_EQ(::setsockopt(visitor.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    visitor.reset();
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "connection_lost"; }));
}

TEST(Stream, AnAbortedStreamCallsNobody) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Stream a(loop, std::move(left), near);
    a.start();
    ASSERT_EQ(::write(right.get(), "hello", 5), 5);
    a.write("bye");
    a.abort();
    run_turns(loop, 10);
    EXPECT_EQ(near.received + near.closed, "");
    EXPECT_EQ(near.drained, 0);
    char rest;
    EXPECT_LE(::read(right.get(), &rest, 1), 0);  // Nothing of "bye".
}

TEST(Stream, ChangesHandsWithinACall) {
    struct Giver final : Recorder {
        void on_data(std::span<char> data) override {
            Recorder::on_data(data.first(4));
            stream->set_handler(*heir);
            stream->put_back({data.data() + 4, data.size() - 4});
        }
        Stream* stream = nullptr;
        Recorder* heir = nullptr;
    };
    Loop loop;
    auto [left, right] = socket_pair();
    Giver first;
    Recorder second;
    Stream a(loop, std::move(left), first);
    first.stream = &a;
    first.heir = &second;
    a.start();
    ASSERT_EQ(::write(right.get(), "minehers", 8), 8);
    EXPECT_TRUE(run_until(loop, [&] { return second.received == "hers"; }));
    right.reset();
    EXPECT_TRUE(run_until(loop, [&] { return second.closed == "closed"; }));
    EXPECT_EQ(first.received, "mine");
    EXPECT_EQ(first.closed, "");
}

TEST(Stream, ClosesInTheBackgroundWithoutAnOwner) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Peer far(loop, std::move(right));
    auto stream = std::make_shared<Stream>(loop, std::move(left), near);
    const std::weak_ptr<Stream> watch = stream;
    stream->start();
    stream->write("last words");
    Stream::close_in_background(loop, std::move(stream));
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "closed"; }));
    EXPECT_EQ(far.received, "last words");
    EXPECT_TRUE(run_until(loop, [&] { return watch.expired(); }));
    EXPECT_EQ(near.closed, "");
}

}  // namespace
}  // namespace ee::net

// How a stream's output is counted, its input handed back, and its sides shut one by one.

#include <gtest/gtest.h>

#include "net/listener.h"
#include "net/stream.h"
#include "net/test_peer.h"

namespace ee::net {
namespace {

// Notes what was pending at each step.
struct Sender final : Recorder {
    void on_progress() override { pending.push_back(stream->pending_output()); }
    void on_data(std::span<char> data) override {
        Recorder::on_data(data);
        if (on_piece) on_piece(data.size());
    }
    bool on_input_end() override {
        ++input_ends;
        return stays_open;
    }

    Stream* stream = nullptr;
    std::vector<std::size_t> pending;
    std::function<void(std::size_t)> on_piece;
    bool stays_open = false;
    int input_ends = 0;
};

class StreamFlow : public testing::Test {
protected:
    // Both ends of a TCP connection: ours under test, the peer's as a bare socket. The kernel takes a few
    // times `kernel_bytes` from one to the other while nobody reads; without, as much as it likes.
    void open(int kernel_bytes = 0) {
        const auto listener = Listener::open(loop, "127.0.0.1", 0,
                                             [&](Fd taken, const Endpoint&) { accepted = std::move(taken); });
        socket = connect_to((*listener)->port());
        ASSERT_TRUE(run_until(loop, [&] { return static_cast<bool>(accepted); }));
        for (const auto& [end, buffer] : {std::pair(accepted.get(), SO_SNDBUF), {socket.get(), SO_RCVBUF}})
            if (kernel_bytes > 0) {
                ASSERT_EQ(::setsockopt(end, SOL_SOCKET, buffer, &kernel_bytes, sizeof kernel_bytes), 0);
            }
        stream = std::make_unique<Stream>(loop, std::move(accepted), near);
        near.stream = stream.get();
        stream->start();
    }
    // What the peer can read at once; its end of file as "<end>".
    std::string read_all() {
        std::string all, some(256 * 1024, '\0');
        for (;;) {
            const ssize_t count = ::recv(socket.get(), some.data(), some.size(), MSG_DONTWAIT);
            if (count == 0) return all + "<end>";
            if (count < 0) return all;
            all.append(some, 0, static_cast<std::size_t>(count));
        }
    }
    void say(std::string_view bytes) {
        ASSERT_EQ(::send(socket.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }

    Loop loop;
    Fd accepted, socket;
    Sender near;
    std::unique_ptr<Stream> stream;
};

TEST_F(StreamFlow, TellsStepByStepWhatTheKernelHasTaken) {
    open();
    const std::string big(32 << 20, 'x');
    stream->write(big);
    ASSERT_TRUE(run_until(loop, [&] { return !near.pending.empty(); }));
    run_turns(loop, 20);
    ASSERT_EQ(near.pending.size(), 1u);  // The peer takes nothing: no more progress.
    EXPECT_GT(near.pending[0], 0u);
    EXPECT_EQ(near.drained, 0);
    std::size_t taken = 0;
    EXPECT_TRUE(run_until(loop, [&] {
        taken += read_all().size();
        return taken == big.size();
    }));
    EXPECT_EQ(near.pending.back(), 0u);
    EXPECT_TRUE(std::is_sorted(near.pending.rbegin(), near.pending.rend()));
    EXPECT_EQ(near.drained, 1);
}

// A reader that is never done and never stops: what it has taken must not stay behind.
TEST_F(StreamFlow, HoldsNoMoreThanWaitsHoweverMuchHasGoneThrough) {
    open(64 * 1024);
    const std::string piece(64 * 1024, 'x');
    const std::size_t waits = 4 << 20;
    std::size_t taken = 0, most = 0;
    const auto much_has_gone = [&] {
        while (stream->pending_output() < waits) stream->write(piece);
        taken += read_all().size();
        most = std::max(most, stream->output().size());
        return taken > 32 * waits;
    };
    EXPECT_TRUE(run_until(loop, much_has_gone, std::chrono::seconds(60)));
    EXPECT_EQ(near.drained, 0) << "or nothing would have stayed behind anyway";
    EXPECT_LE(most, 2 * (waits + piece.size()));
}

TEST_F(StreamFlow, CountsItsOutputUntilItIsTakenOrTheStreamIsGone) {
    BodyMemory memory(64 << 20);
    open();
    stream->count_output(&memory);
    stream->write(std::string(32 << 20, 'x'));
    ASSERT_TRUE(run_until(loop, [&] { return memory.held() > 0; }));
    EXPECT_GE(memory.held(), stream->pending_output());
    EXPECT_LE(memory.held(), 32u << 20);
    std::size_t taken = 0;
    EXPECT_TRUE(run_until(loop, [&] {
        taken += read_all().size();
        return taken == 32u << 20;
    }));
    run_turns(loop, 2);
    EXPECT_EQ(memory.held(), 0u);
    stream->write(std::string(16 << 20, 'x'));
    ASSERT_TRUE(run_until(loop, [&] { return memory.held() > 0; }));
    stream.reset();
    EXPECT_EQ(memory.held(), 0u);
}

TEST_F(StreamFlow, ReadsLessAtATimeUnderPressure) {
    BodyMemory memory(1000);
    HeldBytes held(&memory);
    open();
    stream->count_output(&memory);
    std::size_t most = 0;
    near.on_piece = [&](std::size_t size) { most = std::max(most, size); };
    const std::string bytes(200 * 1024, 'x');
    for (const bool is_pressed : {true, false}) {
        held.set(is_pressed ? 501 : 0);
        most = 0;
        near.received.clear();
        std::size_t sent = 0;
        ASSERT_TRUE(run_until(loop, [&] {
            if (sent < bytes.size())
                sent += static_cast<std::size_t>(std::max<ssize_t>(
                    0, ::send(socket.get(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT)));
            return near.received.size() == bytes.size();
        }));
        EXPECT_EQ(most <= 32u * 1024, is_pressed) << most;
    }
}

TEST_F(StreamFlow, TellsOncePerFlushHoweverMuchWasWritten) {
    open();
    for (int i = 0; i < 10; ++i) stream->write("piece");
    ASSERT_TRUE(run_until(loop, [&] { return near.drained == 1; }));
    EXPECT_EQ(near.pending, std::vector<std::size_t>{0});
}

TEST_F(StreamFlow, HandsOutWhatWasPutBackBeforeWhatCameLater) {
    open();
    say("later");
    stream->put_back("first, ");
    ASSERT_TRUE(run_until(loop, [&] { return near.received.size() == 12; }));
    EXPECT_EQ(near.received, "first, later");
}

TEST_F(StreamFlow, KeepsWhatWasPutBackWhileReadingIsPaused) {
    open();
    stream->pause_reading();
    stream->put_back("first, ");
    say("later");
    run_turns(loop, 10);
    EXPECT_EQ(near.received, "");
    stream->resume_reading();
    ASSERT_TRUE(run_until(loop, [&] { return near.received.size() == 12; }));
    EXPECT_EQ(near.received, "first, later");
}

TEST_F(StreamFlow, GoesOnWritingToAPeerThatHasShutItsSide) {
    near.stays_open = true;
    open();
    say("question");
    ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
    ASSERT_TRUE(run_until(loop, [&] { return near.input_ends == 1; }));
    EXPECT_EQ(near.received, "question");
    run_turns(loop, 10);
    stream->write("a late ");
    run_turns(loop, 10);
    stream->write("answer");
    stream->shut_after_flush();
    EXPECT_FALSE(stream->is_writable());
    ASSERT_TRUE(run_until(loop, [&] { return !near.closed.empty(); }));
    EXPECT_EQ(near.closed, "closed");
    EXPECT_EQ(near.input_ends, 1);
    EXPECT_EQ(read_all(), "a late answer<end>");
}

TEST_F(StreamFlow, GoesOnReadingAfterItHasShutItsSide) {
    near.stays_open = true;
    open();
    stream->write("question");
    stream->shut_after_flush();
    std::string heard;
    ASSERT_TRUE(run_until(loop, [&] { return (heard += read_all()).ends_with("<end>"); }));
    EXPECT_EQ(heard, "question<end>");
    say("answer");
    ASSERT_TRUE(run_until(loop, [&] { return near.received == "answer"; }));
    EXPECT_EQ(near.closed, "");
    ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    EXPECT_EQ(near.input_ends, 1);
}

TEST_F(StreamFlow, NoticesAResetOfAPeerThatHadShutItsSide) {
    near.stays_open = true;
    open();
    ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
    ASSERT_TRUE(run_until(loop, [&] { return near.input_ends == 1; }));
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    socket.reset();
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "connection_lost"; }));
}

TEST_F(StreamFlow, HearsWhatAPeerSaidBeforeItStoppedTakingAnything) {
    open();
    stream->write(std::string(32 << 20, 'x'));
    ASSERT_TRUE(run_until(loop, [&] { return !near.pending.empty(); }));
    say("too much");
    socket.reset();  // With bytes unread: a reset.
    ASSERT_TRUE(run_until(loop, [&] { return !near.closed.empty(); }));
    EXPECT_EQ(near.closed, "connection_lost");
    EXPECT_EQ(near.received, "too much");
    EXPECT_EQ(near.drained, 0);
}

// A send fails before what the peer said is read, its end included where there was one.
TEST_F(StreamFlow, HearsWhetherAPeerHadSaidAllBeforeItStoppedTakingAnything) {
    near.stays_open = true;
    for (const bool has_said_all : {true, false}) {
        near.closed.clear();
        near.received.clear();
        near.input_ends = 0;
        open();
        say("bye");
        if (has_said_all) {
            ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
        }
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        socket.reset();
        std::size_t unreported = 4;
        stream->write("lost");
        ASSERT_TRUE(run_until(loop, [&] { return !near.closed.empty(); }));
        EXPECT_EQ(near.closed, "connection_lost");
        EXPECT_EQ(near.received, "bye");
        EXPECT_EQ(near.input_ends, has_said_all ? 1 : 0);
        EXPECT_EQ(stream->take_written(unreported), 0u) << "what is lost was not taken";
    }
}

}  // namespace
}  // namespace ee::net

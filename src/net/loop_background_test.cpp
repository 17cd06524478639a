#include <algorithm>
#include <array>
#include <fcntl.h>
#include <functional>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "net/loop.h"
#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

// Counts what it is told, and what others had been told by then.
struct Counted final : Watcher {
    void on_ready(std::uint32_t) override {
        if (++told == 1) first_at = clock();
    }
    std::function<int()> clock;
    int told = 0;
    int first_at = 0;
};

TEST(Background, IsHandedOutBehindAllOthers) {
    Loop loop;
    std::vector<std::array<int, 2>> pipes(100);
    std::vector<Counted> background(99);
    Counted normal;
    const auto told_in_background = [&] {
        int told = 0;
        for (const Counted& one : background) told += one.told > 0 ? 1 : 0;
        return told;
    };
    normal.clock = told_in_background;
    for (std::size_t i = 0; i < pipes.size(); ++i) {
        ASSERT_EQ(::pipe2(pipes[i].data(), O_NONBLOCK | O_CLOEXEC), 0);
        ASSERT_EQ(::write(pipes[i][1], "x", 1), 1);
        if (i < background.size()) {
            background[i].clock = [] { return 1; };
            loop.watch(pipes[i][0], background[i], Urgency::background);
        }
    }
    loop.watch(pipes.back()[0], normal);  // Last, and told first.
    run_turns(loop, 1);
    EXPECT_EQ(normal.told, 1);
    EXPECT_EQ(normal.first_at, 0);
    run_turns(loop, 30);
    EXPECT_EQ(told_in_background(), 99);
    EXPECT_EQ(normal.told, 1);
    loop.unwatch(pipes.back()[0], normal);
    for (std::size_t i = 0; i < background.size(); ++i)
        loop.unwatch(pipes[i][0], background[i], Urgency::background);
    for (const auto& [in, out] : pipes) {
        ::close(in);
        ::close(out);
    }
}

// Keeps the loop for a millisecond each time, and counts how often and for how long in all.
struct Slow final : Watcher {
    void on_ready(std::uint32_t) override {
        ++told;
        const MonoTime begin = std::chrono::steady_clock::now();
        MonoTime now = begin;
        while (now < begin + 1ms) now = std::chrono::steady_clock::now();
        took += now - begin;
    }
    int told = 0;
    std::chrono::nanoseconds took{0};
};

// So many of these, all ready.
struct SlowBackground {
    SlowBackground(Loop& its_loop, std::size_t count) : loop(its_loop), slow(count) {
        for (Slow& one : slow) {
            pairs.push_back(socket_pair());
            loop.watch(pairs.back().first.get(), one, Urgency::background);
        }
    }
    ~SlowBackground() {
        for (std::size_t i = 0; i < slow.size(); ++i)
            loop.unwatch(pairs[i].first.get(), slow[i], Urgency::background);
    }
    int told() const {
        int sum = 0;
        for (const Slow& one : slow) sum += one.told;
        return sum;
    }
    std::chrono::nanoseconds took() const {
        std::chrono::nanoseconds sum{0};
        for (const Slow& one : slow) sum += one.took;
        return sum;
    }

    Loop& loop;
    std::vector<Slow> slow;
    std::vector<std::pair<Fd, Fd>> pairs;
};

TEST(Background, HasABoundedTimeOfATurn) {
    Loop loop;
    SlowBackground background(loop, 12);
    run_turns(loop, 0);
    const int first = background.told();
    EXPECT_GT(first, 0);
    EXPECT_LT(first, 12);
    run_turns(loop, 5);
    EXPECT_EQ(background.told(), 12);
}

TEST(Background, HasATwelfthOfTheTimeWhileTheForegroundIsFavored) {
    Loop loop;
    loop.favor_foreground(1h);
    SlowBackground background(loop, 12);
    const MonoTime begin = std::chrono::steady_clock::now();
    std::chrono::nanoseconds first_took{0};  // Of two turns, four each.
    ASSERT_TRUE(run_until(loop, [&] {
        if (background.told() == 8) first_took = background.took();
        return background.told() == 12;
    }));
    EXPECT_GE(first_took, 8ms);
    EXPECT_GE(std::chrono::steady_clock::now() - begin,
              std::min<std::chrono::nanoseconds>(first_took * 12, 5s));
}

TEST(Background, PaysForWhatOtherThreadsHaveDoneForIt) {
    Loop loop;
    loop.favor_foreground(1h);
    loop.charge_background(10ms);
    const MonoTime begin = loop.now();
    SlowBackground background(loop, 1);
    ASSERT_TRUE(run_until(loop, [&] { return background.told() == 1; }));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 120ms);
}

TEST(Background, OwesNothingForWhatItDidWhileNobodyWaited) {
    Loop loop;
    run_turns(loop, 1);
    std::this_thread::sleep_for(25ms);  // What was favored before is so no longer.
    run_turns(loop, 1);
    loop.charge_background(1h);
    SlowBackground background(loop, 1);
    loop.favor_foreground();
    run_turns(loop, 1);
    EXPECT_EQ(background.told(), 1);
}

// The loop sleeps until then: what is ready must not make it turn all the time.
TEST(Background, HasAllOfTheTimeAgainOnceNobodyWaits) {
    Loop loop;
    loop.favor_foreground();
    loop.charge_background(1h);
    SlowBackground background(loop, 12);
    const std::uint64_t turns = loop.stats().turns;
    run_for(loop, 500ms);
    EXPECT_EQ(background.told(), 12);
    EXPECT_LT(loop.stats().turns - turns, 30u);
}

TEST(Background, CatchesUpWhenItHasWaitedForFiveSeconds) {
    Loop loop;
    loop.favor_foreground(1h);
    loop.charge_background(1h);
    SlowBackground background(loop, 12);
    const MonoTime begin = std::chrono::steady_clock::now();
    MonoTime first{};
    ASSERT_TRUE(run_until(
        loop,
        [&] {
            if (first == MonoTime{} && background.told() > 0) first = std::chrono::steady_clock::now();
            return background.told() == 12;
        },
        60s));
    EXPECT_GE(first - begin, 5s);
}

}  // namespace
}  // namespace ee::net

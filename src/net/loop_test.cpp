#include "net/loop.h"

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/time.h>

#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

TEST(Timer, FiresInOrderNeverEarlyAndOnlyOnce) {
    Loop loop;
    const MonoTime start = loop.now();
    std::vector<int> order;
    std::vector<std::chrono::nanoseconds> at(3);
    const auto note = [&](int i) {
        order.push_back(i);
        at[static_cast<std::size_t>(i)] = std::chrono::steady_clock::now() - start;
        if (order.size() == 3) loop.stop();
    };
    Timer slow(loop, [&] { note(2); }), quick(loop, [&] { note(0); }), middle(loop, [&] { note(1); });
    Timer never(loop, [&] { FAIL(); });
    slow.arm_after(90ms);
    quick.arm_after(1ms);
    middle.arm_after(500ms);
    middle.arm_after(40ms);  // Moved.
    never.arm_after(20ms);
    never.cancel();
    loop.run();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
    EXPECT_GE(at[0], 1ms);
    EXPECT_GE(at[1], 40ms);
    EXPECT_GE(at[2], 90ms);
}

// Interrupts the wait once, and holds it up beyond what is due: as a process that is stopped and goes on.
struct Interruption {
    static void come(int) {
        [[maybe_unused]] const ssize_t written = ::write(socket, "x", 1);
        const MonoTime end = std::chrono::steady_clock::now() + 100ms;
        while (std::chrono::steady_clock::now() < end) {
        }
    }
    explicit Interruption(int to) {
        socket = to;
        struct sigaction action{};
        action.sa_handler = come;
        ::sigaction(SIGALRM, &action, &before);
        const itimerval once{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
        ::setitimer(ITIMER_REAL, &once, nullptr);
    }
    ~Interruption() { ::sigaction(SIGALRM, &before, nullptr); }

    static inline int socket = -1;
    struct sigaction before{};
};

TEST(Loop, AfterAnInterruptionSocketsGoBeforeTimers) {
    Loop loop;
    std::vector<std::string> order;
    struct Note final : Watcher {
        explicit Note(std::vector<std::string>& to) : order(to) {}
        void on_ready(std::uint32_t) override { order.push_back("ready"); }
        std::vector<std::string>& order;
    } note(order);
    const auto [ours, theirs] = socket_pair();
    loop.watch(ours.get(), note);
    run_turns(loop, 5);  // It is writable.
    order.clear();
    Timer due(loop, [&] {
        order.push_back("due");
        loop.stop();
    });
    due.arm_after(80ms);
    const Interruption interruption(theirs.get());
    loop.run();
    EXPECT_EQ(order, (std::vector<std::string>{"ready", "due"}));
    loop.unwatch(ours.get(), note);
}

TEST(Timer, MayCancelOrRearmOthersOfTheSameSlot) {
    Loop loop;
    int fired = 0;
    Timer second(loop, [&] { FAIL() << "cancelled by the first"; });
    Timer third(loop, [&] {
        ++fired;
        loop.stop();
    });
    Timer first(loop, [&] {
        ++fired;
        second.cancel();
        third.arm_after(1ms);
    });
    first.arm_after(5ms);
    second.arm_after(5ms);
    third.arm_after(5ms);
    loop.run();
    EXPECT_EQ(fired, 2);
}

TEST(Timer, BeyondOneRoundOfTheWheelWaitsForItsRound) {
    Loop loop;
    bool late = false, soon = false;
    Timer far(loop, [&] { late = true; });
    far.arm_after(33s);  // Same slots as 232 ms from now.
    Timer near(loop, [&] {
        soon = true;
        loop.stop();
    });
    near.arm_after(300ms);
    loop.run();
    EXPECT_TRUE(soon);
    EXPECT_FALSE(late);
    EXPECT_TRUE(far.armed());
}

TEST(Loop, RunsPostedTasksOfOtherThreadsInOrder) {
    Loop loop;
    std::vector<int> seen;
    std::jthread poster([&] {
        for (int i = 0; i < 1000; ++i) loop.post([&, i] { seen.push_back(i); });
        loop.post([&] { loop.stop(); });
    });
    loop.run();
    ASSERT_EQ(seen.size(), 1000u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(Loop, StopEndsOneRunEvenWhenItCameBefore) {
    Loop loop;
    int ran = 0;
    loop.stop();
    loop.run();
    for (int i = 0; i < 2; ++i) {
        loop.post([&] {
            ++ran;
            loop.stop();
        });
        loop.run();
    }
    EXPECT_EQ(ran, 2);
}

// Disposes of the next one as it dies.
struct Domino {
    Domino(Loop& where, int remaining, int& count) : loop(where), left(remaining), dead(count) {}
    ~Domino() {
        ++dead;
        if (left > 0) loop.dispose(std::make_shared<Domino>(loop, left - 1, dead));
    }

    Loop& loop;
    int left;
    int& dead;
};

TEST(Loop, DisposesOfWhatIsDisposedOfMeanwhile) {
    int dead = 0;
    Loop loop;
    loop.post([&] { loop.dispose(std::make_shared<Domino>(loop, 100, dead)); });
    EXPECT_TRUE(run_until(loop, [&] { return dead > 0; }));
    EXPECT_EQ(dead, 101);
}

TEST(Loop, EndsWhatItKeepsAndWhatThatDisposesOf) {
    int dead = 0;
    {
        Loop loop;
        loop.keep(std::make_shared<Domino>(loop, 3, dead));
        loop.keep(std::make_shared<Domino>(loop, 0, dead));
    }
    EXPECT_EQ(dead, 5);
}

TEST(Loop, ReleaseGivesUpTheObjectAtTheEndOfTheTurn) {
    int dead = 0;
    Loop loop;
    const auto kept = std::make_shared<Domino>(loop, 0, dead);
    void* key = kept.get();
    loop.keep(std::make_shared<Domino>(loop, 0, dead));
    loop.keep(kept);
    int at_release = -1;
    loop.post([&] {
        loop.release(key);
        loop.release(key);  // Unknown by now.
        at_release = static_cast<int>(kept.use_count());
    });
    EXPECT_TRUE(run_until(loop, [&] { return kept.use_count() == 1; }));
    EXPECT_EQ(at_release, 2);
    EXPECT_EQ(dead, 0);
}

TEST(Loop, LosesNoEdgeWhenAStreamChangesItsUrgency) {
    Loop loop;
    auto [ours, theirs] = socket_pair();
    Peer peer(loop, std::move(ours));
    std::size_t sent = 0;
    for (const Urgency urgency : {Urgency::background, Urgency::normal, Urgency::background}) {
        ASSERT_EQ(::write(theirs.get(), "x", 1), 1);
        peer.stream.set_urgency(urgency);
        ASSERT_TRUE(run_until(loop, [&] { return peer.received.size() == sent + 1; })) << sent;
        ++sent;
        ASSERT_EQ(::write(theirs.get(), "y", 1), 1);
        ASSERT_TRUE(run_until(loop, [&] { return peer.received.size() == sent + 1; })) << sent;
        ++sent;
    }
    theirs.reset();
    EXPECT_TRUE(run_until(loop, [&] { return !peer.closed.empty(); }));
}

}  // namespace
}  // namespace ee::net

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <sched.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "net/loop_thread.h"
#include "net/worker_pool.h"

namespace ee::net {
namespace {

TEST(LoopThread, RunsItsLoopElsewhereUntilItIsStopped) {
    LoopThread thread;
    std::promise<std::thread::id> ran, due;
    Timer timer(thread.loop(), [&] { due.set_value(std::this_thread::get_id()); });
    timer.arm_after(std::chrono::milliseconds(1));
    thread.loop().post([&] { ran.set_value(std::this_thread::get_id()); });
    thread.start();
    const std::thread::id there = ran.get_future().get();
    EXPECT_NE(there, std::this_thread::get_id());
    EXPECT_EQ(due.get_future().get(), there);
    std::promise<void> posted;
    bool disposed = false;
    thread.loop().post([&] {
        thread.loop().dispose(std::shared_ptr<void>(nullptr, [&](void*) { disposed = true; }));
        posted.set_value();
    });
    posted.get_future().get();  // stop() ends the loop after the turn it is in, whatever is posted behind it.
    thread.stop();
    EXPECT_TRUE(disposed);
    thread.stop();  // Nothing more to do.
}

TEST(WorkerPool, RunsEverythingAcceptedAndRefusesWhenFull) {
    std::atomic<int> ran = 0;
    std::mutex gate;
    gate.lock();
    {
        WorkerPool pool(1, 2);
        std::atomic<bool> started = false;
        ASSERT_TRUE(pool.run([&] {
            started = true;
            started.notify_all();
            const std::lock_guard wait(gate);
            ++ran;
        }));
        started.wait(false);
        EXPECT_TRUE(pool.run([&] { ++ran; }));
        EXPECT_TRUE(pool.run([&] { ++ran; }));
        EXPECT_FALSE(pool.run([&] { ++ran; }));
        gate.unlock();
    }
    EXPECT_EQ(ran, 3);
}

TEST(WorkerPool, RunsWhatIsAheadFirstAndHasRoomForItThoughOthersFillTheirQueue) {
    std::string order;
    std::mutex gate;
    gate.lock();
    {
        WorkerPool pool(1, 2);
        std::atomic<bool> started = false;
        ASSERT_TRUE(pool.run([&] {
            started = true;
            started.notify_all();
            const std::lock_guard wait(gate);
        }));
        started.wait(false);
        for (const char name : {'1', '2'}) EXPECT_TRUE(pool.run([&order, name] { order += name; }));
        EXPECT_FALSE(pool.run([] {}));
        for (const char name : {'a', 'b'}) EXPECT_TRUE(pool.run_ahead([&order, name] { order += name; }));
        EXPECT_FALSE(pool.run_ahead([] {}));
        EXPECT_EQ(pool.queued(), 4u);
        gate.unlock();
    }
    EXPECT_EQ(order, "ab12");
}

TEST(WorkerPool, InTheBackgroundTakesNoCoreFromTheLoop) {
    const int before = ::sched_getscheduler(0);
    std::promise<std::pair<int, int>> seen;
    WorkerPool pool(1, 1, WorkerPriority::background);
    ASSERT_TRUE(pool.run([&] {
        seen.set_value({::sched_getscheduler(0), ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()))});
    }));
    const auto [policy, niceness] = seen.get_future().get();
    // Where all of this runs at idle priority already, it may stay there.
    EXPECT_TRUE(policy == SCHED_BATCH || policy == SCHED_IDLE) << policy;
    EXPECT_GE(niceness, 10);
    EXPECT_EQ(::sched_getscheduler(0), before) << "whoever makes the pool stays as it was";
}

}  // namespace
}  // namespace ee::net

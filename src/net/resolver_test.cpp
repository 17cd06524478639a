#include "net/resolver.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

struct TestWaiter final : Resolver::Waiter {
    void on_addresses(const Result<SocketAddresses>& found) override {
        ++calls;
        answer = found ? std::to_string(found->size()) + " found" : found.error().code;
        if (on_answer) on_answer();
    }
    int calls = 0;
    std::string answer;
    std::function<void()> on_answer;
};

class ResolverTest : public testing::Test {
protected:
    // Blocks while the gate is locked.
    Result<SocketAddresses> look_up(const std::string& host, std::uint16_t port) {
        const std::lock_guard wait(gate);
        ++look_ups;
        if (is_out) return fail("no_address", host + " is not known");
        return system_look_up("127.0.0.1", port);
    }
    std::string find(TestWaiter& waiter) {
        const int before = waiter.calls;
        resolver->find("app.example", 80, waiter);
        EXPECT_EQ(waiter.calls, before) << "never from within find()";
        EXPECT_TRUE(until([&] { return waiter.calls > before; }));
        return waiter.answer;
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }

    std::mutex gate;
    std::atomic<int> look_ups = 0;
    std::atomic<bool> is_out = false;
    Loop loop;
    std::optional<WorkerPool> workers{std::in_place, 1, 1};
    std::optional<Resolver> resolver{
        std::in_place, loop, *workers, 100ms,
        [this](const std::string& host, std::uint16_t port) { return look_up(host, port); }};
};

TEST_F(ResolverTest, AllWhoWaitGetTheAnswerOfOneLookUp) {
    TestWaiter one, other, left;
    {
        const std::lock_guard hold(gate);
        for (TestWaiter* waiter : {&one, &left, &other}) resolver->find("app.example", 80, *waiter);
        run_turns(loop, 3);
        EXPECT_EQ(one.calls, 0);
        left.unlink();
    }
    ASSERT_TRUE(until([&] { return one.calls == 1 && other.calls == 1; }));
    EXPECT_EQ(one.answer, "1 found");
    EXPECT_EQ(other.answer, "1 found");
    EXPECT_EQ(left.calls, 0);
    EXPECT_EQ(look_ups, 1);
}

TEST_F(ResolverTest, AnAnswerServesForAMomentAndNoLonger) {
    TestWaiter waiter;
    EXPECT_EQ(find(waiter), "1 found");
    const MonoTime useless_at = loop.now() + 100ms;
    EXPECT_EQ(find(waiter), "1 found");
    EXPECT_EQ(look_ups, 1);
    is_out = true;
    ASSERT_TRUE(until([&] { return loop.now() > useless_at; }));
    EXPECT_EQ(find(waiter), "no_address");
    EXPECT_EQ(look_ups, 2);
}

TEST_F(ResolverTest, AFailureServesThoseAloneWhoWaitForIt) {
    is_out = true;
    TestWaiter one, other;
    // From within its call: the look-up that failed is over.
    one.on_answer = [&] {
        if (one.calls == 1) resolver->find("app.example", 80, one);
    };
    {
        const std::lock_guard hold(gate);
        for (TestWaiter* waiter : {&one, &other}) resolver->find("app.example", 80, *waiter);
    }
    ASSERT_TRUE(until([&] { return one.calls == 2; }));
    EXPECT_EQ(one.answer, "no_address");
    EXPECT_EQ(other.calls, 1);
    EXPECT_EQ(other.answer, "no_address");
    EXPECT_EQ(look_ups, 2);
}

TEST_F(ResolverTest, RefusesOneNameMoreThanTheWorkersTake) {
    TestWaiter first, second, third;
    {
        const std::lock_guard hold(gate);
        resolver->find("a.example", 80, first);
        ASSERT_TRUE(until([&] { return workers->queued() == 0; }));
        resolver->find("b.example", 80, second);
        resolver->find("c.example", 80, third);
        ASSERT_TRUE(until([&] { return third.calls == 1; }));
        EXPECT_EQ(third.answer, "too_many_look_ups");
        EXPECT_EQ(first.calls + second.calls, 0);
    }
    EXPECT_TRUE(until([&] { return first.answer == "1 found" && second.answer == "1 found"; }));
}

TEST_F(ResolverTest, LooksUpNoAddressAndNotLocalhost) {
    workers.emplace(1, 0);
    resolver.emplace(loop, *workers);
    for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
        TestWaiter waiter;
        resolver->find(host, 80, waiter);
        ASSERT_TRUE(until([&] { return waiter.calls == 1; })) << host;
        EXPECT_TRUE(waiter.answer.ends_with(" found")) << host << ": " << waiter.answer;
    }
}

TEST_F(ResolverTest, MayDieWhileANameIsLookedUp) {
    TestWaiter waiter;
    {
        const std::lock_guard hold(gate);
        resolver->find("app.example", 80, waiter);
        resolver.reset();
    }
    workers.reset();  // Ends the look-up.
    run_turns(loop, 3);
    EXPECT_EQ(look_ups, 1);
    EXPECT_EQ(waiter.calls, 0);
}

}  // namespace
}  // namespace ee::net

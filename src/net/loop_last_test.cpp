#include <functional>
#include <sstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "net/loop.h"
#include "net/stream.h"
#include "net/test_peer.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

// Watches one of two connected sockets, which is ready as soon as something is written to the other.
class Bell final : Watcher {
public:
    Bell(Loop& loop, std::function<void()> on_ring) : loop_(loop), on_ring_(std::move(on_ring)) {
        std::tie(near_, far_) = socket_pair();
        loop_.watch(near_.get(), *this);
    }
    ~Bell() { loop_.unwatch(near_.get(), *this); }

    void ring() { EE_CHECK(::write(far_.get(), "!", 1) == 1); }

private:
    // The edge that says that one can write, too, comes first.
    void on_ready(std::uint32_t) override {
        char rest[16];
        if (::read(near_.get(), rest, sizeof rest) > 0) on_ring_();
    }

    Loop& loop_;
    std::function<void()> on_ring_;
    Fd near_, far_;
};

struct Work final : Deferred {
    explicit Work(std::function<void()> what) : on_turn_end(std::move(what)) {}
    void on_deferred() override { on_turn_end(); }

    std::function<void()> on_turn_end;
};

TEST(LoopLast, RunsBehindWhatBecameReadyInTheMeantime) {
    Loop loop;
    std::ostringstream order;
    std::uint64_t began = 0, ended = 0;
    Work last([&] {
        order << "last ";
        ended = loop.stats().turns;
        loop.stop();
    });
    Work usual([&] { order << "usual "; });
    Bell third(loop, [&] { order << "third "; });
    Bell first(loop, [&] {
        order << "first ";
        began = loop.stats().turns;
        loop.defer_last(last);
        loop.defer_last(last);  // Changes nothing.
        loop.defer(usual);
        third.ring();
    });
    Bell second(loop, [&] { order << "second "; });
    run_turns(loop, 2);
    first.ring();
    second.ring();
    loop.run();
    EXPECT_EQ(order.str(), "first second usual third last ");
    EXPECT_EQ(began, ended);
}

TEST(LoopLast, IsNotPutOffByWhatIsAlwaysReady) {
    Loop loop;
    int rung = 0, rung_before = -1;
    Work last([&] {
        rung_before = rung;
        loop.stop();
    });
    Bell* again = nullptr;
    Bell restless(loop, [&] {
        if (++rung < 1000) again->ring();
    });
    again = &restless;
    Bell other(loop, [&] { loop.defer_last(last); });
    run_turns(loop, 2);
    restless.ring();
    other.ring();
    loop.run();
    EXPECT_GT(rung_before, 1);
    EXPECT_LT(rung_before, 10);
}

TEST(LoopLast, RunsInTheNextTurnWhenDeferredByItself) {
    Loop loop;
    int ran = 0;
    Timer too_late(loop, [&] { loop.stop(); });
    Work* again = nullptr;
    Work last([&] {
        if (++ran == 20) return loop.stop();
        loop.defer_last(*again);
    });
    again = &last;
    too_late.arm_after(2s);
    loop.post([&] { loop.defer_last(last); });
    loop.run();
    EXPECT_EQ(ran, 20);
}

TEST(LoopLast, SharedStreamsAreFlushedBehindOthers) {
    struct Noted final : Recorder {
        Noted(std::string& where, char what) : order(where), name(what) {}
        void on_flush() override { order += name; }
        std::string& order;
        char name;
    };
    Loop loop;
    std::string order;
    auto [left, right] = socket_pair();
    Noted tunnel(order, 't'), visitor(order, 'v');
    Stream a(loop, std::move(left), tunnel), b(loop, std::move(right), visitor);
    a.start();
    b.start();
    run_turns(loop, 2);
    order.clear();
    a.set_shared();
    loop.post([&] {
        a.write("many");
        b.write("one");
    });
    EXPECT_TRUE(run_until(loop, [&] { return tunnel.received == "one" && visitor.received == "many"; }));
    EXPECT_EQ(order, "vt");
}

}  // namespace
}  // namespace ee::net

#include "net/connector.h"

#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "net/listener.h"
#include "net/loop.h"
#include "net/test_peer.h"
#include "net/worker_pool.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

TEST(Listener, AcceptsFromTheConnectorAndNamesABadBind) {
    Loop loop;
    WorkerPool workers(1, 8);
    std::vector<Fd> accepted;
    auto listener = Listener::open(loop, "127.0.0.1", 0, [&](Fd socket, const Endpoint& peer) {
        EXPECT_EQ(peer.ip.to_string(), "127.0.0.1");
        accepted.push_back(std::move(socket));
    });
    ASSERT_TRUE(listener);
    Connector connector(loop, workers);
    bool connected = false;
    connector.connect({"http", "localhost", (*listener)->port(), ""}, 5s,
                      [&](Result<Fd> socket) { connected = socket.has_value(); });
    EXPECT_TRUE(run_until(loop, [&] { return connected && accepted.size() == 1; }));

    const auto taken = Listener::open(loop, "127.0.0.1", (*listener)->port(), nullptr);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, "bind_failed");
    EXPECT_FALSE(Listener::open(loop, "localhost", 0, nullptr));
}

TEST(Connector, ConnectsToLocalhostWithoutLookingItUp) {
    Loop loop;
    WorkerPool workers(1, 0);  // Takes no look-up.
    auto listener = Listener::open(loop, "127.0.0.1", 0, [](Fd, const Endpoint&) {});
    ASSERT_TRUE(listener);
    Connector connector(loop, workers);
    bool connected = false;
    connector.connect({"http", "localhost", (*listener)->port(), ""}, 5s,
                      [&](Result<Fd> socket) { connected = socket.has_value(); });
    EXPECT_TRUE(run_until(loop, [&] { return connected; }));
}

TEST(Connector, SaysWhyNobodyAnswered) {
    Loop loop;
    WorkerPool workers(1, 8);
    Connector connector(loop, workers);
    std::string why;
    connector.connect({"http", "127.0.0.1", 1, ""}, 5s,
                      [&](Result<Fd> socket) { why = socket.error().detail; });
    EXPECT_TRUE(run_until(loop, [&] { return !why.empty(); }));
    EXPECT_NE(why.find("127.0.0.1:1"), std::string::npos);
    EXPECT_NE(why.find("refused"), std::string::npos);

    why.clear();
    connector.connect({"unix", "/nonexistent/socket", 0, ""}, 5s,
                      [&](Result<Fd> socket) { why = socket.error().code; });
    EXPECT_TRUE(run_until(loop, [&] { return why == "connect_failed"; }));
}

// One worker, which does nothing until the gate is unlocked.
struct HeldWorkers {
    HeldWorkers() {
        gate.lock();
        EXPECT_TRUE(workers.run([this] { const std::lock_guard wait(gate); }));
    }
    std::mutex gate;
    WorkerPool workers{1, 8};
};

TEST(Connector, MayDieWhileANameIsLookedUp) {
    Loop loop;
    {
        HeldWorkers held;
        {
            Connector connector(loop, held.workers);
            // Not in dotted form, so it goes the way of names; no name server is needed.
            connector.connect({"http", "127.1", 1, ""}, 5s, [&](Result<Fd>) { FAIL(); });
        }
        held.gate.unlock();
    }
    run_turns(loop, 3);  // The answer to the look-up.
}

TEST(Connector, RefusesWhenTooManyNamesAreLookedUp) {
    Loop loop;
    WorkerPool workers(1, 0);
    Connector connector(loop, workers);
    std::string why;
    connector.connect({"http", "app.example", 80, ""}, 5s,
                      [&](Result<Fd> socket) { why = socket.error().detail; });
    EXPECT_EQ(why, "");  // Never from within connect().
    EXPECT_TRUE(run_until(loop, [&] { return !why.empty(); }));
    EXPECT_NE(why.find("too many look-ups"), std::string::npos) << why;
}

TEST(Connector, GivesUpAtTheDeadline) {
    Loop loop;
    HeldWorkers held;
    Connector connector(loop, held.workers);
    std::string why;
    connector.connect({"http", "app.example", 80, ""}, 20ms,
                      [&](Result<Fd> socket) { why = socket.error().detail; });
    EXPECT_TRUE(run_until(loop, [&] { return !why.empty(); }));
    EXPECT_EQ(why, "app.example:80: no connection in time");
    EXPECT_FALSE(connector.busy());
    held.gate.unlock();
}

}  // namespace
}  // namespace ee::net

#include "net/connector.h"

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
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
    Resolver resolver(loop, workers);
    std::vector<Fd> accepted;
    auto listener = Listener::open(loop, "127.0.0.1", 0, [&](Fd socket, const Endpoint& peer) {
        EXPECT_EQ(peer.ip.to_string(), "127.0.0.1");
        accepted.push_back(std::move(socket));
    });
    ASSERT_TRUE(listener);
    Connector connector(loop, resolver);
    bool connected = false;
    connector.connect({"http", "localhost", (*listener)->port(), ""}, 5s,
                      [&](Result<Fd> socket) { connected = socket.has_value(); });
    EXPECT_TRUE(run_until(loop, [&] { return connected && accepted.size() == 1; }));

    const auto taken = Listener::open(loop, "127.0.0.1", (*listener)->port(), nullptr);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, "bind_failed");
    EXPECT_FALSE(Listener::open(loop, "localhost", 0, nullptr));

    EXPECT_TRUE(Listener::check("127.0.0.1", (*listener)->port())) << "somebody has it, who may be we";
    EXPECT_FALSE(Listener::check("localhost", 0));
    const auto foreign = Listener::check("192.0.2.1", 0);  // RFC 5737: no machine has it.
    ASSERT_FALSE(foreign);
    EXPECT_NE(foreign.error().detail.find("192.0.2.1"), std::string::npos);
}

TEST(Connector, ConnectsToLocalhostWithoutLookingItUp) {
    Loop loop;
    WorkerPool workers(1, 0);  // Takes no look-up.
    Resolver resolver(loop, workers);
    auto listener = Listener::open(loop, "127.0.0.1", 0, [](Fd, const Endpoint&) {});
    ASSERT_TRUE(listener);
    Connector connector(loop, resolver);
    bool connected = false;
    connector.connect({"http", "localhost", (*listener)->port(), ""}, 5s,
                      [&](Result<Fd> socket) { connected = socket.has_value(); });
    EXPECT_TRUE(run_until(loop, [&] { return connected; }));
}

TEST(Connector, SaysWhyNobodyAnswered) {
    Loop loop;
    WorkerPool workers(1, 8);
    Resolver resolver(loop, workers);
    Connector connector(loop, resolver);
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
        Resolver resolver(loop, held.workers);
        {
            Connector connector(loop, resolver);
            // Not in dotted form, so it goes the way of names; no name server is needed.
            connector.connect({"http", "127.1", 1, ""}, 5s, [&](Result<Fd>) { FAIL(); });
        }
        held.gate.unlock();
    }
    run_turns(loop, 3);  // The answer to the look-up.
}

// As many visitors at once as no queue of workers holds.
TEST(Connector, ManyWaitForOneLookUpOfAName) {
    Loop loop;
    std::size_t accepted = 0;
    const auto listener = Listener::open(loop, "127.0.0.1", 0, [&](Fd, const Endpoint&) { ++accepted; });
    ASSERT_TRUE(listener);
    HeldWorkers held;
    Resolver resolver(loop, held.workers);
    std::deque<Connector> connectors;
    std::size_t connected = 0;
    for (int i = 0; i < 200; ++i)
        connectors.emplace_back(loop, resolver)
            .connect({"http", "127.1", (*listener)->port(), ""}, 5s,
                     [&](Result<Fd> socket) { connected += socket ? 1 : 0; });
    held.gate.unlock();
    EXPECT_TRUE(run_until(loop, [&] { return connected == 200 && accepted == 200; }));
}

TEST(Connector, RefusesWhenTooManyNamesAreLookedUp) {
    Loop loop;
    WorkerPool workers(1, 0);
    Resolver resolver(loop, workers);
    Connector connector(loop, resolver);
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
    Resolver resolver(loop, held.workers);
    Connector connector(loop, resolver);
    Error why;
    connector.connect({"http", "app.example", 80, ""}, 20ms,
                      [&](Result<Fd> socket) { why = socket.error(); });
    EXPECT_TRUE(run_until(loop, [&] { return !why.code.empty(); }));
    EXPECT_EQ(why.code, connect_timed_out);
    EXPECT_EQ(why.detail, "app.example:80: no connection in time");
    EXPECT_FALSE(connector.busy());
    held.gate.unlock();
}

// A Unix socket that listens and accepts nobody; connections wait for it until its queue is full.
struct FullUnixServer {
    FullUnixServer() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ee-unix-XXXXXX").string();
        folder = ::mkdtemp(pattern.data());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
        const auto* where = reinterpret_cast<const sockaddr*>(&address);
        EE_CHECK(::bind(listener.get(), where, sizeof address) == 0);
        EE_CHECK(::listen(listener.get(), 0) == 0);
        for (Fd next = unix_socket(); ::connect(next.get(), where, sizeof address) == 0; next = unix_socket())
            waiting.push_back(std::move(next));
        EE_CHECK(errno == EAGAIN);
    }
    ~FullUnixServer() { std::filesystem::remove_all(folder); }

    static Fd unix_socket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }
    std::string path() const { return folder / "app.sock"; }
    Fd accept() const { return Fd(::accept(listener.get(), nullptr, nullptr)); }

    std::filesystem::path folder;
    Fd listener = unix_socket();
    std::vector<Fd> waiting;
};

TEST(Connector, TriesAUnixSocketAgainWhoseQueueIsFull) {
    Loop loop;
    WorkerPool workers(1, 0);
    Resolver resolver(loop, workers);
    const FullUnixServer server;
    Connector connector(loop, resolver);
    bool called = false, connected = false;
    connector.connect({"unix", server.path(), 0, ""}, 5s, [&](Result<Fd> socket) {
        called = true;
        connected = socket.has_value();
    });
    run_turns(loop, 5);  // It has tried by then.
    EXPECT_FALSE(called);
    const Fd made_room = server.accept();
    EXPECT_TRUE(run_until(loop, [&] { return called; }));
    EXPECT_TRUE(connected);
}

TEST(Connector, SaysThatAUnixSocketsQueueWasFullToTheEnd) {
    Loop loop;
    WorkerPool workers(1, 0);
    Resolver resolver(loop, workers);
    const FullUnixServer server;
    Connector connector(loop, resolver);
    std::string why;
    connector.connect({"unix", server.path(), 0, ""}, 40ms,
                      [&](Result<Fd> socket) { why = socket.error().detail; });
    EXPECT_TRUE(run_until(loop, [&] { return !why.empty(); }));
    EXPECT_EQ(why,
              "unix:" + server.path() + ": no connection in time; last: its queue of connections is full");
}

}  // namespace
}  // namespace ee::net

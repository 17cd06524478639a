#include <filesystem>
#include <fstream>
#include <future>
#include <sched.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "net/connector.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/loop_thread.h"
#include "net/stream.h"
#include "net/test_peer.h"
#include "net/url.h"
#include "net/worker_pool.h"

namespace ee::net {
namespace {

using namespace std::chrono_literals;

// Says again what it hears.
struct Echo final : Recorder {
    void on_data(std::span<char> data) override {
        Recorder::on_data(data);
        if (echo != nullptr) echo->write({data.data(), data.size()});
    }

    Stream* echo = nullptr;
};

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
    a.close_after_flush(500ms);  // Less than the reader needs, which takes it in 16 steps or more.
    std::size_t taken = 0;
    Timer reader(loop, [&] {
        std::string some(256 * 1024, '\0');
        const ssize_t count = ::read(right.get(), some.data(), some.size());
        if (count > 0) taken += static_cast<std::size_t>(count);
        if (count != 0) return reader.arm_after(40ms);
        right.reset();
    });
    reader.arm_after(40ms);
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

TEST(Connector, MayDieWhileANameIsLookedUp) {
    Loop loop;
    std::mutex gate;
    gate.lock();
    {
        WorkerPool workers(1, 8);
        ASSERT_TRUE(workers.run([&] { const std::lock_guard wait(gate); }));
        {
            Connector connector(loop, workers);
            // Not in dotted form, so it goes the way of names; no name server is needed.
            connector.connect({"http", "127.1", 1, ""}, 5s, [&](Result<Fd>) { FAIL(); });
        }
        gate.unlock();
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
    std::mutex gate;
    gate.lock();
    WorkerPool workers(1, 8);
    ASSERT_TRUE(workers.run([&] { const std::lock_guard wait(gate); }));
    Connector connector(loop, workers);
    std::string why;
    connector.connect({"http", "app.example", 80, ""}, 20ms,
                      [&](Result<Fd> socket) { why = socket.error().detail; });
    EXPECT_TRUE(run_until(loop, [&] { return !why.empty(); }));
    EXPECT_EQ(why, "app.example:80: no connection in time");
    EXPECT_FALSE(connector.busy());
    gate.unlock();
}

// A self-signed certificate for 127.0.0.1, made with the openssl program.
class TlsPair : public testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("ee-tls-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
            "/CN=localhost "
            "-addext subjectAltName=IP:127.0.0.1 -keyout " +
            key().string() + " -out " + cert().string() + " 2>/dev/null";
        ASSERT_EQ(std::system(command.c_str()), 0);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::filesystem::path cert() const { return folder_ / "cert.pem"; }
    std::filesystem::path key() const { return folder_ / "key.pem"; }

    std::filesystem::path folder_;
};

TEST_F(TlsPair, CarriesBytesAndBothEndsExportTheSameChannel) {
    Loop loop;
    auto [left, right] = socket_pair();
    Echo near, far;
    Stream client(loop, std::move(left), near,
                  std::make_unique<TlsSession>(TlsContext::client(cert()).value(), "127.0.0.1"));
    Stream server(loop, std::move(right), far,
                  std::make_unique<TlsSession>(TlsContext::server(cert(), key()).value(), ""));
    far.echo = &server;
    server.start();
    client.start();
    const std::string big(3 << 20, 'z');
    client.write(big);
    EXPECT_TRUE(run_until(loop, [&] { return near.received.size() == big.size(); }));
    EXPECT_EQ(near.received, big);
    ASSERT_TRUE(client.tls()->channel_binding());
    EXPECT_EQ(client.tls()->channel_binding(), server.tls()->channel_binding());
    client.close_after_flush();
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "closed"; }));
}

TEST_F(TlsPair, ClientRefusesACertificateOfAnotherName) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream client(loop, std::move(left), near,
                  std::make_unique<TlsSession>(TlsContext::client(cert()).value(), "other.example"));
    Stream server(loop, std::move(right), far,
                  std::make_unique<TlsSession>(TlsContext::server(cert(), key()).value(), ""));
    server.start();
    client.start();
    client.write("secret");
    EXPECT_TRUE(run_until(loop, [&] { return !near.closed.empty() && !far.closed.empty(); }));
    EXPECT_EQ(near.closed, "tls_failed");
    EXPECT_EQ(far.received, "");
}

TEST_F(TlsPair, AnEndWithoutCloseNotifyIsNoCleanEnd) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near, far;
    Stream client(loop, std::move(left), near,
                  std::make_unique<TlsSession>(TlsContext::client(cert()).value(), "127.0.0.1"));
    Stream server(loop, std::move(right), far,
                  std::make_unique<TlsSession>(TlsContext::server(cert(), key()).value(), ""));
    server.start();
    client.start();
    client.write("first half");
    ASSERT_TRUE(run_until(loop, [&] { return far.received == "first half"; }));
    client.abort();
    EXPECT_TRUE(run_until(loop, [&] { return !far.closed.empty(); }));
    EXPECT_EQ(far.closed, "connection_lost");
}

TEST_F(TlsPair, ClosingDoesNotWaitForAHandshakeThatNeverEnds) {
    Loop loop;
    auto [left, right] = socket_pair();  // The right side says nothing.
    Recorder near;
    Stream client(loop, std::move(left), near,
                  std::make_unique<TlsSession>(TlsContext::client(cert()).value(), "127.0.0.1"));
    client.start();
    client.write("never under a key");
    client.close_after_flush(5s);
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }, 4s));
    std::string sent(4096, '\0');
    const ssize_t count = ::read(right.get(), sent.data(), sent.size());
    ASSERT_GT(count, 0);  // The ClientHello.
    EXPECT_EQ(sent.find("never"), std::string::npos);
}

TEST_F(TlsPair, NothingIsDeliveredAfterTheOwnerClosed) {
    struct Closer final : Recorder {
        void on_data(std::span<char> data) override {
            Recorder::on_data(data);
            stream->close_after_flush();
        }
        Stream* stream = nullptr;
    };
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder near;
    Closer far;
    Stream client(loop, std::move(left), near,
                  std::make_unique<TlsSession>(TlsContext::client(cert()).value(), "127.0.0.1"));
    Stream server(loop, std::move(right), far,
                  std::make_unique<TlsSession>(TlsContext::server(cert(), key()).value(), ""));
    far.stream = &server;
    server.start();
    client.start();
    const std::string records(40 * 1024, 'r');  // Three records (RFC 8446 section 5.1), one segment.
    client.write(records);
    EXPECT_TRUE(run_until(loop, [&] { return near.closed == "closed"; }));
    EXPECT_EQ(far.received.size(), 16384u);
}

TEST_F(TlsPair, GarbageInPlaceOfAHandshakeEndsTheConnection) {
    Loop loop;
    auto [left, right] = socket_pair();
    Recorder far;
    Stream server(loop, std::move(right), far,
                  std::make_unique<TlsSession>(TlsContext::server(cert(), key()).value(), ""));
    server.start();
    ASSERT_EQ(::write(left.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
    EXPECT_TRUE(run_until(loop, [&] { return far.closed == "tls_failed"; }));
}

TEST(TlsContext, NamesTheFileItCannotUse) {
    const auto made = TlsContext::server("/nonexistent/cert.pem", "/nonexistent/key.pem");
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().detail.find("/nonexistent/cert.pem"), std::string::npos);
}

TEST(Url, ParsesWhatTheSettingsUse) {
    const Url ws = parse_url("WSS://control.example.com:8088/v1/tunnel?x=1").value();
    EXPECT_EQ(ws.scheme, "wss");
    EXPECT_EQ(ws.host, "control.example.com");
    EXPECT_EQ(ws.port, 8088);
    EXPECT_EQ(ws.path, "/v1/tunnel?x=1");
    EXPECT_EQ(ws.authority(), "control.example.com:8088");
    EXPECT_EQ(parse_url("http://[::1]:80").value().authority(), "[::1]");
    EXPECT_EQ(parse_url("unix:/run/app.sock").value().host, "/run/app.sock");
    EXPECT_TRUE(parse_url("h2c+unix:/run/app.sock").value().is_unix());
    EXPECT_EQ(parse_url("h2c+unix:/run/app.sock").value().host, "/run/app.sock");
    EXPECT_TRUE(parse_url("h2c+unix:/run/app.sock").value().is_loopback());
    for (const auto& [text, is_http2] : {std::pair{"h2c://h", true},
                                         {"h2c+unix:/s", true},
                                         {"unix:/s", false},
                                         {"http://h", false},
                                         {"https://h", false}})
        EXPECT_EQ(parse_url(text).value().is_http2(), is_http2) << text;
    EXPECT_TRUE(parse_url("http://127.9.0.1").value().is_loopback());
    EXPECT_TRUE(parse_url("http://[::1]").value().is_loopback());
    EXPECT_FALSE(parse_url("http://10.0.0.1").value().is_loopback());
}

TEST(Url, RefusesTheRestWithAReason) {
    for (const char* bad :
         {"", "localhost:80", "ftp://x", "http://", "http://u@h", "http://h:0", "http://h:65536",
          "http://h:x", "http://[::1", "http://[zz]", "http://[::1]x", "http://h/#f", "unix:relative",
          "h2c+unix:relative", "unix", "http+unix:/x", "http://a b"})
        EXPECT_FALSE(parse_url(bad)) << bad;
}

TEST(Cidr, ContainsByPrefix) {
    EXPECT_TRUE(Cidr::parse("10.0.0.0/9")->contains(*IpAddress::parse("10.127.255.255")));
    EXPECT_FALSE(Cidr::parse("10.0.0.0/9")->contains(*IpAddress::parse("10.128.0.0")));
    EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("1.2.3.4")));
    EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("::1")));
    EXPECT_TRUE(Cidr::parse("::1")->contains(*IpAddress::parse("::1")));
    for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "x/8", "::/129", "10.0.0/8"})
        EXPECT_FALSE(Cidr::parse(bad)) << bad;
}

// Counts what it is told, and what others had been told by then.
struct Counted final : Watcher {
    void on_ready(std::uint32_t) override {
        if (++told == 1) first_at = clock();
    }
    std::function<int()> clock;
    int told = 0;
    int first_at = 0;
};

TEST(Loop, HandsOutBackgroundEventsBehindAllOthers) {
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

TEST(Loop, BoundsTheTimeATurnSpendsInTheBackground) {
    Loop loop;
    struct Slow final : Watcher {
        void on_ready(std::uint32_t) override {
            ++told;
            const MonoTime until = std::chrono::steady_clock::now() + 1ms;
            while (std::chrono::steady_clock::now() < until) {
            }
        }
        int told = 0;
    };
    std::array<Slow, 12> slow;
    std::vector<std::pair<Fd, Fd>> pairs;
    for (Slow& one : slow) {
        pairs.push_back(socket_pair());
        loop.watch(pairs.back().first.get(), one, Urgency::background);
    }
    const auto told = [&] {
        int sum = 0;
        for (const Slow& one : slow) sum += one.told;
        return sum;
    };
    run_turns(loop, 0);
    const int first = told();
    EXPECT_GT(first, 0);
    EXPECT_LT(first, 12);
    run_turns(loop, 5);
    EXPECT_EQ(told(), 12);
    for (std::size_t i = 0; i < slow.size(); ++i)
        loop.unwatch(pairs[i].first.get(), slow[i], Urgency::background);
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

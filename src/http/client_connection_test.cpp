#include "http/client_connection.h"

#include <algorithm>
#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/un.h>

#include "http/server.h"
#include "http/test_server.h"

namespace ee::http {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;

std::vector<OwnedField> owned(std::span<const Field> fields) {
    std::vector<OwnedField> out;
    for (const Field& field : fields) out.push_back({std::string(field.name), std::string(field.value)});
    return out;
}

// Notes what comes of a request, and consumes it at once unless told not to.
struct Asker final : AnswerObserver, net::Recorder {
    using Recorder::on_data;
    void on_interim(const ResponseHead& head) override { interim.push_back(head.status); }
    void on_head(const ResponseHead& head) override {
        status = head.status;
        fields = owned(head.fields);
        if (at_head) at_head();
    }
    void on_body(std::string_view bytes) override {
        count += bytes.size();
        unconsumed += bytes.size();
        unconsumed_most = std::max(unconsumed_most, unconsumed);
        if (keeps) body.append(bytes);
        if (consumes) consume();
    }
    void on_end(std::span<const Field> last) override {
        trailers = owned(last);
        ended = "end";
    }
    void on_failure(RequestFailure failure, const std::string& reason) override {
        constexpr const char* names[] = {"unwritable", "connecting", "silent", "timed_out", "broken"};
        ended = names[static_cast<int>(failure)];
        why = reason;
    }
    void on_written(std::size_t bytes) override {
        written += bytes;
        if (on_room) on_room();
    }
    void on_upgraded(const ResponseHead& head, std::unique_ptr<net::Stream> handed) override {
        status = head.status;
        stream = std::move(handed);
        stream->set_handler(*this);
        ended = "upgraded";
    }
    void consume() { exchange->body_consumed(std::exchange(unconsumed, 0)); }

    ClientExchange* exchange = nullptr;
    bool consumes = true, keeps = true;
    std::vector<int> interim;
    int status = 0;
    std::vector<OwnedField> fields, trailers;
    std::string body, ended, why;
    std::uint64_t count = 0, written = 0;
    std::size_t unconsumed = 0, unconsumed_most = 0;
    std::function<void()> at_head, on_room;
    std::unique_ptr<net::Stream> stream;
};

class ClientConnectionTest : public testing::Test, public ClientConnection::Owner {
protected:
    void TearDown() override {
        connection.reset();
        loop.collect();
    }
    void on_idle_close(ClientConnection&) override { ++idle_closes; }
    void connect(net::Url url) {
        connection = std::make_unique<ClientConnection>(loop, resolver, std::move(url), nullptr, this);
    }
    void begin(Asker& asker, OutgoingRequest request = {.text = get}) {
        if (!connection) connect(server.url());
        asker.exchange = connection.get();
        connection->begin(std::move(request), asker);
        EXPECT_EQ(asker.ended, "");  // Never within begin().
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done, 20s); }
    bool ends(Asker& asker, const std::string& how) {
        return until([&] { return !asker.ended.empty(); }) && asker.ended == how;
    }
    net::Peer& peer(std::size_t index = 0) {
        EXPECT_TRUE(until([&] { return server.has_request(index); }));
        return *server.peers.at(index);
    }

    static constexpr const char* get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    TestServer server{loop};
    std::unique_ptr<ClientConnection> connection;
    int idle_closes = 0;
};

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const std::string post_head = "POST / HTTP/1.1\r\nHost: a\r\n";
OutgoingRequest sized(std::uint64_t bytes) {
    return {.text = post_head + "Content-Length: " + std::to_string(bytes) + "\r\n\r\n",
            .body = Framing::length,
            .body_length = bytes};
}
OutgoingRequest chunked() {
    return {.text = post_head + "Transfer-Encoding: chunked\r\n\r\n", .body = Framing::chunked};
}

// ---- Requests ----

TEST_F(ClientConnectionTest, SendsABodyInPiecesAndTrailersBehindChunks) {
    Asker asker;
    begin(asker, chunked());
    ASSERT_TRUE(connection->send_body("before there is a connection"));
    peer();
    ASSERT_TRUE(connection->send_body(""));
    ASSERT_TRUE(connection->send_body("abc"));
    const Field sum{"X-Sum", "7"};
    ASSERT_TRUE(connection->end_body({&sum, 1}));
    const std::string sent = post_head +
                             "Transfer-Encoding: chunked\r\n\r\n1c\r\nbefore there is a connection\r\n"
                             "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    EXPECT_TRUE(until([&] { return peer().received == sent; })) << peer().received;
    EXPECT_TRUE(until([&] { return asker.written == 31; }));
    peer().say(ok);
    EXPECT_TRUE(ends(asker, "end"));
    EXPECT_TRUE(connection->reusable());
}

TEST_F(ClientConnectionTest, SendsNoBodyThatIsNotAsLongAsItsHeadSays) {
    const Field bad{"X", "a\r\nb"};
    for (const int row : {0, 1, 2}) {
        Asker asker;
        connection.reset();
        begin(asker, row == 2 ? chunked() : sized(3));
        ASSERT_TRUE(connection->send_body("ab"));
        if (row == 0) {
            EXPECT_FALSE(connection->send_body("cd"));
        }
        if (row == 1) {
            EXPECT_FALSE(connection->end_body({}));
        }
        if (row == 2) {
            EXPECT_FALSE(connection->end_body({&bad, 1}));
        }
        run_turns(loop, 10);
        EXPECT_EQ(asker.ended, "");  // As after cancel().
        for (const auto& heard : server.peers) {
            EXPECT_FALSE(heard->received.ends_with("cd"));
            EXPECT_FALSE(heard->received.ends_with("\r\n0\r\n\r\n"));
        }
    }
}

TEST_F(ClientConnectionTest, HearsToGoOnAndOtherInterimAnswers) {
    Asker asker;
    OutgoingRequest request = sized(4);
    request.text.insert(request.text.size() - 2, "Expect: 100-continue\r\n");
    begin(asker, request);
    peer().say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    ASSERT_TRUE(until([&] { return asker.interim == std::vector<int>{103, 100}; }));
    ASSERT_TRUE(connection->send_body("body"));
    ASSERT_TRUE(connection->end_body({}));
    ASSERT_TRUE(until([&] { return peer().received.ends_with("\r\n\r\nbody"); }));
    peer().say("HTTP/1.1 102 Processing\r\n\r\n" + ok);
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.interim, (std::vector<int>{103, 100, 102}));
    EXPECT_EQ(asker.body, "ok");
}

// ---- Answers ----

TEST_F(ClientConnectionTest, HandsOutAnAnswerAsItComes) {
    Asker asker;
    begin(asker);
    peer().say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    ASSERT_TRUE(until([&] { return asker.body == "ab"; }));
    EXPECT_EQ(asker.status, 200);
    peer().say("2\r\ncd\r\n");
    ASSERT_TRUE(until([&] { return asker.body == "abcd"; }));
    EXPECT_EQ(asker.ended, "");
    peer().say("0\r\ngrpc-status: 0\r\n\r\n");
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.trailers, (std::vector<OwnedField>{{"grpc-status", "0"}}));
}

TEST_F(ClientConnectionTest, StopsReadingWhileTooMuchIsUnconsumed) {
    Asker asker;
    asker.consumes = asker.keeps = false;
    begin(asker);
    const std::string big(64 << 20, 'b');
    peer().say("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(big.size()) + "\r\n\r\n");
    peer().say(big);
    ASSERT_TRUE(until([&] { return asker.unconsumed > 256 * 1024; }));
    run_turns(loop, 50);
    EXPECT_LE(asker.count, 256u * 1024 + net::Loop::read_buffer_size);
    EXPECT_GT(peer().stream.pending_output(), big.size() / 2);
    asker.consumes = true;
    asker.consume();
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.count, big.size());
    EXPECT_TRUE(connection->reusable());
}

TEST_F(ClientConnectionTest, AnAnswerMayEndBeforeTheRequestsBodyWasSent) {
    Asker asker;
    begin(asker, sized(10));
    ASSERT_TRUE(connection->send_body("12345"));
    peer().say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.status, 413);
    EXPECT_EQ(asker.body, "no");
    EXPECT_FALSE(connection->reusable());
}

TEST_F(ClientConnectionTest, HearsTheAnswerOfAServerThatClosesInsteadOfTakingTheBody) {
    const std::pair<std::string, std::string> rows[] = {
        {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", "end"},
        {"HTTP/1.1 413 Content Too Large\r\n\r\nno", "broken"},  // Nobody knows whether that is all.
    };
    for (const auto& [answer, how] : rows) {
        net::Fd accepted;
        const auto listener =
            net::Listener::open(loop, "127.0.0.1", 0,
                                [&](net::Fd socket, const net::Endpoint&) { accepted = std::move(socket); });
        connect({"http", "127.0.0.1", (*listener)->port(), ""});
        Asker asker;
        begin(asker, sized(64 << 20));
        ASSERT_TRUE(until([&] { return static_cast<bool>(accepted); }));
        ASSERT_TRUE(connection->send_body(std::string(32 << 20, 'u')));
        run_turns(loop, 20);
        ASSERT_GT(::send(accepted.get(), answer.data(), answer.size(), 0), 0);
        accepted.reset();  // With bytes unread: a reset.
        ASSERT_TRUE(ends(asker, how)) << asker.ended << asker.why;
        EXPECT_EQ(asker.status, 413);
        EXPECT_EQ(asker.body, "no");
    }
}

TEST_F(ClientConnectionTest, TheEndOfTheConnectionEndsAnAnswerWithoutLengthEvenWhileABodyIsSent) {
    Asker asker;
    begin(asker, chunked());
    ASSERT_TRUE(connection->send_body("part"));
    peer().say("HTTP/1.0 200 OK\r\n\r\nall of it");
    ASSERT_TRUE(until([&] { return asker.body == "all of it"; }));
    peer().stream.close_after_flush();
    ASSERT_TRUE(ends(asker, "end"));
    EXPECT_FALSE(connection->reusable());
}

TEST_F(ClientConnectionTest, KnowsWhichAnswersHaveNoBody) {
    for (const auto& [asked, answer] :
         {std::pair<AskedMethod, std::string>{AskedMethod::head, "200 OK\r\nContent-Length: 1000"},
          {AskedMethod::head, "200 OK\r\nTransfer-Encoding: chunked"},
          {AskedMethod::other, "204 No Content"},
          {AskedMethod::other, "304 Not Modified\r\nContent-Length: 1000"}}) {
        Asker asker;
        begin(asker, {.text = get, .asked = asked});
        net::Peer& asked_of = peer();
        asked_of.received.clear();
        asked_of.say("HTTP/1.1 " + answer + "\r\n\r\n");
        ASSERT_TRUE(ends(asker, "end")) << answer;
        EXPECT_EQ(asker.count, 0u);
        EXPECT_TRUE(connection->reusable());
    }
}

TEST_F(ClientConnectionTest, IsReusableOnlyAfterBothWereComplete) {
    struct Row {
        const char* what;
        std::string answer;
        bool reusable;
    };
    const Row rows[] = {
        {"complete", ok, true},
        {"closing", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
        {"old", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
        {"old but kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true},
        {"more behind", ok + "?", false},
    };
    for (const Row& row : rows) {
        Asker asker;
        connection.reset();
        const std::size_t index = server.peers.size();
        begin(asker, sized(1));
        ASSERT_TRUE(connection->send_body("x") && connection->end_body({}));
        peer(index).say(row.answer);
        ASSERT_TRUE(ends(asker, "end")) << row.what;
        EXPECT_EQ(connection->reusable(), row.reusable) << row.what;
    }
    // One after another on one connection.
    Asker first, second;
    connection.reset();
    const std::size_t index = server.peers.size();
    begin(first);
    net::Peer& asked_of = peer(index);
    asked_of.received.clear();
    asked_of.say(ok);
    ASSERT_TRUE(ends(first, "end"));
    EXPECT_FALSE(connection->used_before());
    begin(second);
    EXPECT_TRUE(connection->used_before());
    peer(index).say(ok);
    ASSERT_TRUE(ends(second, "end"));
    EXPECT_EQ(server.peers.size(), index + 1);
    peer(index).stream.close_after_flush();
    EXPECT_TRUE(until([&] { return idle_closes == 1; }));
    EXPECT_FALSE(connection->reusable());
}

// ---- What goes wrong ----

TEST_F(ClientConnectionTest, SaysHowARequestFailed) {
    const std::pair<std::string, std::string> rows[] = {
        {"", "silent"},
        {"HTTP/1.1 200 O", "broken"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "broken"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "broken"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "broken"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broken"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", "broken"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "broken"},
    };
    for (const auto& [answer, how] : rows) {
        Asker asker;
        connection.reset();
        const std::size_t index = server.peers.size();
        begin(asker);
        peer(index).say(answer);
        peer(index).stream.close_after_flush();
        EXPECT_TRUE(ends(asker, how)) << answer << asker.ended;
    }
    Asker nobody;
    connect({"http", "127.0.0.1", 1, ""});
    begin(nobody);
    EXPECT_TRUE(ends(nobody, "connecting"));
}

TEST_F(ClientConnectionTest, GivesUpAServerThatOwesProgress) {
    struct Row {
        const char* what;
        std::string answer;
        bool body_is_complete;
        bool consumes;
        bool gives_up;
    };
    const std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string much = "80000\r\n" + std::string(0x80000, 'x') + "\r\n";
    const Row rows[] = {
        {"no head", "", true, true, true},
        {"half a head", "HTTP/1.1 200", true, true, true},
        {"half a body", chunks + "2\r\nab\r\n", true, true, true},
        {"it waits for us", chunks + "2\r\nab\r\n", false, true, false},
        {"we do not read", chunks + much + much, true, false, false},
    };
    for (const Row& row : rows) {
        Asker asker;
        asker.consumes = row.consumes;
        connection.reset();
        const std::size_t index = server.peers.size();
        OutgoingRequest request = chunked();
        request.time = 50ms;
        begin(asker, request);
        ASSERT_TRUE(connection->send_body("x"));
        if (row.body_is_complete) {
            ASSERT_TRUE(connection->end_body({}));
        }
        peer(index).say(row.answer);
        bool later = false;
        net::Timer late(loop, [&] { later = true; });
        late.arm_after(row.gives_up ? 10s : 200ms);
        ASSERT_TRUE(until([&] { return later || !asker.ended.empty(); }));
        EXPECT_EQ(asker.ended, row.gives_up ? "timed_out" : "") << row.what;
        if (!row.gives_up && !row.consumes) {
            asker.consumes = true;
            asker.consume();  // From here on it owes us again.
            EXPECT_TRUE(ends(asker, "timed_out"));
        }
    }
}

TEST_F(ClientConnectionTest, GivesUpAServerThatCannotBeConnectedToInTime) {
    // The second connection to it waits for the first to be accepted, which it never is.
    net::Fd full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in place{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof place;
    ASSERT_EQ(::bind(full.get(), reinterpret_cast<sockaddr*>(&place), size), 0);
    ASSERT_EQ(::getsockname(full.get(), reinterpret_cast<sockaddr*>(&place), &size), 0);
    ASSERT_EQ(::listen(full.get(), 0), 0);
    const net::Fd first = net::connect_to(ntohs(place.sin_port));
    Asker waiting, whole, unsecured;
    connect({"http", "127.0.0.1", ntohs(place.sin_port), ""});
    begin(waiting);
    ClientConnection second(loop, resolver, {"http", "127.0.0.1", ntohs(place.sin_port), ""}, nullptr, this);
    whole.exchange = &second;
    second.begin({.text = get, .deadline = OutgoingRequest::Deadline::whole, .time = 15s}, whole);
    const auto context = net::TlsContext::client("");
    ASSERT_TRUE(context);
    ClientConnection silent(loop, resolver, {"https", "127.0.0.1", server.listener->port(), ""}, *context,
                            this);
    unsecured.exchange = &silent;
    silent.begin({.text = get}, unsecured);
    EXPECT_TRUE(ends(waiting, "timed_out")) << waiting.ended;
    EXPECT_TRUE(ends(whole, "timed_out")) << whole.ended;
    EXPECT_TRUE(ends(unsecured, "timed_out")) << unsecured.ended;
}

TEST_F(ClientConnectionTest, GivesUpAServerThatTakesNothingOfABody) {
    Asker asker;
    OutgoingRequest request = sized(64 << 20);
    request.time = 50ms;
    begin(asker, request);
    peer().stream.pause_reading();
    ASSERT_TRUE(connection->send_body(std::string(32 << 20, 'u')));
    EXPECT_TRUE(ends(asker, "timed_out"));
    EXPECT_LT(asker.written, 32u << 20);
}

TEST_F(ClientConnectionTest, ASlowAnswerIsNoIdleOne) {
    Asker asker;
    begin(asker, {.text = get, .time = 1500ms});
    peer().say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
    int said = 0;
    net::Timer drip(loop, [&] {
        peer().say("x");
        if (++said < 20) drip.arm_after(100ms);
    });
    drip.arm_after(100ms);
    EXPECT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.count, 20u);
}

TEST_F(ClientConnectionTest, MayBeCancelledWithinAnyCall) {
    Asker asker;
    asker.at_head = [&] { connection->cancel(); };
    begin(asker);
    peer().say(ok + ok);
    EXPECT_TRUE(until([&] { return !peer().closed.empty(); }));
    EXPECT_EQ(asker.count, 0u);
    EXPECT_EQ(asker.ended, "");
    EXPECT_EQ(idle_closes, 0);
}

// ---- Upgrades and Unix sockets ----

TEST_F(ClientConnectionTest, HandsTheConnectionOverWithWhatCameBehindTheHead) {
    Asker asker;
    begin(asker, {.text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
                  .may_upgrade = true});
    peer().say(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\n"
        "Connection: Upgrade\r\n\r\nright behind");
    ASSERT_TRUE(ends(asker, "upgraded"));
    EXPECT_EQ(asker.status, 101);
    ASSERT_TRUE(until([&] { return asker.received == "right behind"; }));
    asker.stream->write("hello");
    ASSERT_TRUE(until([&] { return peer().received.ends_with("\r\n\r\nhello"); }));
    peer().say(", and more");
    ASSERT_TRUE(until([&] { return asker.received == "right behind, and more"; }));
    connection->cancel();  // It has nothing to do with the stream any more.
    peer().stream.abort();
    EXPECT_TRUE(until([&] { return asker.closed == "closed"; }));
    EXPECT_EQ(idle_closes, 0);
}

TEST_F(ClientConnectionTest, KeepsTheConnectionUntilTheRequestIsComplete) {
    Asker asker;
    OutgoingRequest request = chunked();
    request.may_upgrade = true;
    begin(asker, request);
    ASSERT_TRUE(connection->send_body("half"));
    peer().say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n");
    EXPECT_TRUE(ends(asker, "broken")) << asker.ended;
}

TEST_F(ClientConnectionTest, AsksOverAUnixSocket) {
    const std::string path =
        std::filesystem::temp_directory_path() / ("ee-unix-" + std::to_string(::getpid()));
    net::Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening.get(), 1), 0);
    connect(net::parse_url("unix:" + path).value());
    Asker asker;
    begin(asker);
    run_turns(loop, 5);
    net::Fd accepted(::accept(listening.get(), nullptr, nullptr));
    std::filesystem::remove(path);
    ASSERT_TRUE(accepted);
    ASSERT_GT(::send(accepted.get(), ok.data(), ok.size(), 0), 0);
    EXPECT_TRUE(ends(asker, "end"));
    EXPECT_EQ(asker.body, "ok");
    Asker nobody;
    connect(net::parse_url("unix:" + path).value());
    begin(nobody);
    EXPECT_TRUE(ends(nobody, "connecting"));
}

// ---- Both ends ----

// Says back what it hears; gives credit only for what the asker has taken.
struct EchoHandler final : RequestHandler, ExchangeObserver {
    BodyTerms body_terms(const RequestHead&, const net::Endpoint&) override { return {1ull << 40, true}; }
    void on_request(Exchange& asked) override {
        exchange = &asked;
        exchange->set_observer(this);
        ASSERT_TRUE(exchange->begin(200, {}, std::nullopt));
        exchange->take_body();
    }
    std::string on_refused(const Refusal&) override { return ""; }
    void on_visitor_gone() override { ++gone; }
    void on_body(std::string_view bytes) override {
        waiting += bytes.size();
        waiting_most = std::max(waiting_most, waiting);
        exchange->send(bytes);
    }
    void on_body_end(std::span<const Field> trailers) override { exchange->finish(trailers); }
    void on_written(std::size_t bytes) override {
        waiting -= bytes;
        exchange->body_consumed(bytes);
    }

    Exchange* exchange = nullptr;
    std::size_t waiting = 0, waiting_most = 0;
    int gone = 0;
};

TEST_F(ClientConnectionTest, CarriesAnyAmountBothWaysAtOnceInBoundedMemory) {
    constexpr std::uint64_t size = 256ull << 20;
    constexpr std::size_t window = 256 * 1024;
    EchoHandler echo;
    Server echoing(loop, echo, {});
    ASSERT_TRUE(echoing.listen("127.0.0.1", 0, nullptr));
    connect({"http", "127.0.0.1", echoing.port(), ""});
    Asker asker;
    asker.keeps = false;
    OutgoingRequest request = chunked();
    request.text.insert(request.text.size() - 2, "TE: trailers\r\nConnection: TE\r\n");
    begin(asker, request);
    std::uint64_t sent = 0;
    std::size_t outstanding_most = 0;
    const std::string piece(window / 4, 'p');
    const Field sum{"X-Sum", "7"};
    asker.on_room = [&] {
        if (sent == size) return;
        while (sent < size && sent - asker.written + piece.size() <= window) {
            ASSERT_TRUE(connection->send_body(piece));
            sent += piece.size();
            outstanding_most = std::max<std::size_t>(outstanding_most, sent - asker.written);
        }
        if (sent == size) {
            ASSERT_TRUE(connection->end_body({&sum, 1}));
        }
    };
    asker.on_room();
    ASSERT_TRUE(ends(asker, "end")) << asker.why;
    EXPECT_EQ(asker.count, size);
    EXPECT_EQ(asker.trailers, (std::vector<OwnedField>{{"X-Sum", "7"}}));
    EXPECT_LE(outstanding_most, window);
    EXPECT_LE(echo.waiting_most, ServerLimits{}.unconsumed_bytes_max + net::Loop::read_buffer_size);
    EXPECT_EQ(echo.gone, 0);
    EXPECT_TRUE(connection->reusable());
}

}  // namespace
}  // namespace ee::http

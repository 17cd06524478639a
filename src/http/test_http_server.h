#pragma once
// A server whose handler answers as a test tells it to, and the visitors that ask it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/server.h"
#include "http/test_transfer.h"
#include "net/test_peer.h"

namespace ee::http {

// Serves as a test tells it to; says back what was asked when it was told nothing.
struct TestHandler final : RequestHandler {
    BodyTerms body_terms(const RequestHead&, const net::Endpoint&) override {
        return {.bytes_max = body_max, .claim = std::make_unique<CountedClaim>(claims)};
    }
    void on_request(Exchange& exchange) override {
        EXPECT_EQ(exchange.claim() != nullptr, exchange.head().has_body());
        const RequestHead& head = exchange.head();
        asked.push_back(std::string(head.method) + " " + std::string(head.origin_form));
        bodies.emplace_back(exchange.body());
        if (serve) return serve(exchange);
        exchange.respond(200, {}, asked.back());
    }
    std::string on_refused(const Refusal& refusal) override {
        refused.push_back(std::to_string(refusal.status) + " " + refusal.why.code);
        return "id-of-the-refusal";
    }

    std::size_t body_max = 1000;
    int claims = 0;  // That are kept now.
    std::function<void(Exchange&)> serve;
    std::vector<std::string> asked, bodies, refused;
};

// Holds requests until told what to answer.
struct Held final : ExchangeObserver {
    void operator()(Exchange& asked) {
        exchange = &asked;
        asked.set_observer(this);
    }
    void on_visitor_gone() override {
        ++gone;
        exchange = nullptr;
    }
    void answer(std::string_view body) { std::exchange(exchange, nullptr)->respond(200, {}, body); }

    Exchange* exchange = nullptr;
    int gone = 0;
};

// A server with a handler of the test's, on a loop that runs as long as it takes.
template <class Handler>
class ServerTest : public testing::Test {
protected:
    void open(std::shared_ptr<const net::TlsContext> tls = nullptr) {
        server.emplace(loop, handler, limits);
        ASSERT_TRUE(server->listen("127.0.0.1", 0, std::move(tls)));
    }
    void TearDown() override {
        server.reset();
        loop.collect();
    }
    std::unique_ptr<net::Peer> visit() {
        return std::make_unique<net::Peer>(loop, net::connect_to(server->port()));
    }

    net::Loop loop;
    Handler handler;
    ServerLimits limits;
    std::optional<Server> server;
};

class HttpServer : public ServerTest<TestHandler> {
protected:
    bool until(const std::function<bool()>& done) { return net::run_until(loop, done); }
    // Everything a visitor hears that says this and waits for the end.
    std::string ask(std::string_view request) {
        const auto visitor = visit();
        visitor->say(request);
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); })) << visitor->received;
        return visitor->received;
    }
};

inline std::string get(std::string_view path, std::string_view fields = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n";
}
inline std::string post(std::string_view path, std::string_view fields, std::string_view body) {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n" +
           std::string(body);
}
inline std::string ok(std::string_view body, std::string_view fields = "") {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           std::string(fields) + "\r\n" + std::string(body);
}
inline std::string last(std::string_view body) {
    return ok(body, "Connection: close\r\n");
}

}  // namespace ee::http

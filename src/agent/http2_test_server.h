#pragma once
// An HTTP/2 server that does what a test tells it to, and one who asks over it.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/http2_backend.h"
#include "http/http2_session.h"
#include "net/listener.h"
#include "net/test_peer.h"

namespace ee::agent {

inline std::vector<http::OwnedField> owned(std::span<const http::Field> fields) {
    std::vector<http::OwnedField> out;
    for (const http::Field& field : fields)
        out.push_back({std::string(field.name), std::string(field.value)});
    return out;
}

struct Http2TestServer {
    struct Request {
        std::string method, path, authority, protocol, body;
        std::vector<http::OwnedField> fields, trailers;
        std::size_t unconsumed = 0;
        bool has_ended = false;
        std::optional<std::uint32_t> reset;
    };

    // One connection.
    struct Peer final : net::Stream::Handler, http::Http2Observer {
        Peer(net::Loop& loop, net::Fd socket, const http::Http2Settings& settings)
            : stream(loop, std::move(socket), *this), session(settings, *this) {
            stream.start();
            stream.flush_later();
        }

        void answer(http::Http2StreamId id, int status, std::string_view body, bool end = true,
                    std::span<const http::Field> fields = {}) {
            session.respond(id, {.status = status, .fields = fields}, body, end);
            stream.flush_later();
        }
        void consume(http::Http2StreamId id) {
            session.consume(id, std::exchange(requests[id].unconsumed, 0));
            stream.flush_later();
        }

        void on_data(std::span<char> data) override {
            static_cast<void>(session.receive({data.data(), data.size()}));
            stream.flush_later();
        }
        void on_flush() override {
            if (stream.pending_output() < 1024 * 1024) session.pull(stream.output(), 1024 * 1024);
        }
        void on_progress() override { stream.flush_later(); }
        void on_closed(const Error&) override { is_closed = true; }

        void on_head(http::Http2StreamId id, const http::Http2Head& head, bool) override {
            Request& request = requests[id];
            request.method = head.method;
            request.path = head.path;
            request.authority = head.authority;
            request.protocol = head.protocol;
            request.fields = owned(head.fields);
        }
        void on_body(http::Http2StreamId id, std::string_view bytes) override {
            requests[id].body.append(bytes);
            requests[id].unconsumed += bytes.size();
            if (consumes) consume(id);
        }
        void on_end(http::Http2StreamId id, std::span<const http::Field> trailers) override {
            requests[id].trailers = owned(trailers);
            requests[id].has_ended = true;
        }
        void on_reset(http::Http2StreamId id, std::uint32_t code) override { requests[id].reset = code; }
        void on_goaway(std::uint32_t) override { has_goaway = true; }

        net::Stream stream;
        http::Http2Session session;
        std::map<http::Http2StreamId, Request> requests;
        bool consumes = true;
        bool has_goaway = false;
        bool is_closed = false;
    };

    explicit Http2TestServer(net::Loop& on, http::Http2Settings with = {})
        : loop(on),
          settings(with),
          listener(net::Listener::open(loop, "127.0.0.1", 0, [this](net::Fd socket, const net::Endpoint&) {
                       peers.push_back(std::make_unique<Peer>(loop, std::move(socket), settings));
                   }).value()) {
        settings.role = http::Http2Settings::Role::server;
    }

    net::Url url() const { return {"h2c", "127.0.0.1", listener->port(), ""}; }
    bool has(std::size_t peer, http::Http2StreamId id) const {
        return peers.size() > peer && peers[peer]->requests.contains(id);
    }
    Request& request(std::size_t peer, http::Http2StreamId id) { return peers.at(peer)->requests.at(id); }

    net::Loop& loop;
    http::Http2Settings settings;  // Of connections to come.
    std::unique_ptr<net::Listener> listener;
    std::vector<std::unique_ptr<Peer>> peers;  // In the order in which they came.
};

struct Http2Asker final : http::AnswerObserver {
    void on_interim(const http::ResponseHead& head) override { interim.push_back(head.status); }
    void on_head(const http::ResponseHead& head) override {
        status = head.status;
        fields = owned(head.fields);
        is_empty = head.framing == http::Framing::none;
    }
    void on_body(std::string_view bytes) override {
        body.append(bytes);
        if (consumes) exchange->body_consumed(bytes.size());
    }
    void on_end(std::span<const http::Field> last) override {
        trailers = owned(last);
        ended = "end";
    }
    void on_failure(http::RequestFailure failure, const std::string& reason) override {
        ended = error_code(failure);
        why = reason;
    }
    void on_written(std::size_t bytes) override { written += bytes; }
    void on_opened(const http::ResponseHead& head) override {
        status = head.status;
        is_open = true;
    }

    http::ClientExchange* exchange = nullptr;
    bool consumes = true;
    std::vector<int> interim;
    int status = 0;
    bool is_empty = false, is_open = false;
    std::vector<http::OwnedField> fields, trailers;
    std::string body, ended, why;
    std::size_t written = 0;
};

// A backend and its server, in one loop.
struct Http2BackendFixture {
    Http2BackendFixture() { restart(); }
    ~Http2BackendFixture() {
        backend.reset();
        loop.collect();
    }
    void restart() {
        backend.reset();
        settings.url = server.url();
        backend.emplace(loop, resolver, settings);
    }
    void ask(Http2Asker& asker, BackendRequest request = {}) {
        if (request.path.empty()) request.path = "/";
        if (request.method.empty()) request.method = "GET";
        asker.exchange = &backend->open(request, asker);
        EE_CHECK(asker.ended.empty());  // Never within open().
    }
    bool until(const std::function<bool()>& done) { return net::run_until(loop, done); }
    bool ends(Http2Asker& asker, const std::string& how) {
        return until([&] { return !asker.ended.empty(); }) && asker.ended == how;
    }
    bool hears(std::size_t peer, http::Http2StreamId id) {
        return until([&] { return server.has(peer, id); });
    }
    // Of a whole request.
    bool hears_all(std::size_t peer, http::Http2StreamId id) {
        return until([&] { return server.has(peer, id) && server.request(peer, id).has_ended; });
    }
    // A request that leaves a connection behind, the first: its stream is 1.
    bool warm_up() {
        Http2Asker asker;
        ask(asker);
        if (!hears(server.peers.size(), 1)) return false;
        server.peers.back()->answer(1, 204, "");
        return ends(asker, "end");
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    Http2TestServer server{loop};
    BackendSettings settings;
    std::optional<Http2Backend> backend;
};

}  // namespace ee::agent

#pragma once
// One HTTP/2 connection to the backend and the calls on it.

#include "agent/http2_backend.h"
#include "net/connector.h"
#include "net/stream.h"

namespace ee::agent {

class Http2Backend::Connection final : public net::Stream::Handler, http::Http2Observer {
public:
    explicit Connection(Http2Backend& backend);
    ~Connection();

    // Ready once the backend has said what it allows (its SETTINGS): only then is anything asked, so that
    // what is no HTTP/2 has not seen a request.
    void connect();
    bool is_ready() const { return is_ready_; }
    bool has_room() const;
    // Whether a body that is begun now passes whatever others do: none is being sent, and the window that all
    // share is not taken by what the backend has not read.
    bool is_clear() const;
    std::int64_t window_left() const { return session_.send_window(); }
    // Of a call that is on it.
    void body_ended() { --bodies_; }

    // A request of this call's. Only with room; refused as Http2Session::open().
    Result<http::Http2StreamId> open(Call& call, const http::Http2Head& head, std::string_view body,
                                     bool end);
    http::Http2Session& session() { return session_; }
    // What the session was given leaves at the end of this turn.
    void flush_later();
    // The call hears no more of its stream.
    void forget(http::Http2StreamId stream);
    // Takes no more calls; ends with the last.
    void retire();
    // Of any call: it is not new.
    bool has_answered() const { return has_answered_; }
    bool is_retired() const { return is_retired_; }
    MonoTime heard_at() const { return heard_at_; }

private:
    void on_data(std::span<char> data) override;
    void on_flush() override;
    void on_progress() override;
    bool on_input_end() override;
    void on_closed(const Error& why) override;

    void on_head(http::Http2StreamId id, const http::Http2Head& head, bool end) override;
    void on_interim(http::Http2StreamId id, int status, std::span<const http::Field> fields) override;
    void on_body(http::Http2StreamId id, std::string_view bytes) override;
    void on_end(http::Http2StreamId id, std::span<const http::Field> trailers) override;
    void on_reset(http::Http2StreamId id, std::uint32_t code) override;
    void on_shed(http::Http2StreamId id) override;
    void on_body_taken(http::Http2StreamId id, std::size_t bytes) override;
    void on_settings() override;
    void on_goaway(std::uint32_t code) override;

    // Of one that is not used: most often its end, so nothing is asked before it is read.
    bool has_unread() const;
    void connected(Result<net::Fd> socket);
    Call* find(http::Http2StreamId id) const;
    // Whose stream is over: it is on this connection no more.
    Call* take(http::Http2StreamId id);
    void on_due();
    const char* broken() const;
    // After the session was given something, or something was pulled.
    void settle();
    void close();
    // `failure`: what those fail with that wait for a connection.
    void lost(const std::string& why, http::RequestFailure failure = http::RequestFailure::connecting);

    Http2Backend& backend_;
    net::Connector connector_;
    net::Timer due_;  // To be ready; then to be used.
    http::Http2Session session_;
    std::shared_ptr<net::Stream> stream_;
    std::unordered_map<http::Http2StreamId, Call*> calls_;
    std::size_t bodies_ = 0;         // Of calls that are not given to their end.
    std::int64_t window_whole_ = 0;  // The largest that there was.
    MonoTime heard_at_{};
    bool is_ready_ = false;
    bool is_retired_ = false;
    bool has_begun_ = false;  // A call.
    bool has_answered_ = false;
    bool is_over_ = false;
};

}  // namespace ee::agent

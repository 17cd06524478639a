#pragma once
// One HTTP/2 connection of a server (RFC 9113): an exchange for each stream, all at once.

#include <string>
#include <unordered_map>
#include <vector>

#include "http/http2_exchange.h"
#include "http/http2_session.h"
#include "http/server.h"

namespace ee::http {

// RFC 9113 section 3.4.
constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class Http2ServerConnection final : public Connection,
                                    public net::Stream::Handler,
                                    Http2Observer,
                                    net::Deferred {
public:
    Http2ServerConnection(Server& server, std::unique_ptr<net::Stream> stream, const net::Endpoint& peer);

    // What was read already, its first bytes.
    void put_back(std::string_view input) { stream_->put_back(input); }

    void start() override {}
    bool busy() const override { return session_.open_streams() > 0 || stream_->pending_output() > 0; }
    void drain() override;
    void end() override;
    std::size_t answered_bytes(MonoTime stalled_since) const override;
    void list_gathering(std::vector<Gathering>& into) override;
    void refuse_gathering(std::int32_t stream, int status, const Error& why) override;

private:
    friend class Http2Exchange;

    // net::Stream::Handler
    void on_data(std::span<char> data) override;
    void on_flush() override;
    void on_progress() override;
    void on_drained() override { pull_more(); }
    void on_closed(const Error& why) override;

    // Http2Observer
    void on_head(Http2StreamId stream, const Http2Head& head, bool end) override;
    void on_body(Http2StreamId stream, std::string_view bytes) override;
    void on_end(Http2StreamId stream, std::span<const Field> trailers) override;
    void on_reset(Http2StreamId stream, std::uint32_t code) override;
    void on_complete(Http2StreamId stream, bool) override;
    void on_body_taken(Http2StreamId stream, std::size_t bytes) override;
    void on_peer_reset() override;

    // net::Deferred
    void on_deferred() override;

    Http2Exchange* find(Http2StreamId id) const;
    Http2Exchange& add(Http2StreamId id);
    // The stream needs no exchange any more. Its object stays valid to the end of the turn.
    void forget(Http2StreamId id);
    void answered();
    // go_on() comes for the exchange at the end of the turn.
    void defer(Http2StreamId id);
    void pull_more();
    void look_at_head();
    void arm_deadline();
    void arm_at(MonoTime due);
    void on_deadline();
    // Of a body that is gathered.
    void expect_body(MonoTime due);
    void give_up_bodies();
    void tell_refused(int status, const Error& why);
    void give_up_head();
    void close_to_new(std::uint32_t code);
    // One off what the visitor may have reset now. False when that was all.
    bool take_reset();
    void give_up_stalled();
    void close();
    void end_exchanges();
    void remove();

    Server& server_;
    std::unique_ptr<net::Stream> stream_;
    net::Endpoint peer_;
    Http2Session session_;
    net::Timer deadline_;
    net::Timer body_deadline_;
    MonoTime body_due_;  // What that one is armed for, if it is: the earliest, or sooner.
    std::unordered_map<Http2StreamId, std::unique_ptr<Http2Exchange>> exchanges_;
    std::vector<std::unique_ptr<Http2Exchange>> spare_;
    std::vector<Http2StreamId> deferred_;
    std::vector<Field> fields_;         // Of the answer being written.
    MonoTime all_resets_left_at_{};     // When none counts any more.
    MonoTime last_progress_;            // When the visitor took something.
    std::uint64_t written_before_ = 0;  // Bytes out when the deadline was armed.
    MonoTime due_;                      // When it was armed for.
    Http2StreamId unfinished_head_ = 0;
    MonoTime head_due_;  // When that one must be complete.
    bool has_served_ = false;
    bool draining_ = false;
    bool takes_streams_ = true;  // Until the last GOAWAY.
    bool broken_ = false;        // By the visitor.
    bool ended_ = false;
};

}  // namespace ee::http

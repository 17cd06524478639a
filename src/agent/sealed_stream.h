#pragma once
// A visitor's TLS connection that ends here: its bytes come over a stream of the tunnel, what is in them goes
// to the backend.

#include <memory>
#include <string>

#include "agent/sealed.h"
#include "agent/stream_end.h"
#include "net/connector.h"
#include "net/stream.h"

namespace ee::agent {

class SealedStream final : public StreamEnd, public net::Stream::Handler {
public:
    SealedStream(StreamEnds& tunnel, Sealed& sealed, http::Http2StreamId id);
    ~SealedStream() override;
    SealedStream(const SealedStream&) = delete;
    SealedStream& operator=(const SealedStream&) = delete;

    // Answers 200 once backend and certificate are there; else 502 with the reason in `ee-error`.
    void begin();

    void body(std::string_view ciphertext) override;
    void end_body(std::span<const http::Field> trailers) override;
    void taken(std::size_t bytes) override;
    void cancel() override;

private:
    // `parting`: an alert is on its way, and nothing is listened to.
    enum class State { preparing, handshaking, awaiting_nonce, quoting, relaying, parting, ended };

    void connected(Result<net::Fd> socket);
    void certified(Result<std::shared_ptr<const SealedCertificate>> certificate);
    void open_when_ready();
    void take_ciphertext(std::string_view bytes);
    void take_plaintext(std::string_view bytes);
    void secured();
    void take_nonce(std::string_view bytes);
    void answer_nonce(Result<Bytes> quote);
    void relay();
    void visitor_said_all();
    void backend_said_all();
    void write(std::string_view plaintext);
    void flush();
    void give_back();
    void refuse(std::string_view code, const std::string& why);
    void part(std::string_view code, const std::string& why);
    void break_off(std::string_view code, const std::string& why);
    void finish();

    // From the backend.
    void on_data(std::span<char> data) override;
    void on_progress() override;
    bool on_input_end() override;
    void on_closed(const Error& why) override;

    StreamEnds& tunnel_;
    Sealed& sealed_;
    http::Http2StreamId id_;
    State state_ = State::preparing;
    net::Connector connector_;
    net::Timer due_;
    std::unique_ptr<net::Stream> backend_;
    std::shared_ptr<const SealedCertificate> certificate_;
    std::unique_ptr<net::TlsSession> tls_;
    std::string early_;  // Ciphertext that came before the answer.
    std::string nonce_;
    std::size_t held_ = 0;        // Bytes of the tunnel's that have not been given back to it.
    std::size_t to_backend_ = 0;  // Bytes that the backend's socket has not taken.
    std::size_t to_visitor_ = 0;  // Bytes that the tunnel has not taken.
    bool visitor_ended_ = false;  // By close_notify: all that the visitor has to say.
    bool visitor_shut_ = false;   // Its connection's side, too.
    bool answer_ended_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For what answers late.
};

}  // namespace ee::agent

#include "agent/sealed_stream.h"

#include <algorithm>

#include "agent/backend.h"
#include "attestation/report_data.h"
#include "base/big_endian.h"

namespace ee::agent {
namespace {

// So many bytes may wait for the tunnel before the backend is slowed.
constexpr std::size_t to_visitor_max = 256 * 1024;
// How long a visitor may take to hear why it was turned away.
constexpr std::chrono::seconds parting_time{5};

}  // namespace

SealedStream::SealedStream(StreamEnds& tunnel, Sealed& sealed, http::Http2StreamId id)
    : tunnel_(tunnel),
      sealed_(sealed),
      id_(id),
      connector_(sealed.loop(), sealed.resolver()),
      due_(sealed.loop(), [this] { break_off("sealed_timeout", "the visitor or a quote took too long"); }) {}

SealedStream::~SealedStream() {
    *alive_ = false;
    cancel();
}

// ---- Backend and certificate, then the answer ----

void SealedStream::begin() {
    tunnel_.session().keep_receiving(id_);
    connector_.connect(sealed_.settings().backend, sealed_.settings().connect_time,
                       [this](Result<net::Fd> socket) { connected(std::move(socket)); });
    sealed_.certificate([this, alive = alive_](Result<std::shared_ptr<const SealedCertificate>> made) {
        if (*alive) certified(std::move(made));
    });
}

void SealedStream::connected(Result<net::Fd> socket) {
    if (state_ != State::preparing) return;
    if (!socket) return refuse(error_code(http::connect_failure(socket.error())), socket.error().detail);
    const SealedSettings& settings = sealed_.settings();
    auto tls = settings.backend_tls
                   ? std::make_unique<net::TlsSession>(settings.backend_tls, settings.backend.host)
                   : nullptr;
    backend_ = std::make_unique<net::Stream>(sealed_.loop(), std::move(*socket), *this, std::move(tls));
    // What the backend says first waits until the visitor may hear it.
    if (!settings.backend_tls) backend_->pause_reading();
    backend_->start();
    open_when_ready();
}

void SealedStream::certified(Result<std::shared_ptr<const SealedCertificate>> certificate) {
    if (state_ != State::preparing) return;
    if (!certificate) return refuse(certificate.error().code, certificate.error().detail);
    certificate_ = std::move(*certificate);
    open_when_ready();
}

void SealedStream::open_when_ready() {
    if (!backend_ || !certificate_) return;
    state_ = State::handshaking;
    tunnel_.session().respond(id_, {.status = 200}, "", false);
    tls_ = std::make_unique<net::TlsSession>(certificate_->tls, "");
    due_.arm_after(sealed_.settings().handshake_time);
    const std::string early = std::exchange(early_, {});
    take_ciphertext(early);
    give_back();
    tunnel_.on_output();
}

// Before the answer it says what went wrong.
void SealedStream::refuse(std::string_view code, const std::string& why) {
    sealed_.log().warn("sealed.refused", {{"stream", id_}, {"code", code}, {"detail", why}});
    const http::Field fields[] = {{"ee-error", code}};
    tunnel_.session().respond(id_, {.status = status_of_error(code), .fields = fields}, "", true);
    tunnel_.on_output();
    finish();
}

// ---- From the visitor ----

void SealedStream::body(std::string_view ciphertext) {
    held_ += ciphertext.size();
    if (state_ == State::preparing) {
        early_.append(ciphertext);  // At most the stream's window.
        return;
    }
    if (state_ != State::parting) take_ciphertext(ciphertext);
    give_back();
    tunnel_.on_output();
}

void SealedStream::take_ciphertext(std::string_view bytes) {
    char plaintext[16 * 1024];
    tls_->feed(bytes);
    while (state_ != State::parting && state_ != State::ended) {
        const auto count = tls_->read(plaintext);
        if (!count) {
            if (count.error().code == "tls_closed") {
                visitor_said_all();
                break;
            }
            tls_->feed({});
            return part(count.error().code, count.error().detail);
        }
        if (state_ == State::handshaking && tls_->handshake_done()) secured();
        if (*count == 0) break;
        take_plaintext({plaintext, *count});
    }
    if (state_ == State::ended) return;
    tls_->feed({});  // What was not read is gone with the caller's buffer.
    flush();
}

void SealedStream::secured() {
    if (tls_->protocol() != attestation::connect_alpn) return relay();
    state_ = State::awaiting_nonce;
    due_.arm_after(sealed_.settings().handshake_time);
}

void SealedStream::take_plaintext(std::string_view bytes) {
    if (state_ == State::awaiting_nonce) return take_nonce(bytes);
    if (state_ == State::quoting) return part("sealed_early_bytes", "bytes before the quote was answered");
    if (state_ != State::relaying || !backend_->is_writable()) return;
    backend_->write(bytes);
    to_backend_ += bytes.size();
}

void SealedStream::take_nonce(std::string_view bytes) {
    nonce_.append(bytes);
    if (nonce_.size() < attestation::connect_nonce_size) return;
    if (nonce_.size() > attestation::connect_nonce_size)
        return part("sealed_early_bytes", "bytes behind the nonce, before the quote was answered");
    const auto exporter = tls_->channel_binding();
    if (!exporter) return part("sealed_no_exporter", "the TLS session has no exporter");
    ByteArray<32> nonce{};
    std::ranges::copy(as_bytes(nonce_), nonce.begin());
    state_ = State::quoting;
    due_.arm_after(sealed_.settings().quote_time);
    sealed_.quote(attestation::report_data_connect(nonce, *exporter, certificate_->spki_sha256),
                  [this, alive = alive_](Result<Bytes> quote) {
                      if (*alive && state_ == State::quoting) answer_nonce(std::move(quote));
                  });
}

void SealedStream::answer_nonce(Result<Bytes> quote) {
    if (!quote) {
        part(quote.error().code, quote.error().detail);
    } else {
        write(as_text(big_endian<4>(quote->size())));
        write(as_text(*quote));
        if (state_ == State::quoting) relay();
        flush();
    }
    tunnel_.on_output();
}

void SealedStream::relay() {
    state_ = State::relaying;
    due_.cancel();
    backend_->resume_reading();
}

void SealedStream::visitor_said_all() {
    visitor_ended_ = true;
    if (state_ == State::relaying) return backend_->shut_after_flush();
    part("sealed_closed_early", "the visitor closed before it was served");
}

// The connection's side, where close_notify has not come before, is cut off: whatever the backend has heard,
// it must not take it for all (RFC 8446 section 6.1).
void SealedStream::end_body(std::span<const http::Field>) {
    visitor_shut_ = true;
    if (answer_ended_) return finish();
    if (!visitor_ended_) break_off("sealed_cut_off", "the visitor's connection ended without close_notify");
}

// ---- To the visitor ----

void SealedStream::write(std::string_view plaintext) {
    const auto count = tls_->write(plaintext);
    if (!count || *count != plaintext.size())
        break_off("tls_failed", count ? "TLS takes no more" : count.error().detail);
}

// What TLS has to say goes into the tunnel.
void SealedStream::flush() {
    if (answer_ended_) tls_->output().clear();
    if (state_ == State::ended || tls_->output().empty()) return;
    to_visitor_ += tls_->output().size();
    tunnel_.session().send_body(id_, tls_->output());
    tls_->output().clear();
    if (to_visitor_ > to_visitor_max && backend_) backend_->pause_reading();
}

void SealedStream::taken(std::size_t bytes) {
    to_visitor_ -= std::min(bytes, to_visitor_);
    if (state_ == State::relaying && to_visitor_ < to_visitor_max / 2) backend_->resume_reading();
    give_back();
}

// The tunnel is given back what the backend has taken. What TLS adds takes no memory here; but one that makes
// us answer and does not listen gets no further.
void SealedStream::give_back() {
    if (state_ == State::preparing || state_ == State::ended || to_visitor_ > 2 * to_visitor_max) return;
    const std::size_t kept = std::min(held_, to_backend_);
    tunnel_.session().consume(id_, std::exchange(held_, kept) - kept);
}

// ---- From the backend ----

void SealedStream::on_data(std::span<char> data) {
    if (state_ != State::relaying) return;
    write({data.data(), data.size()});
    flush();
    tunnel_.on_output();
}

void SealedStream::on_progress() {
    if (backend_->take_written(to_backend_) == 0 || state_ == State::ended) return;
    give_back();
    tunnel_.on_output();
}

void SealedStream::backend_said_all() {
    if (answer_ended_) return;
    tls_->close();
    flush();
    answer_ended_ = true;
    tunnel_.session().end_body(id_);
    if (visitor_shut_) finish();
    tunnel_.on_output();
}

bool SealedStream::on_input_end() {
    if (state_ == State::relaying) backend_said_all();
    return state_ == State::relaying;
}

void SealedStream::on_closed(const Error& why) {
    to_backend_ = 0;
    if (state_ == State::preparing) {
        refuse("backend_unreachable", why.detail);
    } else if (why.code == "closed" && state_ == State::relaying) {
        backend_said_all();
        give_back();
    } else if (state_ != State::parting) {
        break_off("backend_unreachable", why.detail);
    }
    tunnel_.on_output();
}

// ---- Ends ----

// The visitor is told by what TLS has left to say, an alert or close_notify, and no more is heard of it.
void SealedStream::part(std::string_view code, const std::string& why) {
    sealed_.log().debug("sealed.parted", {{"stream", id_}, {"code", code}, {"detail", why}});
    state_ = State::parting;
    backend_->reset();
    to_backend_ = 0;
    due_.arm_after(parting_time);
    if (code != "tls_failed") tls_->close();
    flush();
    answer_ended_ = true;
    tunnel_.session().end_body(id_);
    if (visitor_shut_) finish();
}

void SealedStream::break_off(std::string_view code, const std::string& why) {
    if (state_ == State::ended) return;
    sealed_.log().debug("sealed.broken_off", {{"stream", id_}, {"code", code}, {"detail", why}});
    tunnel_.session().reset(id_, http::http2_code::connect_error);
    finish();
    tunnel_.on_output();
}

void SealedStream::cancel() {
    state_ = State::ended;
    due_.cancel();
    connector_.cancel();
    if (backend_) backend_->reset();
}

// A backend that was told that this is all hears the rest of it; another is told that something was lost.
void SealedStream::finish() {
    if (backend_ && visitor_ended_ && answer_ended_ && state_ == State::relaying)
        net::Stream::close_in_background(sealed_.loop(), std::move(backend_));
    cancel();
    tunnel_.forget(id_);
}

}  // namespace ee::agent

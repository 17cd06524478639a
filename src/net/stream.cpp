#include "net/stream.h"

#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/kept_buffer.h"

namespace ee::net {
namespace {

// How long a peer has to close its side after we closed ours, before the socket is dropped.
constexpr std::chrono::seconds linger_time{2};
// At a time, while memory is short: thousands of streams may be read before anybody looks again.
constexpr std::size_t read_size_under_pressure = 32 * 1024;

}  // namespace

Stream::Stream(Loop& loop, Fd socket, Handler& handler, std::unique_ptr<TlsSession> tls)
    : loop_(loop),
      socket_(std::move(socket)),
      handler_(&handler),
      tls_(std::move(tls)),
      closing_due_(loop, [this] { on_closing_due(); }) {
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Unix sockets refuse it; fine.
}

Stream::~Stream() {
    release_socket();
}

void Stream::start(Urgency urgency) {
    urgency_ = urgency;
    loop_.watch(socket_.get(), *this, urgency_);
    if (tls_ && !tls_->handshake_done()) {
        // A client speaks first.
        const Result<std::size_t> started = tls_->read({loop_.plain_buffer(), Loop::read_buffer_size});
        if (!started) return end(started.error());
        flush_later();
    }
}

// Watching anew reports what is ready by then, so no edge is lost.
void Stream::set_urgency(Urgency urgency) {
    if (urgency == urgency_) return;
    if (socket_) {
        loop_.unwatch(socket_.get(), *this, urgency_);
        loop_.watch(socket_.get(), *this, urgency);
    }
    urgency_ = urgency;
}

void Stream::on_ready(std::uint32_t events) {
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        const bool was_blocked = blocked_;
        writable_ = true;
        if (was_blocked) flush();
        count_held();
    }
    if (open_ && (paused_ || half_closed_) && (events & EPOLLERR))
        return end({"connection_lost", "the connection was reset while nothing was read"});
    if (half_closed_ && !closing_) return;
    if (open_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) {
        readable_ = true;
        if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) peer_done_ = true;
        if (!paused_) read_some();
    }
}

void Stream::on_deferred() {
    if (open_ && !paused_ && (readable_ || put_back_)) read_some();
    if (is_writable()) handler_->on_flush();
    if (open_) flush();
    count_held();
}

void Stream::resume_reading() {
    if (!paused_) return;
    paused_ = false;
    if (open_ && (readable_ || put_back_)) loop_.resume(*this);
}

void Stream::put_back(std::string_view bytes) {
    if (bytes.empty() || !open_) return;
    EE_CHECK(!put_back_);
    put_back_ = std::make_unique<std::string>(bytes);
    loop_.defer(*this);
}

// True when there is something to read behind it.
bool Stream::deliver_put_back() {
    const std::unique_ptr<std::string> bytes = std::move(put_back_);
    if (!closing_) handler_->on_data(*bytes);
    return open_ && readable_ && !paused_ && !put_back_;
}

// One read a turn: a stream that has more waits for the others.
void Stream::read_some() {
    if (put_back_ && !deliver_put_back()) return;
    const bool is_pressed = held_.memory() != nullptr && held_.memory()->is_pressed();
    const std::size_t size = is_pressed ? read_size_under_pressure : Loop::read_buffer_size;
    const ssize_t count = ::recv(socket_.get(), loop_.read_buffer(), size, 0);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
            if (output_lost_) return end({"connection_lost", "the peer takes nothing any more"});
            readable_ = errno == EINTR;
            if (readable_) loop_.resume(*this);
            return;
        }
        return end({"connection_lost", std::strerror(errno)});
    }
    if (count == 0) return take_end_of_input();
    bytes_in_ += static_cast<std::uint64_t>(count);
    // A short read has emptied the socket (epoll(7)), unless the peer's end of stream is next.
    readable_ = peer_done_ || static_cast<std::size_t>(count) == size;
    const std::span<char> data(loop_.read_buffer(), static_cast<std::size_t>(count));
    // What comes after our close is read and thrown away, so that the kernel sends no reset.
    if (!closing_ && !(tls_ ? deliver_tls({data.data(), data.size()}) : deliver(data))) return;
    if (open_ && readable_ && !paused_) loop_.resume(*this);
}

void Stream::take_end_of_input() {
    readable_ = false;
    if (output_lost_) {
        if (lost_after_input_ && !tls_ && !closing_) handler_->on_input_end();
        return end({"connection_lost", "the peer takes nothing any more"});
    }
    if (!tls_ && !closing_ && handler_->on_input_end()) {
        half_closed_ = true;
        if (open_ && shut_) end({"closed", "both sides were shut"});
        return;
    }
    if (!open_) return;
    // A peer that has shut its side may still read: what was answered before goes out first.
    const bool can_send = !tls_ || tls_->handshake_done();
    if (can_send && !lingering_ && pending_output() > 0) {
        if (!closing_) handler_->on_ending();
        return close_after_flush();
    }
    // RFC 8446 section 6.1: without close_notify more may have been meant to come.
    if (tls_ && !closing_)
        return end({"connection_lost", "the peer closed the connection without ending the TLS session"});
    end({"closed", "the peer closed the connection"});
}

bool Stream::deliver(std::span<char> data) {
    if (put_back_)
        put_back_->append(data.data(), data.size());  // Behind what comes first.
    else
        handler_->on_data(data);
    return open_;
}

bool Stream::deliver_tls(std::string_view ciphertext) {
    tls_->feed(ciphertext);
    for (;;) {
        const Result<std::size_t> count = tls_->read({loop_.plain_buffer(), Loop::read_buffer_size});
        if (!count) {
            flush();  // An alert may be waiting.
            if (open_)
                end(count.error().code == "tls_closed" ? Error{"closed", count.error().detail}
                                                       : count.error());
            return false;
        }
        if (!secured_ && tls_->handshake_done()) {
            secured_ = true;
            handler_->on_secured();
            if (!open_) return false;
        }
        if (*count == 0) break;
        if (!deliver({loop_.plain_buffer(), *count})) return false;
        if (closing_) break;
    }
    tls_->feed({});  // What was not read is gone with the buffer.
    flush_later();
    return true;
}

void Stream::flush() {
    if (!open_) return;
    const bool was_closing = closing_;
    const bool had_output = pending_output() != 0;
    const std::uint64_t before = bytes_out_;
    const bool all_sent = flush_some();
    if (open_ && !closing_ && bytes_out_ != before) handler_->on_progress();
    if (!open_ || !all_sent || pending_output() != 0 || closing_ != was_closing) return;
    if (closing_) return finish_closing();
    blocked_ = false;
    if (had_output && !output_lost_) handler_->on_drained();
    if (open_ && shutting_ && pending_output() == 0) finish_shutting();
}

// True when everything that could be encrypted was handed to the kernel.
bool Stream::flush_some() {
    if (output_lost_) {
        drop_output();
        return true;
    }
    if (!tls_) return send_all(output_, sent_);
    encrypt_some();
    if (!open_) return false;
    if (closing_ && output_.empty() && !lingering_) tls_->close();
    if (!send_all(tls_->output(), cipher_sent_)) return false;
    if (!output_.empty() && tls_->handshake_done()) loop_.resume(*this);
    return true;
}

// No more than the shared buffers' size at a time: a large answer must not hold up the other streams.
void Stream::encrypt_some() {
    if (!tls_->handshake_done() || sent_ == output_.size()) return;
    if (tls_->output().size() - cipher_sent_ >= Loop::read_buffer_size) return;
    const Result<std::size_t> taken =
        tls_->write(std::string_view(output_).substr(sent_, Loop::read_buffer_size));
    if (!taken) return end(taken.error());
    sent_ += *taken;
    drop_taken(output_, sent_);
}

// True when everything was handed to the kernel.
bool Stream::send_all(std::string& bytes, std::size_t& sent) {
    while (sent < bytes.size()) {
        if (!writable_) {
            blocked_ = true;
            drop_taken(bytes, sent);
            return false;
        }
        const ssize_t count = ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                writable_ = false;
                continue;
            }
            lose_output(errno);
            return false;
        }
        sent += static_cast<std::size_t>(count);
        bytes_out_ += static_cast<std::uint64_t>(count);
    }
    drop_taken(bytes, sent);
    return true;
}

// The peer may have answered before it closed its socket, as one that refuses a large upload does: what it
// said is read before the connection ends.
void Stream::lose_output(int reason) {
    if (closing_ || paused_ || half_closed_) return end({"connection_lost", std::strerror(reason)});
    output_lost_ = true;
    // The kernel reports a reset once, and by EPIPE where the peer had shut its side before. From here on it
    // answers what looks like an end of input in either case.
    lost_after_input_ = reason == EPIPE;
    drop_output();
    blocked_ = false;
    readable_ = peer_done_ = true;
    loop_.resume(*this);
}

void Stream::drop_output() {
    lost_ += pending_output();
    output_.clear();
    sent_ = 0;
    if (tls_) tls_->output().clear();
    cipher_sent_ = 0;
}

void Stream::shut_after_flush() {
    if (tls_) return close_after_flush();
    if (!open_ || closing_) return;
    shutting_ = true;
    loop_.defer(*this);
}

void Stream::finish_shutting() {
    if (shut_) return;
    shut_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
    if (half_closed_) end({"closed", "both sides were shut"});
}

void Stream::close_after_flush(std::chrono::nanoseconds patience) {
    if (!open_ || closing_) return;
    closing_ = true;
    paused_ = false;
    if (tls_ && !tls_->handshake_done()) {
        output_.clear();  // There is no key to send it under, and there will be none.
        sent_ = 0;
    }
    patience_ = patience;
    bytes_out_before_ = bytes_out_;
    closing_due_.arm_after(patience);
    loop_.defer(*this);
}

void Stream::close_in_background(Loop& loop, std::shared_ptr<Stream> stream) {
    struct Farewell final : Handler {
        Farewell(Loop& where, std::shared_ptr<Stream> what) : home(where), closing(std::move(what)) {}
        void on_data(std::span<char>) override {}
        void on_closed(const Error&) override { home.release(this); }
        Loop& home;
        std::shared_ptr<Stream> closing;
    };
    if (!stream->is_open()) return loop.dispose(std::move(stream));
    Stream& closing = *stream;
    const auto farewell = std::make_shared<Farewell>(loop, std::move(stream));
    closing.set_handler(*farewell);
    loop.keep(farewell);
    closing.close_after_flush();
}

// Everything is sent: shut our side and wait for the peer's, so that what it has not read yet is not lost
// to a reset.
void Stream::finish_closing() {
    if (lingering_) return;
    lingering_ = true;
    ::shutdown(socket_.get(), SHUT_WR);
    closing_due_.arm_after(linger_time);
    readable_ = true;
    loop_.resume(*this);
}

void Stream::on_closing_due() {
    if (lingering_) return end({"closed", "the peer did not close its side in time"});
    if (bytes_out_ == bytes_out_before_)
        return end({"connection_lost", "the peer took nothing of what was left to send"});
    bytes_out_before_ = bytes_out_;
    closing_due_.arm_after(patience_);
}

bool Stream::is_quiet() const {
    char byte = 0;
    return open_ && ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Stream::abort() {
    open_ = false;
    closing_ = true;
    closing_due_.cancel();
    release_socket();
}

void Stream::reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    if (socket_) ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    abort();
}

void Stream::end(const Error& why) {
    if (!open_) return;
    abort();
    handler_->on_closed(why);
}

void Stream::release_socket() {
    unlink();
    if (!socket_) return;
    loop_.unwatch(socket_.get(), *this, urgency_);
    socket_.reset();
}

}  // namespace ee::net

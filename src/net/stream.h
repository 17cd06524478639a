#pragma once
// A byte stream over a socket, in clear or under TLS. Input arrives in the loop's shared buffer; output is
// collected during the turn and sent at its end with one system call.

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/body_memory.h"
#include "base/result.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/tls.h"

namespace ee::net {

class Stream final : Watcher, Deferred {
public:
    // Called in the loop's thread. The stream may be closed, but not destroyed, within a call: an owner that
    // is done hands itself to Loop::dispose().
    class Handler {
    public:
        // The bytes may be changed in place and are gone after the call.
        virtual void on_data(std::span<char> data) = 0;
        // The turn ends and what was written is about to be sent: time to write what was put off until now.
        virtual void on_flush() {}
        // The kernel has taken some of what was written: pending_output() is less than before. Once a flush.
        virtual void on_progress() {}
        // Everything written so far has been handed to the kernel.
        virtual void on_drained() {}
        // The peer has shut its side (in clear only). True: ours stays open until shut_after_flush() or
        // close_after_flush(). False: the connection ends once what is pending has been sent.
        virtual bool on_input_end() { return false; }
        // The peer has shut its side, and ours does not stay open: on_closed() follows once what is pending
        // has been sent, or the peer takes no more. Not called when nothing is pending.
        virtual void on_ending() {}
        // The connection has ended; once, unless the owner called abort(). `closed` is a clean end;
        // `connection_lost` and the codes of TLS are not.
        virtual void on_closed(const Error& why) = 0;
        // The TLS handshake is done (not called in clear).
        virtual void on_secured() {}

    protected:
        ~Handler() = default;
    };

    Stream(Loop& loop, Fd socket, Handler& handler, std::unique_ptr<TlsSession> tls = nullptr);
    ~Stream();

    // Where the output that waits is counted, as of the end of each turn; under its pressure less is read at
    // a time. Outlives the stream.
    void count_output(BodyMemory* memory) { held_ = HeldBytes(memory); }

    // Who hears of what comes next: an upgraded connection changes hands, also within a call.
    void set_handler(Handler& handler) { handler_ = &handler; }

    // Input that was received and belongs to the present handler, or to the one set in this call: comes to it
    // before any other, at the end of this turn, or when reading resumes.
    void put_back(std::string_view bytes);

    // Starts reading. Separate from construction so that the owner is complete when the first call comes.
    void start(Urgency urgency = Urgency::normal);

    // Appends to the output; sent at the end of this turn.
    void write(std::string_view bytes) {
        output_.append(bytes);
        flush_later();
    }
    // For building output in place; call flush_later() afterwards.
    std::string& output() { return output_; }
    void flush_later() {
        if (!open_) return;
        if (is_shared_)
            loop_.defer_last(*this);
        else
            loop_.defer(*this);
    }
    // What it carries comes from many other streams: from now on it is flushed behind them.
    void set_shared() { is_shared_ = true; }
    // Bytes collected or refused by the socket so far.
    std::size_t pending_output() const {
        return output_.size() - sent_ + (tls_ ? tls_->output().size() - cipher_sent_ : 0);
    }

    // Of `unreported` bytes that were written last, those that the kernel has taken meanwhile are taken off
    // and answered: never more than have left, whatever else is pending.
    std::size_t take_written(std::size_t& unreported) const {
        const std::size_t unsent = std::min(unreported, pending_output() + lost_);
        return std::exchange(unreported, unsent) - unsent;
    }

    // While paused nothing is read and the peer is slowed by TCP.
    void pause_reading() { paused_ = true; }
    bool is_paused() const { return paused_; }
    void resume_reading();

    // After start(). What a peer that has proven nothing sends is `background`.
    void set_urgency(Urgency urgency);

    // Sends what is pending, then shuts our side; input goes on until the peer shuts its own. Nothing may be
    // written any more. Under TLS as close_after_flush().
    void shut_after_flush();
    // Sends what is pending, shuts our side, gives the peer 2 s to shut its own; then on_closed.
    // Input is thrown away from here on. A peer that takes no byte for `patience` is given up.
    void close_after_flush(std::chrono::nanoseconds patience = std::chrono::seconds(30));
    // The same without an owner: the loop keeps the stream until it has ended.
    static void close_in_background(Loop& loop, std::shared_ptr<Stream> stream);
    // Ends the connection now; no more calls to the handler.
    void abort();
    // The same, and the peer is told that something was lost (a TCP reset), not that this was all.
    void reset();
    bool is_open() const { return open_; }
    // False once one of the three was called, or the connection ended.
    bool is_writable() const { return open_ && !closing_ && !shutting_; }

    // Nothing has come that was not read yet, nor the peer's end: asks the kernel, which may know sooner than
    // the loop.
    bool is_quiet() const;

    const TlsSession* tls() const { return tls_.get(); }
    std::uint64_t bytes_in() const { return bytes_in_; }
    std::uint64_t bytes_out() const { return bytes_out_; }

private:
    void on_ready(std::uint32_t events) override;
    void on_deferred() override;
    void read_some();
    void take_end_of_input();
    bool deliver_put_back();
    bool deliver(std::span<char> data);
    bool deliver_tls(std::string_view ciphertext);
    void flush();
    bool flush_some();
    bool send_all(std::string& bytes, std::size_t& sent);
    void encrypt_some();
    void count_held() { held_.set(output_.size() + (tls_ ? tls_->output().size() : 0)); }
    void lose_output(int reason);
    void drop_output();
    void finish_shutting();
    void finish_closing();
    void on_closing_due();
    void end(const Error& why);
    void release_socket();

    Loop& loop_;
    Fd socket_;
    Handler* handler_;
    std::unique_ptr<TlsSession> tls_;
    std::unique_ptr<std::string> put_back_;
    std::string output_;
    HeldBytes held_;
    std::size_t sent_ = 0;
    std::size_t cipher_sent_ = 0;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    Timer closing_due_;
    std::chrono::nanoseconds patience_{0};
    std::uint64_t bytes_out_before_ = 0;  // When closing_due_ was armed.
    Urgency urgency_ = Urgency::normal;
    bool open_ = true;
    bool closing_ = false;    // Ends when the output is sent.
    bool lingering_ = false;  // Our side is shut; waiting for the peer's.
    bool shutting_ = false;   // Our side is shut when the output is sent.
    bool shut_ = false;
    bool half_closed_ = false;       // The peer's side is shut, and the handler keeps ours open.
    bool output_lost_ = false;       // The peer takes nothing any more.
    bool lost_after_input_ = false;  // And it had shut its side before.
    std::size_t lost_ = 0;           // Bytes that it did not take.
    bool paused_ = false;
    bool readable_ = false;
    bool peer_done_ = false;  // A hang-up was signalled: read to the end without waiting for another edge.
    bool writable_ = true;
    bool blocked_ = false;  // A send was refused.
    bool secured_ = false;
    bool is_shared_ = false;
};

}  // namespace ee::net

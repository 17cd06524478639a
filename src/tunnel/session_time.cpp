// What is due in a tunnel's life: pings and the silence after them, deadlines, and when a stranger is heard
// again.

#include <algorithm>

#include "tunnel/session.h"

namespace ee::tunnel {
namespace {

// A tunnel that is not attested may be anybody's, and what it says out of order never closes it: for each
// message that is refused it is not heard for so long, beyond some at once.
constexpr std::chrono::milliseconds refusal_time{100};
constexpr int refusals_at_once = 10;

}  // namespace

void Session::count_refusal() {
    refusals_until_ = std::max(refusals_until_, context_.loop.now()) + refusal_time;
}

MonoTime Session::deaf_until() const {
    return refusals_until_ - refusals_at_once * refusal_time;
}

void Session::heard() {
    last_heard_ = context_.loop.now();
    if (on_probe_) std::exchange(on_probe_, nullptr)(true);
}

void Session::send_ping() {
    http::append_frame(stream_->output(), http::Opcode::ping, "");
    stream_->flush_later();
    if (!ping_sent_) ping_sent_ = std::chrono::steady_clock::now();
}

void Session::probe(std::function<void(bool answered)> on_answer) {
    if (closed_) return on_answer(false);
    // A second question while one is open: the same answer serves both.
    if (on_probe_) {
        on_answer = [first = std::move(on_probe_), second = std::move(on_answer)](bool answered) {
            first(answered);
            second(answered);
        };
    } else {
        probe_until_ = context_.loop.now() + context_.settings.keep_alive.probe_time;
        send_ping();
    }
    on_probe_ = std::move(on_answer);
    schedule_timer();
}

void Session::on_timer() {
    const MonoTime time = context_.loop.now();
    const KeepAlive& keep_alive = context_.settings.keep_alive;
    if (closed_) {
        // It does not read our farewell.
        stream_->abort();
        return on_gone_(*this);
    }
    if (time - last_heard_ >= keep_alive.silence_max) {
        // It has spoken if something lies there unread: this process was held up, or has others to read
        // first.
        if (stream_->is_paused() || stream_->is_quiet()) {
            machine_.idle(actions_);
            return run_actions();
        }
        last_heard_ = time;
    }
    if (gathered_since_ && time >= message_deadline()) {
        machine_.message_stalled(actions_);
        run_actions();
        return count_gathered();
    }
    if (time >= next_ping_) {
        send_ping();
        next_ping_ = time + keep_alive.ping_interval;
    }
    if (on_probe_ && time >= probe_until_) std::exchange(on_probe_, nullptr)(false);
    if (mux_) {
        mux_->expire(time);
        after_streams_changed();
    }
    machine_.tick(time, actions_);
    run_actions();
    if (closed_) return;
    if (stream_->is_paused() && !is_deaf() && !output_is_full()) stream_->resume_reading();
    schedule_timer();
}

// One timer for everything, at the earliest of what is due.
void Session::schedule_timer() {
    if (closed_) return;
    MonoTime due = std::min(next_ping_, last_heard_ + context_.settings.keep_alive.silence_max);
    if (const auto at = machine_.next_deadline()) due = std::min(due, *at);
    if (mux_) {
        if (const auto at = mux_->next_deadline()) due = std::min(due, *at);
    }
    if (on_probe_) due = std::min(due, probe_until_);
    if (gathered_since_) due = std::min(due, message_deadline());
    if (is_deaf()) due = std::min(due, deaf_until());
    // A timer that fires too early finds nothing to do and is set again: cheaper than moving it each time.
    if (timer_.armed() && timer_due_ <= due) return;
    timer_due_ = due;
    timer_.arm_at(due);
}

}  // namespace ee::tunnel

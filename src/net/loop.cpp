#include "net/loop.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>

#include "base/check.h"

namespace ee::net {
namespace {

int milliseconds_until(MonoTime due) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<std::int64_t>(wait.count(), 0));
}

}  // namespace

void Fd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      background_(::epoll_create1(EPOLL_CLOEXEC)),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      epoch_(std::chrono::steady_clock::now()),
      now_(epoch_),
      buffers_(std::make_unique<char[]>(2 * read_buffer_size + buffer_padding)),
      events_(std::make_unique<epoll_event[]>(events_per_turn)) {
    if (!epoll_ || !background_ || !wakeup_)
        throw std::system_error(errno, std::generic_category(), "event loop");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;  // No watcher: the wake-up itself.
    EE_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) == 0);
    event.data.ptr = &background_;  // By level: it stays ready until the last of its events is handed out.
    EE_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, background_.get(), &event) == 0);
}

Loop::~Loop() {
    // Objects may still hold timers and deferred work; they leave those lists as they die.
    // An object may release or dispose of others as it dies.
    while (!kept_.empty()) {
        const std::shared_ptr<void> object = std::move(kept_.begin()->second);
        kept_.erase(kept_.begin());
    }
    collect();
}

void Loop::collect() {
    while (!garbage_.empty()) {
        collected_.swap(garbage_);
        collected_.clear();
    }
}

int Loop::epoll_of(Urgency urgency) const {
    return urgency == Urgency::normal ? epoll_.get() : background_.get();
}

void Loop::watch(int fd, Watcher& watcher, Urgency urgency) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &watcher;
    if (::epoll_ctl(epoll_of(urgency), EPOLL_CTL_ADD, fd, &event) != 0)
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void Loop::unwatch(int fd, Watcher& watcher, Urgency urgency) {
    ::epoll_ctl(epoll_of(urgency), EPOLL_CTL_DEL, fd, nullptr);
    // An event of this turn may still name the watcher.
    for (int i = events_at_; i < events_end_; ++i)
        if (events_[static_cast<std::size_t>(i)].data.ptr == &watcher)
            events_[static_cast<std::size_t>(i)].events = 0;
}

void Loop::defer(Deferred& work) {
    if (!work.linked()) end_of_turn_.push_back(work);
}

void Loop::defer_last(Deferred& work) {
    if (!work.linked()) last_of_turn_.push_back(work);
}

void Loop::resume(Deferred& work) {
    if (!work.linked()) next_turn_.push_back(work);
}

void Loop::post(std::function<void()> task) {
    bool first;
    {
        const std::lock_guard lock(posted_mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(task));
    }
    if (first) wake();
}

void Loop::stop() {
    stopping_ = true;
    wake();
}

void Loop::wake() {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake anyway.
    [[maybe_unused]] const ssize_t written = ::write(wakeup_.get(), &one, sizeof one);
}

void Loop::run() {
    while (!stopping_) turn();
    stopping_ = false;
}

void Loop::turn() {
    const bool has_work = !next_turn_.empty() || woken_ || tasks_at_ < tasks_.size();
    const int timeout = has_work ? 0 : wait_timeout_ms();
    int count = ::epoll_wait(epoll_.get(), events_.get(), events_per_turn, timeout);
    // A process that was stopped and goes on is interrupted here: what came meanwhile goes before what is
    // due.
    if (count < 0) count = ::epoll_wait(epoll_.get(), events_.get(), events_per_turn, 0);
    now_ = std::chrono::steady_clock::now();
    ++stats_.turns;

    const Own own = hand_out(count);
    take_background(own.background);
    run_list(next_turn_);
    if (own.wakeup) woken_ = true;
    run_posted();
    run_timers();
    end_turn(std::max(count, 0));
}

// What waits to be the last gathers more when what was ready in the meantime goes before it. A loop with one
// event at a time has nothing to gather.
void Loop::end_turn(int events) {
    run_end_of_turn();
    for (int look = 1; look < looks_per_turn && !last_of_turn_.empty(); ++look) {
        if (events < 2 || events >= events_per_turn) break;
        const int count = ::epoll_wait(epoll_.get(), events_.get(), events_per_turn - events, 0);
        if (count <= 0) break;
        events += count;
        now_ = std::chrono::steady_clock::now();
        if (hand_out(count).wakeup) woken_ = true;
        run_end_of_turn();
    }
    run_list(last_of_turn_);
    run_end_of_turn();
    next_turn_.splice(last_of_turn_);
}

// Flushing may produce more to flush; a few rounds empty it, and what is left waits for the next turn.
void Loop::run_end_of_turn() {
    for (int round = 0; round < 8 && !end_of_turn_.empty(); ++round) run_list(end_of_turn_);
    if (!end_of_turn_.empty()) next_turn_.splice(end_of_turn_);
    collect();
}

Loop::Own Loop::hand_out(int count) {
    Own own;
    events_end_ = std::max(count, 0);
    for (events_at_ = 0; events_at_ < events_end_;) {
        const epoll_event event = events_[static_cast<std::size_t>(events_at_++)];
        if (event.data.ptr == nullptr) {
            std::uint64_t ignored;
            [[maybe_unused]] const ssize_t drained = ::read(wakeup_.get(), &ignored, sizeof ignored);
            own.wakeup = true;
        } else if (event.data.ptr == &background_) {
            own.background = true;
        } else if (event.events != 0) {
            ++stats_.events;
            static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
        }
    }
    events_at_ = events_end_ = 0;
    return own;
}

void Loop::take_background(bool is_reported) {
    if (!is_reported && !background_held_) return;
    if (!std::exchange(background_ready_, true)) background_since_ = now_;
    const bool is_due = now_ >= background_time();
    if (is_due) hand_out_background();
    if (is_due == background_held_) hold_background(!is_due);
}

MonoTime Loop::background_time() const {
    return std::min({background_due_, favored_until_, background_since_ + background_wait_max});
}

// What is ready is reported by level: in every turn, for nothing, and there would be no end of turns.
void Loop::hold_background(bool hold) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (hold) event.events = 0;
    event.data.ptr = &background_;
    EE_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, background_.get(), &event) == 0);
    background_held_ = hold;
}

// A TLS handshake alone may take a millisecond, so it is time that is bounded. What is left stays ready.
void Loop::hand_out_background() {
    const MonoTime begin = std::chrono::steady_clock::now();
    int count = 0;
    do {
        count = ::epoll_wait(background_.get(), events_.get(), background_events_at_once, 0);
        hand_out(count);
    } while (count == background_events_at_once &&
             std::chrono::steady_clock::now() - now_ < background_time_per_turn);
    background_ready_ = count == background_events_at_once;
    charge_background(std::chrono::steady_clock::now() - begin);
}

void Loop::charge_background(std::chrono::nanoseconds spent) {
    const bool catches_up = background_ready_ && now_ >= background_since_ + background_wait_max;
    if (now_ >= favored_until_ || catches_up) return;
    background_due_ = std::max(background_due_, now_) + spent * background_share;
}

void Loop::run_list(List<Deferred>& list) {
    List<Deferred> batch;
    batch.splice(list);
    while (!batch.empty()) {
        Deferred& work = batch.front();
        work.unlink();
        work.on_deferred();
    }
}

// In order, for a bounded time: what is left goes on in the next turn, after the sockets.
void Loop::run_posted() {
    while (tasks_at_ < tasks_.size() || woken_) {
        if (tasks_at_ == tasks_.size()) {
            woken_ = false;
            tasks_.clear();
            tasks_at_ = 0;
            const std::lock_guard lock(posted_mutex_);
            tasks_.swap(posted_);
            continue;
        }
        const std::function<void()> task = std::move(tasks_[tasks_at_++]);
        task();
        if (std::chrono::steady_clock::now() - now_ >= posted_time_per_turn) return;
    }
}

std::int64_t Loop::tick_of(MonoTime time) const {
    return (time - epoch_) / tick;
}

void Loop::arm(Timer& timer, MonoTime due) {
    if (timer.linked()) disarm(timer);
    // One tick later than the division says, so that a timer is never early.
    timer.due_tick_ = std::max(tick_of(due), ticks_done_) + 1;
    const auto slot = static_cast<std::size_t>(timer.due_tick_) % slots;
    wheel_[slot].push_back(timer);
    occupied_.set(slot);
}

void Loop::disarm(Timer& timer) {
    timer.unlink();
    const auto slot = static_cast<std::size_t>(timer.due_tick_) % slots;
    if (wheel_[slot].empty()) occupied_.reset(slot);
}

int Loop::wait_timeout_ms() const {
    const int timers = timers_timeout_ms();
    if (!background_held_) return timers;
    const int background = milliseconds_until(background_time());
    return timers < 0 ? background : std::min(timers, background);
}

int Loop::timers_timeout_ms() const {
    if (occupied_.none()) return -1;
    // The nearest occupied slot; its timers may be a round or more away, which costs one idle turn a round.
    const auto from = static_cast<std::size_t>(ticks_done_ + 1) % slots;
    std::size_t next = occupied_.test(from) ? from : occupied_._Find_next(from);
    if (next == slots) next = occupied_._Find_first();
    const auto distance = static_cast<std::int64_t>((next + slots - from) % slots) + 1;
    const MonoTime due = epoch_ + (ticks_done_ + distance) * tick;
    return milliseconds_until(due);
}

void Loop::run_timers() {
    const std::int64_t current = tick_of(now_);
    // After a long stall every slot is visited once; more rounds would find the same timers.
    const std::int64_t first = std::max(ticks_done_ + 1, current - static_cast<std::int64_t>(slots) + 1);
    for (std::int64_t at = first; at <= current; ++at) {
        const auto slot = static_cast<std::size_t>(at) % slots;
        if (!occupied_.test(slot)) continue;
        ticks_done_ = at;
        List<Timer> batch;
        batch.splice(wheel_[slot]);
        while (!batch.empty()) {
            Timer& timer = batch.front();
            if (timer.due_tick_ > current) {
                wheel_[slot].push_back(timer);  // Due in a later round.
                continue;
            }
            timer.unlink();
            timer.on_due_();
        }
        occupied_.set(slot, !wheel_[slot].empty());
    }
    ticks_done_ = std::max(ticks_done_, current);
}

}  // namespace ee::net

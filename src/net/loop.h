#pragma once
// One thread's event loop: sockets by edge-triggered epoll, coarse timers, tasks from other threads, and an
// end-of-turn phase in which everything collected during the turn is written with as few system calls as
// possible. Nothing here is thread-safe but post() and stop().

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "net/intrusive_list.h"

struct epoll_event;

namespace ee::net {

// Owns a file descriptor.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset();

private:
    int fd_ = -1;
};

// Is told when its descriptor becomes readable or writable; each edge once.
class Watcher {
public:
    virtual void on_ready(std::uint32_t epoll_events) = 0;

protected:
    ~Watcher() = default;
};

// How soon a descriptor's edges are handed out. `background`: a few a turn, behind all others, so that many
// of them at once do not stand before one that is `normal`; and fewer while the foreground is favored.
enum class Urgency { normal, background };

// Runs once at the end of the turn in which it was deferred, or in the next turn for resume().
class Deferred : public ListNode {
public:
    virtual void on_deferred() = 0;

protected:
    ~Deferred() = default;
};

class Loop {
public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Runs turns until stop(), which may have come before; may be called again. One turn: ready sockets,
    // resumed work, posted tasks, due timers, end of turn. The end: deferred work; while some of it waits to
    // be the last, sockets that have become ready since; that.
    void run();
    void stop();                            // Any thread.
    void post(std::function<void()> task);  // Any thread. Runs in the loop's thread, in order.

    // The monotonic clock, read once a turn.
    MonoTime now() const { return now_; }

    // Watches for input, output and hang-up by edges. The watcher must be removed before it dies.
    void watch(int fd, Watcher& watcher, Urgency urgency = Urgency::normal);
    // With the urgency it is watched with.
    void unwatch(int fd, Watcher& watcher, Urgency urgency = Urgency::normal);

    // At the end of this turn; a second call before that changes nothing.
    void defer(Deferred& work);
    // The same, behind all that defer() was given and behind what else has become ready meanwhile, within
    // what a turn takes: for what many add to, the more of them the better.
    void defer_last(Deferred& work);
    // In the next turn: for work that was cut short to let others run.
    void resume(Deferred& work);
    // Somebody waits for what this turn does: for so long the background gets a twelfth of a core at most.
    // When some of it has been ready for five seconds it catches up.
    void favor_foreground(std::chrono::nanoseconds time = std::chrono::milliseconds(20)) {
        favored_until_ = now_ + time;
    }
    // What the background has had other threads do counts as its time.
    void charge_background(std::chrono::nanoseconds spent);
    // Destroys the object at the end of the turn, when no callback of it can be on the stack.
    void dispose(std::shared_ptr<void> object) { garbage_.push_back(std::move(object)); }

    // What dispose() was given, now: after run(), before those that the objects refer to.
    void collect();

    // Holds an object that nobody else owns, until release().
    void keep(std::shared_ptr<void> object) {
        void* key = object.get();
        kept_.emplace(key, std::move(object));
    }
    void release(void* key) {
        if (const auto found = kept_.find(key); found != kept_.end()) {
            dispose(std::move(found->second));
            kept_.erase(found);
        }
    }

    // A buffer shared by everything that reads in this thread: valid only inside one callback, so an idle
    // connection holds no read buffer.
    static constexpr std::size_t read_buffer_size = 256 * 1024;
    static constexpr std::size_t buffer_padding = 64;
    char* read_buffer() { return buffers_.get(); }
    char* plain_buffer() { return buffers_.get() + read_buffer_size; }
    // Whether `count` readable bytes follow `text` within these buffers: parsers that read ahead need some.
    bool is_followed_by(std::string_view text, std::size_t count) const {
        const char* begin = buffers_.get();
        const char* end = begin + 2 * read_buffer_size + buffer_padding;
        return text.data() >= begin && text.data() + text.size() + count <= end;
    }

    struct Stats {
        std::uint64_t turns = 0;
        std::uint64_t events = 0;
    };
    const Stats& stats() const { return stats_; }

private:
    friend class Timer;
    static constexpr std::size_t slots = 4096;
    static constexpr std::chrono::milliseconds tick{8};  // 4096 slots of 8 ms: one round is 32.8 s.
    static constexpr int events_per_turn = 256;
    static constexpr int looks_per_turn = 5;  // at what is ready, so many of the events in all
    static constexpr std::chrono::microseconds posted_time_per_turn{500};  // from the turn's beginning
    static constexpr int background_events_at_once = 4;
    static constexpr std::chrono::microseconds background_time_per_turn{300};  // from the turn's beginning
    static constexpr int background_share = 12;  // one part in so many of the time
    static constexpr std::chrono::seconds background_wait_max{5};

    void turn();
    void end_turn(int events);
    void run_end_of_turn();
    // Hands out this turn's events; which of the loop's own descriptors were among them.
    struct Own {
        bool wakeup = false;
        bool background = false;
    };
    Own hand_out(int count);
    void take_background(bool is_reported);
    MonoTime background_time() const;
    void hand_out_background();
    void hold_background(bool hold);
    int epoll_of(Urgency urgency) const;
    void wake();
    int wait_timeout_ms() const;
    int timers_timeout_ms() const;
    void run_posted();
    void run_timers();
    void run_list(List<Deferred>& list);
    std::int64_t tick_of(MonoTime time) const;
    void arm(class Timer& timer, MonoTime due);
    void disarm(class Timer& timer);

    Fd epoll_;
    Fd background_;  // an epoll of its own, watched by the other one
    Fd wakeup_;
    MonoTime epoch_;
    MonoTime now_;
    std::atomic<bool> stopping_{false};
    std::unique_ptr<char[]> buffers_;
    std::unique_ptr<epoll_event[]> events_;
    int events_at_ = 0, events_end_ = 0;
    MonoTime favored_until_;
    MonoTime background_due_;        // when its time comes, while the foreground is favored
    MonoTime background_since_;      // when what is ready in it began to be
    bool background_ready_ = false;  // not all of it has been handed out
    bool background_held_ = false;   // until its time, and not reported meanwhile
    List<Deferred> end_of_turn_;
    List<Deferred> last_of_turn_;
    List<Deferred> next_turn_;
    std::vector<std::shared_ptr<void>> garbage_, collected_;
    std::unordered_map<void*, std::shared_ptr<void>> kept_;
    std::array<List<class Timer>, slots> wheel_;
    std::bitset<slots> occupied_;
    std::int64_t ticks_done_ = 0;
    Stats stats_;
    std::mutex posted_mutex_;
    std::vector<std::function<void()>> posted_;
    std::vector<std::function<void()>> tasks_;  // taken from posted_
    std::size_t tasks_at_ = 0;                  // the first that has not run
    bool woken_ = false;                        // posted_ has more
};

// Calls back once, at most 8 ms late (later when the loop is busy). Arming again moves it.
class Timer : public ListNode {
public:
    Timer(Loop& loop, std::function<void()> on_due) : loop_(loop), on_due_(std::move(on_due)) {}
    ~Timer() { cancel(); }

    void arm_after(std::chrono::nanoseconds delay) { arm_at(loop_.now() + delay); }
    void arm_at(MonoTime due) { loop_.arm(*this, due); }
    void cancel() {
        if (linked()) loop_.disarm(*this);
    }
    bool armed() const { return linked(); }

private:
    friend class Loop;
    Loop& loop_;
    std::function<void()> on_due_;
    std::int64_t due_tick_ = 0;
};

}  // namespace ee::net

#pragma once
// Threads for work that would hold up the loop: quote verification, file reads, name look-ups.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ee::net {

// `background`: as become_background_thread() says.
enum class WorkerPriority { normal, background };

class WorkerPool {
public:
    WorkerPool(std::size_t threads, std::size_t queue_max, WorkerPriority priority = WorkerPriority::normal);
    // Runs what is queued, then joins.
    ~WorkerPool();

    // False when the queue is full: the caller says so to its peer. Jobs must not throw.
    bool run(std::function<void()> job);
    // The same ahead of all of those, in a queue of its own that is as long.
    bool run_ahead(std::function<void()> job);
    std::size_t queued() const;

private:
    using Jobs = std::deque<std::function<void()>>;

    bool enqueue(Jobs& queue, std::function<void()> job);
    void work();

    const std::size_t queue_max_;
    const WorkerPriority priority_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    Jobs jobs_, ahead_;
    bool stopping_ = false;
    std::vector<std::jthread> threads_;
};

}  // namespace ee::net

#include "net/worker_pool.h"

#include "base/thread_priority.h"

namespace ee::net {

WorkerPool::WorkerPool(std::size_t threads, std::size_t queue_max, WorkerPriority priority)
    : queue_max_(queue_max), priority_(priority) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    threads_.clear();  // Joins.
}

bool WorkerPool::run(std::function<void()> job) {
    return enqueue(jobs_, std::move(job));
}

bool WorkerPool::run_ahead(std::function<void()> job) {
    return enqueue(ahead_, std::move(job));
}

bool WorkerPool::enqueue(Jobs& queue, std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        if (queue.size() >= queue_max_) return false;
        queue.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

std::size_t WorkerPool::queued() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size() + ahead_.size();
}

void WorkerPool::work() {
    if (priority_ == WorkerPriority::background) become_background_thread();
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !jobs_.empty() || !ahead_.empty(); });
        Jobs& queue = ahead_.empty() ? jobs_ : ahead_;
        if (queue.empty()) return;
        std::function<void()> job = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        job();
        job = nullptr;  // Destroyed outside the lock.
        // Linux lets who runs go on for some milliseconds before it looks who else waits.
        if (priority_ == WorkerPriority::background) std::this_thread::yield();
        lock.lock();
    }
}

}  // namespace ee::net

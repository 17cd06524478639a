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
    {
        const std::lock_guard lock(mutex_);
        if (jobs_.size() >= queue_max_) return false;
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

std::size_t WorkerPool::queued() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
}

void WorkerPool::work() {
    if (priority_ == WorkerPriority::background) become_background_thread();
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        job = nullptr;  // Destroyed outside the lock.
        // Linux lets who runs go on for some milliseconds before it looks who else waits.
        if (priority_ == WorkerPriority::background) std::this_thread::yield();
        lock.lock();
    }
}

}  // namespace ee::net

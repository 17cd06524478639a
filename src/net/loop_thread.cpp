#include "net/loop_thread.h"

#include "base/check.h"

namespace ee::net {

void LoopThread::start() {
    EE_CHECK(!thread_.joinable());
    thread_ = std::thread([this] { loop_.run(); });
}

void LoopThread::stop() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
    loop_.collect();
}

}  // namespace ee::net

#include "net/signals.h"

#include <csignal>
#include <pthread.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/check.h"

namespace ee::net {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    return set;
}

}  // namespace

void block_signals(std::initializer_list<int> signals) {
    const sigset_t set = set_of(signals);
    EE_CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
}

Signals::Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : loop_(loop), on_signal_(std::move(on_signal)) {
    block_signals(signals);
    const sigset_t set = set_of(signals);
    fd_ = Fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    EE_CHECK(fd_);
    loop_.watch(fd_.get(), *this);
}

Signals::~Signals() {
    loop_.unwatch(fd_.get(), *this);
}

void Signals::on_ready(std::uint32_t) {
    signalfd_siginfo info;
    while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
        on_signal_(static_cast<int>(info.ssi_signo));
}

std::size_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

}  // namespace ee::net

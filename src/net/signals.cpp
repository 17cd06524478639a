#include "net/signals.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/check.h"

namespace ee::net {
namespace {

constexpr rlim_t descriptors_foreseen = 65'536;

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

void let_writes_fail() {
    for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
}

std::size_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    // The kernel's table of descriptors doubles as it fills, and where there are threads each time waits for
    // an RCU grace period: 10 ms and more within accept(2). Grown now, it does not grow under load.
    const auto last = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, descriptors_foreseen)) - 1;
    if (const int high = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, last); high >= 0) ::close(high);
    return limit.rlim_cur;
}

}  // namespace ee::net

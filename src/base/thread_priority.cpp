#include "base/thread_priority.h"

#include <unistd.h>

#include <sys/resource.h>

namespace ee {
namespace {

constexpr int background_niceness = 10;

}  // namespace

// Linux keeps a niceness for each thread (setpriority(2), "C library/kernel differences").
void become_background_thread() {
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), background_niceness));
}

}  // namespace ee

#include "base/thread_priority.h"

#include <cstdint>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <unistd.h>

#include <sys/syscall.h>

namespace ee {
namespace {

constexpr int background_niceness = 10;
constexpr std::uint64_t background_slice_ns = 100'000;  // the least that Linux allows

}  // namespace

// Who has a core keeps it to the end of its slice, 3 ms and more, also when a thread of a better niceness
// wakes up. From Linux 6.12 on a thread may ask for a shorter one (sched_setattr(2), sched_runtime of
// SCHED_OTHER and SCHED_BATCH). A thread of SCHED_BATCH that wakes up takes no core from who runs (sched(7));
// niceness does not keep it from that.
void become_background_thread() {
    sched_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.sched_policy = SCHED_BATCH;
    attributes.sched_nice = background_niceness;
    attributes.sched_runtime = background_slice_ns;
    static_cast<void>(::syscall(SYS_sched_setattr, 0, &attributes, 0));
}

}  // namespace ee

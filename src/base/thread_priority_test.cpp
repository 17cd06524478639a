#include "base/thread_priority.h"

#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace ee {
namespace {

int niceness_of_this_thread() {
    return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
}

TEST(ThreadPriority, OneThreadGoesBehindTheOthers) {
    const int before = niceness_of_this_thread();
    int background = before;
    std::thread([&] {
        become_background_thread();
        background = niceness_of_this_thread();
    }).join();
    EXPECT_EQ(background, 10);
    EXPECT_EQ(niceness_of_this_thread(), before);
}

}  // namespace
}  // namespace ee

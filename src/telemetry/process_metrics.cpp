#include "telemetry/process_metrics.h"

#include <fstream>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/stat.h>

namespace ee::telemetry {
namespace {

std::int64_t whole_seconds(const timeval& time) {
    return time.tv_sec + (time.tv_usec >= 500'000 ? 1 : 0);
}

void show_memory(Metrics& metrics) {
    std::ifstream file("/proc/self/statm");
    std::int64_t all = 0, resident = 0;
    if (!(file >> all >> resident)) return;
    const std::int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
    metrics.gauge("process_virtual_memory_bytes", "Address space").set(all * page_bytes);
    metrics.gauge("process_resident_memory_bytes", "Memory").set(resident * page_bytes);
}

void show_processor(Metrics& metrics) {
    rusage used{};
    if (::getrusage(RUSAGE_SELF, &used) != 0) return;
    Counter& seconds = metrics.counter("process_cpu_seconds_total", "Processor time, in whole seconds");
    const auto now = static_cast<std::uint64_t>(whole_seconds(used.ru_utime) + whole_seconds(used.ru_stime));
    if (now > seconds.value()) seconds.add(now - seconds.value());
}

void show_descriptors(Metrics& metrics) {
    struct stat open{};
    if (::stat("/proc/self/fd", &open) == 0 && open.st_size > 0)
        metrics.gauge("process_open_fds", "Descriptors in use").set(open.st_size);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics.gauge("process_max_fds", "How many may be").set(static_cast<std::int64_t>(limit.rlim_cur));
}

}  // namespace

void show_process(Metrics& metrics) {
    show_memory(metrics);
    show_processor(metrics);
    show_descriptors(metrics);
}

}  // namespace ee::telemetry

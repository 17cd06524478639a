#include "telemetry/process_metrics.h"

#include <gtest/gtest.h>

namespace ee::telemetry {
namespace {

TEST(ProcessMetrics, ShowsWhatThisProcessUses) {
    Metrics metrics;
    show_process(metrics);
    const std::int64_t resident = metrics.gauge("process_resident_memory_bytes", "").value();
    EXPECT_GT(resident, 1'000'000);
    EXPECT_LT(resident, metrics.gauge("process_virtual_memory_bytes", "").value());
    EXPECT_GT(metrics.gauge("process_max_fds", "").value(), 2);
    EXPECT_LT(metrics.counter("process_cpu_seconds_total", "").value(), 1000u);
    show_process(metrics);  // Counters go on.
    EXPECT_LT(metrics.counter("process_cpu_seconds_total", "").value(), 1000u);
}

}  // namespace
}  // namespace ee::telemetry

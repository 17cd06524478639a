#pragma once
// What is asked of any process, under the names that Prometheus' own libraries give it.

#include "telemetry/metrics.h"

namespace ee::telemetry {

// Sets memory, processor time and descriptors as they are now, from /proc: some microseconds, for each
// scrape. Descriptors in use are counted where the kernel says how many there are (Linux 6.2): to list them
// takes milliseconds with many connections.
void show_process(Metrics& metrics);

}  // namespace ee::telemetry

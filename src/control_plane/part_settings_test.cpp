#include "control_plane/part_settings.h"

#include <gtest/gtest.h>

#include "base/body_memory.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

// No limit of time but EE_STREAM_IDLE_SEC (spec: routing, "What is forwarded, and how").
TEST(PartSettings, AVisitorMayTakeNothingForAsLongAsAStreamMayBeIdle) {
    config::ControlPlaneConfig config;
    config.stream_idle_time = 1234s;
    BodyMemory memory(1 << 20);
    EXPECT_EQ(proxy_limits(config, memory).write_idle_time, 1234s);
    EXPECT_EQ(control_limits(config, memory).write_idle_time, 1234s);
    EXPECT_EQ(tunnel_settings(config, memory).stream_idle_time, 1234s);
    EXPECT_EQ(passthrough_settings(config, memory).idle_time, 1234s);
}

}  // namespace
}  // namespace ee::control_plane

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

// Every answer of the API has Server-Timing (spec: http-api), those of apps are theirs.
TEST(PartSettings, RefusalsOfTheControlListenerAreTimed) {
    const config::ControlPlaneConfig config;
    BodyMemory memory(1 << 20);
    EXPECT_TRUE(control_limits(config, memory).times_refusals);
    EXPECT_FALSE(proxy_limits(config, memory).times_refusals);
}

}  // namespace
}  // namespace ee::control_plane

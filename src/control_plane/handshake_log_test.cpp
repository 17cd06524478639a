#include "control_plane/handshake_log.h"

#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace ee::control_plane {
namespace {

TEST(HandshakeLog, CountsEachAndHasALineAMinuteOfEachReason) {
    const net::Loop loop;
    const net::Fd file{::memfd_create("log", MFD_CLOEXEC)};
    const telemetry::Log log(telemetry::LogLevel::info, telemetry::LogFormat::json, file.get());
    telemetry::Metrics metrics;
    const HandshakeLog handshakes(loop, log, metrics);
    const auto control = handshakes.of("control"), proxy = handshakes.of("proxy");
    const net::Endpoint peer{.ip = *net::IpAddress::parse("192.0.2.7"), .port = 9};
    for (int i = 0; i < 3; ++i) control(peer, net::HandshakeFailure::plain_http, "http request");
    control(peer, net::HandshakeFailure::certificate_refused, "unknown ca");
    proxy(peer, net::HandshakeFailure::plain_http, "http request");
    const auto counted = [&](std::string_view listener, std::string_view reason) {
        return metrics
            .counter("ee_tls_handshakes_failed_total", "", {{"listener", listener}, {"reason", reason}})
            .value();
    };
    EXPECT_EQ(counted("control", "plain_http"), 3u);
    EXPECT_EQ(counted("control", "certificate_refused"), 1u);
    EXPECT_EQ(counted("proxy", "plain_http"), 1u);
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(::pread(file.get(), text.data(), text.size(), 0)));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
    EXPECT_NE(text.find(R"("event":"tls.handshake_failed","listener":"control","peer":"192.0.2.7:9",)"
                        R"("reason":"plain_http","detail":"http request")"),
              std::string::npos)
        << text;
}

}  // namespace
}  // namespace ee::control_plane

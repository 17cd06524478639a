#pragma once
// What is told of TLS handshakes that fail: a counter, and now and then a line with the peer. The internet
// makes as many as it likes.

#include "http/server.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace ee::control_plane {

class HandshakeLog {
public:
    HandshakeLog(const net::Loop& loop, const telemetry::Log& log, telemetry::Metrics& metrics)
        : loop_(loop), log_(log), metrics_(metrics) {}

    // For http::Server::on_handshake_failed(); this object outlives it. Of each reason there is a line a
    // minute, with how many of them had none before it.
    http::Server::OnHandshakeFailed of(std::string_view listener) const;

private:
    const net::Loop& loop_;
    const telemetry::Log& log_;
    telemetry::Metrics& metrics_;
};

}  // namespace ee::control_plane

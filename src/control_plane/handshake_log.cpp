#include "control_plane/handshake_log.h"

#include <array>
#include <utility>

namespace ee::control_plane {
namespace {

constexpr std::chrono::minutes line_interval{1};

struct Told {
    MonoTime next_line{};
    std::uint64_t passed_over = 0;
};

}  // namespace

http::Server::OnHandshakeFailed HandshakeLog::of(std::string_view listener) const {
    return [this, name = std::string(listener), told = std::array<Told, net::handshake_failures>()](
               const net::Endpoint& peer, net::HandshakeFailure why, const std::string& detail) mutable {
        metrics_
            .counter("ee_tls_handshakes_failed_total",
                     "TLS handshakes that came to nothing, by listener and reason",
                     {{"listener", name}, {"reason", to_word(why)}})
            .add();
        Told& of_reason = told[static_cast<std::size_t>(why)];
        const MonoTime now = loop_.now();
        if (now < of_reason.next_line) {
            ++of_reason.passed_over;
            return;
        }
        of_reason.next_line = now + line_interval;
        log_.info("tls.handshake_failed", {{"listener", name},
                                           {"peer", peer.to_string()},
                                           {"reason", to_word(why)},
                                           {"detail", detail},
                                           {"passed_over", std::exchange(of_reason.passed_over, 0)}});
    };
}

}  // namespace ee::control_plane

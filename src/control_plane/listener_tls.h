#pragma once

#include <memory>

#include "config/control_plane_config.h"
#include "net/tls.h"

namespace ee::control_plane {

// The TLS of each listener, from one reading of the settings; null in clear text.
struct ListenerTls {
    std::shared_ptr<const net::TlsContext> control, ratls, proxy;
};

// Refusal `tls_config_invalid`.
Result<ListenerTls> listener_tls(const config::ControlPlaneConfig& config);

}  // namespace ee::control_plane

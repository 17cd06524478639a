#pragma once

#include <memory>

#include "config/control_plane_config.h"
#include "net/tls.h"

namespace ee::control_plane {

using Tls = std::shared_ptr<const net::TlsContext>;

// The TLS of each listener, from one reading of the settings; null in clear text.
struct ListenerTls {
    Tls control, ratls, proxy;
};

// Refusal of each: `tls_config_invalid`.
Result<Tls> control_tls(const config::ControlPlaneConfig& config);
Result<Tls> proxy_tls(const config::ControlPlaneConfig& config);
Result<ListenerTls> listener_tls(const config::ControlPlaneConfig& config);

}  // namespace ee::control_plane

#pragma once
// What each part is told, made from the settings of the whole.

#include <string>
#include <vector>

#include "api/access.h"
#include "attestation/policy.h"
#include "config/control_plane_config.h"
#include "control_plane/admission.h"
#include "http/server.h"
#include "net/tls.h"
#include "proxy/forwarder.h"
#include "proxy/passthrough.h"
#include "registry/registry.h"
#include "tunnel/tunnels.h"

namespace ee::control_plane {

registry::NetworkTable network_table(const attestation::NetworkPolicies& policies);
registry::RegistrySettings registry_settings(const config::ControlPlaneConfig& config);
tunnel::TunnelSettings tunnel_settings(const config::ControlPlaneConfig& config, BodyMemory& memory);
tunnel::TunnelLimits tunnel_limits(const config::ControlPlaneConfig& config);
// Of the control listener: by name where EE_RATLS is on.
net::CertificateRequest certificate_request(const config::ControlPlaneConfig& config);
proxy::RateLimitSettings rate_limits(const config::ControlPlaneConfig& config);
proxy::ForwardSettings forward_settings(const config::ControlPlaneConfig& config, BodyMemory& memory);
// Of bodies that are held: EE_MAX_BUFFERED_BYTES, or a quarter of the memory there is.
std::size_t body_memory_max(const config::ControlPlaneConfig& config);
proxy::PassthroughSettings passthrough_settings(const config::ControlPlaneConfig& config, BodyMemory& memory);
api::RoleTokens role_tokens(const config::ControlPlaneConfig& config);
// Agents come to the control listeners, by thousands when something has gone wrong: visitors go first.
// A visitor may take nothing of its answer for as long as a stream may be idle.
http::ServerLimits control_limits(const config::ControlPlaneConfig& config, BodyMemory& memory);
http::ServerLimits proxy_limits(const config::ControlPlaneConfig& config, BodyMemory& memory);
AdmissionSettings admission_settings(const config::ControlPlaneConfig& config);
SlotRecorder::Settings slot_settings(const config::ControlPlaneConfig& config,
                                     std::function<ledger::LedgerTime()> clock);

// What the public is told. EE_PUBLIC_URL means a front end at the default ports; without it visitors come to
// the listeners themselves, at the ports these got.
registry::PublicNames public_names(const config::ControlPlaneConfig& config, std::uint16_t control_port,
                                   std::uint16_t proxy_port);

}  // namespace ee::control_plane

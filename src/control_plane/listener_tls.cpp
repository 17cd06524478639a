#include "control_plane/listener_tls.h"

#include "control_plane/part_settings.h"
#include "http/server.h"

namespace ee::control_plane {
namespace {

Result<Tls> server_tls(const std::optional<config::TlsFiles>& files,
                       const net::CertificateRequest& request = {},
                       std::span<const std::string_view> protocols = {}) {
    if (!files) return Tls();
    return net::TlsContext::server(files->certificate, files->key, request, protocols);
}

}  // namespace

Result<Tls> control_tls(const config::ControlPlaneConfig& config) {
    return server_tls(config.control_tls, certificate_request(config));
}

Result<Tls> proxy_tls(const config::ControlPlaneConfig& config) {
    return server_tls(config.proxy_tls, {}, http::server_protocols);
}

Result<ListenerTls> listener_tls(const config::ControlPlaneConfig& config) {
    auto control = control_tls(config);
    if (!control) return fail(std::move(control.error()));
    auto ratls = server_tls(config.control_tls, {net::CertificateRequest::When::always});
    if (!ratls) return fail(std::move(ratls.error()));
    auto proxy = proxy_tls(config);
    if (!proxy) return fail(std::move(proxy.error()));
    return ListenerTls{std::move(*control), std::move(*ratls), std::move(*proxy)};
}

}  // namespace ee::control_plane

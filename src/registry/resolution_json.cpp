#include "registry/resolution_json.h"

namespace ee::registry {
namespace {

JsonWriter& optional_time(JsonWriter& json, std::string_view name, const std::optional<WallTime>& time) {
    json.key(name);
    return time ? json.value(to_rfc3339(*time)) : json.null();
}

}  // namespace

std::string PublicNames::endpoint(std::string_view app) const {
    if (!app_domain.empty())
        return (apps_use_tls ? "wss://" : "ws://") + std::string(app) + "." + app_domain + app_port;
    const std::size_t host = public_url.find("://");
    std::string out = public_url.starts_with("http://") ? "ws://" : "wss://";
    out.append(host == std::string::npos ? public_url : public_url.substr(host + 3));
    return out.append("/v1/proxy/").append(app);
}

void append_resolution(JsonWriter& json, const Resolution& resolution, const PublicNames& names) {
    json.field("app_name", resolution.app_name)
        .field("status", to_word(resolution.status))
        .field("allowed", resolution.allowed)
        .key("reason");
    if (resolution.status == AppStatus::active)
        json.null();
    else
        json.value(to_word(resolution.status));
    json.field("endpoint", names.endpoint(resolution.app_name)).field("sealed", resolution.sealed);
    optional_time(json, "last_attest", resolution.last_attest);
    json.field("repo", resolution.repo)
        .field("release_tag", resolution.release_tag)
        .key("releases")
        .begin_array();
    for (const std::string& release : resolution.releases) json.value(release);
    json.end_array()
        .field("network", resolution.network)
        .field("agents", resolution.agents)
        .field("registration_state", to_word(resolution.registration_state))
        .field("registration_expires_at", to_rfc3339(resolution.registration_expires_at))
        .field("attestation_status", to_word(resolution.attestation_status))
        .field("health_status", to_word(resolution.health_status))
        .field("ws_connected", resolution.ws_connected);
}

std::string resolution_json(const Resolution& resolution, const PublicNames& names) {
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    append_resolution(json, resolution, names);
    json.end_object();
    return body;
}

}  // namespace ee::registry

#pragma once
// The body of GET /v1/resolve/{app}.

#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "registry/views.h"

namespace ee::registry {

// Where the public finds apps.
struct PublicNames {
    std::string app_domain;  // Apps are <app>.<domain>; empty: none.
    // Origin of the control listener, e.g. "https://control.example.com".
    std::string public_url;
    // The proxy listener as visitors reach it: behind a front end that is the scheme's default port.
    bool apps_use_tls = true;
    std::string app_port;  // ":9090"; empty: the default.

    // The app's WebSocket/HTTP origin: at the proxy listener when there is an app domain, else the path under
    // the control listener that forwards to it.
    std::string endpoint(std::string_view app) const;
};

// Writes the members of the body into an object that is open.
void append_resolution(JsonWriter& json, const Resolution& resolution, const PublicNames& names);
std::string resolution_json(const Resolution& resolution, const PublicNames& names);

}  // namespace ee::registry

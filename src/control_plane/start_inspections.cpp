#include "control_plane/start_inspections.h"

#include "base/writable_folder.h"
#include "control_plane/ledger_key.h"
#include "control_plane/listener_tls.h"
#include "control_plane/networks.h"
#include "control_plane/own_quote.h"
#include "control_plane/sources.h"
#include "net/listener.h"
#include "sqlite/folder.h"

namespace ee::control_plane {
namespace {

using config::ControlPlaneConfig;
using config::Findings;

template <class T>
Findings findings(std::string_view settings, const Result<T>& read) {
    if (read) return {};
    return {.problems = {std::string(settings) + ": " + read.error().detail}, .warnings = {}};
}

// A simulated platform without its folder is refused by the settings' own rules.
Result<std::unique_ptr<attestation::QuoteProvider>> quote_provider(const ControlPlaneConfig& config) {
    if (config.quote_provider == "simulated" && !config.simulated_tdx_dir) return {};
    return own_quote_provider(config);
}

// In a TEE there is none; otherwise one is made where there is none, in a folder that is there by then.
Result<void> check_ledger_key(const ControlPlaneConfig& config) {
    const auto provider = quote_provider(config);
    if (!provider || *provider) return {};
    std::error_code error;
    const std::filesystem::path& file = config.ledger_key_file;
    if (std::filesystem::exists(file, error)) {
        const auto key = load_ledger_key(file);
        return key ? Result<void>() : fail(key.error());
    }
    const std::filesystem::path folder = file.parent_path(), made = config.db_path.parent_path();
    const bool is_missing = !folder.empty() && !std::filesystem::exists(folder, error);
    if (is_missing && (made.empty() || std::filesystem::exists(made, error)))
        return fail("key_unwritable", folder.string() + " is not there");
    return check_writable(folder);
}

}  // namespace

config::Inspections<ControlPlaneConfig> start_inspections() {
    config::Inspections<ControlPlaneConfig> inspections = reload_inspections();
    const auto add = [&](std::vector<std::string_view> settings, auto find) {
        inspections.push_back({std::move(settings), std::move(find)});
    };
    const auto add_listener = [&](std::string_view named, std::string_view other, auto address_of) {
        add({named, other}, [named, address_of](const ControlPlaneConfig& config) {
            const std::optional<config::ListenAddress> at = address_of(config);
            return at ? findings(named, net::Listener::check(at->host, at->port)) : Findings();
        });
    };
    add_listener("EE_CONTROL_BIND", "EE_CONTROL_PORT",
                 [](const ControlPlaneConfig& config) { return config.control; });
    add_listener("EE_RATLS_PORT", "EE_CONTROL_BIND",
                 [](const ControlPlaneConfig& config) { return config.ratls_listen; });
    add_listener("EE_PROXY_BIND", "EE_PROXY_PORT",
                 [](const ControlPlaneConfig& config) { return config.proxy; });
    add_listener("EE_PASSTHROUGH_BIND", "EE_PASSTHROUGH_PORT",
                 [](const ControlPlaneConfig& config) { return config.passthrough; });
    add({"EE_TLS_CERT", "EE_TLS_KEY"}, [](const ControlPlaneConfig& config) {
        return findings("EE_TLS_CERT, EE_TLS_KEY", control_tls(config));
    });
    add({"EE_PROXY_TLS_CERT", "EE_PROXY_TLS_KEY"}, [](const ControlPlaneConfig& config) {
        return findings("EE_PROXY_TLS_CERT, EE_PROXY_TLS_KEY", proxy_tls(config));
    });
    add({"EE_TDX_ROOT_CA"}, [](const ControlPlaneConfig& config) {
        return findings("EE_TDX_ROOT_CA", read_trust_anchors(config));
    });
    add({"EE_QUOTE_PROVIDER", "EE_SIMULATED_TDX_DIR"}, [](const ControlPlaneConfig& config) {
        return findings("EE_QUOTE_PROVIDER", quote_provider(config));
    });
    add({"EE_DB_PATH"}, [](const ControlPlaneConfig& config) {
        return findings("EE_DB_PATH", sqlite::check_file(config.db_path));
    });
    add({"EE_LEDGER_KEY_FILE", "EE_DB_PATH", "EE_QUOTE_PROVIDER", "EE_SIMULATED_TDX_DIR"},
        [](const ControlPlaneConfig& config) {
            return findings("EE_LEDGER_KEY_FILE", check_ledger_key(config));
        });
    return inspections;
}

config::Inspections<ControlPlaneConfig> reload_inspections() {
    return {{{"EE_NETWORKS_FILE"}, inspect_networks}};
}

}  // namespace ee::control_plane

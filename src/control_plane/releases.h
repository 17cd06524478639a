#pragma once
// Where allowlists come from, according to the settings: the folder of EE_ALLOWLIST_DIR first, then releases
// at EE_GITHUB_API_URL.

#include <memory>
#include <vector>

#include "attestation/release_source.h"
#include "attestation/remote/github_releases.h"
#include "config/control_plane_config.h"
#include "http/client.h"
#include "net/loop_thread.h"
#include "net/worker_pool.h"
#include "registry/sqlite/allowlist_store.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// What can fail before anything runs.
struct PreparedReleases {
    std::unique_ptr<registry::AllowlistStore> store;
    std::vector<registry::AllowlistRecord> records;
    std::optional<net::Url> api;                 // nullopt: EE_GITHUB_API_URL=none
    std::shared_ptr<const net::TlsContext> tls;  // the system's roots
};
// Once the registrations' store is open: `store_unavailable`, `store_schema_newer`, `invalid_url`.
Result<PreparedReleases> prepare_releases(const config::ControlPlaneConfig& config, sqlite::Writers& writers);

// Thread-safe. Fetches, and writes to disk, on a thread of its own.
class Releases final : public attestation::ReleaseSource {
public:
    // Hears, on this object's thread, of an allowlist that was replaced under its tag.
    using OnChanged = std::function<void(const attestation::AllowlistChange&)>;

    // `log` must outlive this object.
    Releases(const config::ControlPlaneConfig& config, PreparedReleases prepared, const telemetry::Log& log,
             OnChanged on_changed);
    ~Releases() override;

    Result<attestation::PublishedAllowlist> find(const attestation::ReleaseQuery& query,
                                                 WallTime now) override;
    void admitted(const attestation::ReleaseId& release, WallTime now) override;
    void when_settled(const attestation::ReleaseId& release, std::function<void()> on_settled) override;

    // As GitHubReleases::accept; `allowlist_not_seen` when no GitHub is asked.
    Result<void> accept(const attestation::ReleaseId& release, const crypto::Sha256& digest);
    // For the next look-ups.
    void set_token(Secret token);

private:
    std::unique_ptr<attestation::ReleaseSource> directory_;  // null without EE_ALLOWLIST_DIR
    std::unique_ptr<registry::AllowlistStore> store_;        // used on the thread only
    net::LoopThread thread_;
    net::WorkerPool look_ups_;  // of names
    std::unique_ptr<http::Client> client_;
    std::unique_ptr<attestation::GitHubReleases> github_;  // null with EE_GITHUB_API_URL=none
};

}  // namespace ee::control_plane

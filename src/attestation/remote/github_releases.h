#pragma once
// Allowlists from the releases of a GitHub (api.github.com, or an enterprise server of one's own).

#include <functional>
#include <memory>
#include <vector>

#include "attestation/release_source.h"
#include "attestation/remote/release_cache.h"
#include "http/client.h"
#include "net/loop.h"
#include "telemetry/log.h"

namespace ee::attestation {

// Keeps what must survive a restart. Called on the loop's thread, which may be held up.
struct ReleaseArchive {
    std::function<Result<void>(const StoredRelease& release)> save;
    // Only the digest of the accepted asset, for good.
    std::function<Result<void>(const ForgottenRelease& release)> forget;
    // The digest (lower-case hex) of the asset that was accepted, of whatever is kept; nullopt: none was.
    std::function<Result<std::optional<std::string>>(const ReleaseId& release)> accepted;
};

struct GitHubSettings {
    GitHubAddress github;
    ReleaseCacheLimits limits{};
};

// Thread-safe. Asks on the thread of `loop`, which is not the data plane's, through `fetch`. It may be
// destroyed while look-ups are under way, on a thread where no callback of it runs.
class GitHubReleases final : public ReleaseSource {
public:
    GitHubReleases(net::Loop& loop, http::Fetch fetch, GitHubSettings settings, ReleaseArchive archive,
                   const std::vector<StoredRelease>& stored, const telemetry::Log& log);
    ~GitHubReleases() override;

    Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime now) override;
    void admitted(const ReleaseId& release, WallTime now) override;
    void when_settled(const ReleaseId& release, std::function<void()> done) override;

    // Sealed networks go by the published asset from now on: `allowlist_differs`, `allowlist_not_seen`,
    // `allowlist_invalid:<pointer>`. It is written to disk shortly afterwards; a crash in between brings the
    // older copy back, which is the safe one.
    Result<void> accept(const ReleaseId& release, const crypto::Sha256& digest);

    // For the next look-ups (EE_GITHUB_TOKEN may be renewed).
    void set_token(Secret token);

    // Hears of assets that were replaced under their tag, on the loop's thread. Once, before anything is
    // asked.
    void on_changed(std::function<void(const AllowlistChange&)> hear);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;  // shared with what is under way
};

}  // namespace ee::attestation

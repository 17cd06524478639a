#include "control_plane/releases.h"

#include "attestation/directory_source.h"
#include "base/hex.h"

namespace ee::control_plane {
namespace {

constexpr std::size_t look_up_threads = 2;
constexpr std::size_t look_ups_queued_max = 64;

std::vector<attestation::StoredRelease> stored_releases(std::vector<registry::AllowlistRecord> records) {
    std::vector<attestation::StoredRelease> out;
    for (registry::AllowlistRecord& record : records) {
        out.push_back({.release = {record.repo, record.tag},
                       .accepted_asset = std::move(record.accepted_asset),
                       .published_asset = std::move(record.published_asset),
                       .known = {.release_etag = record.release_etag,
                                 .asset_etag = record.asset_etag,
                                 .asset_url = record.asset_url,
                                 .sha256 = {}},
                       .checked_at = record.checked_at});
    }
    return out;
}

attestation::ReleaseArchive archive_in(registry::AllowlistStore& store) {
    return {
        .save =
            [&store](const attestation::StoredRelease& stored) {
                return store.save({.repo = stored.release.repo,
                                   .tag = stored.release.tag,
                                   .accepted_asset = stored.accepted_asset,
                                   .published_asset = stored.published_asset,
                                   .release_etag = stored.known.release_etag,
                                   .asset_etag = stored.known.asset_etag,
                                   .asset_url = stored.known.asset_url,
                                   .checked_at = stored.checked_at});
            },
        .forget =
            [&store](const attestation::ForgottenRelease& one) {
                return store.forget(one.release.repo, one.release.tag, one.accepted_sha256);
            },
        .accepted = [&store](const attestation::ReleaseId& release) -> Result<std::optional<std::string>> {
            const auto kept = store.accepted(release.repo, release.tag);
            if (!kept) return fail(kept.error());
            if (!*kept) return std::optional<std::string>();
            return std::optional((*kept)->asset.empty() ? (*kept)->sha256
                                                        : to_hex(crypto::sha256(as_bytes((*kept)->asset))));
        }};
}

}  // namespace

Result<PreparedReleases> prepare_releases(const config::ControlPlaneConfig& config,
                                          sqlite::Writers& writers) {
    PreparedReleases out;
    if (!config.github_api_url) return out;
    auto api = net::parse_url(*config.github_api_url);
    if (!api) return fail(std::move(api.error()));
    out.api = std::move(*api);
    auto tls = net::TlsContext::client({});
    if (!tls) return fail(std::move(tls.error()));
    out.tls = std::move(*tls);
    auto store = registry::AllowlistStore::open(config.db_path, &writers);
    if (!store) return fail(std::move(store.error()));
    out.store = std::move(*store);
    auto records = out.store->load_all();
    if (!records) return fail(std::move(records.error()));
    out.records = std::move(*records);
    return out;
}

Releases::Releases(const config::ControlPlaneConfig& config, PreparedReleases prepared,
                   const telemetry::Log& log, OnChanged on_changed)
    : store_(std::move(prepared.store)), look_ups_(look_up_threads, look_ups_queued_max) {
    if (config.allowlist_dir) directory_ = attestation::make_allowlist_directory(*config.allowlist_dir);
    if (!prepared.api) return;
    attestation::GitHubSettings settings{
        .github = {std::move(*prepared.api), config.github_token, config.allowlist_asset}, .limits = {}};
    settings.limits.ttl = config.allowlist_ttl;
    client_ = std::make_unique<http::Client>(thread_.loop(), look_ups_, std::move(prepared.tls));
    http::Fetch fetch = [client = client_.get()](http::ClientRequest request,
                                                 http::OnClientAnswer on_answer) {
        client->send(std::move(request), std::move(on_answer));
    };
    github_ = std::make_unique<attestation::GitHubReleases>(
        thread_.loop(), std::move(fetch), std::move(settings), archive_in(*store_),
        stored_releases(std::move(prepared.records)), log);
    if (on_changed) github_->on_changed(std::move(on_changed));
    thread_.start();
}

// First the thread: nothing runs any more on what is destroyed then.
Releases::~Releases() {
    thread_.stop();
}

Result<attestation::PublishedAllowlist> Releases::find(const attestation::ReleaseQuery& query, WallTime now) {
    if (directory_ != nullptr) {
        auto placed = directory_->find(query, now);
        if (placed || placed.error().code != "allowlist_missing" || github_ == nullptr) return placed;
    }
    if (github_ != nullptr) return github_->find(query, now);
    return fail("allowlist_missing",
                "EE_ALLOWLIST_DIR is not set and EE_GITHUB_API_URL is none, so nothing vouches for " +
                    query.release.repo + " " + query.release.tag);
}

void Releases::admitted(const attestation::ReleaseId& release, WallTime now) {
    if (github_ != nullptr) github_->admitted(release, now);
}

void Releases::when_settled(const attestation::ReleaseId& release, std::function<void()> on_settled) {
    if (github_ == nullptr) return on_settled();
    github_->when_settled(release, std::move(on_settled));
}

Result<void> Releases::accept(const attestation::ReleaseId& release, const crypto::Sha256& digest) {
    if (github_ == nullptr)
        return fail("allowlist_not_seen",
                    "EE_GITHUB_API_URL is none: files in EE_ALLOWLIST_DIR count as they are");
    return github_->accept(release, digest);
}

void Releases::set_token(Secret token) {
    if (github_ != nullptr) github_->set_token(std::move(token));
}

}  // namespace ee::control_plane

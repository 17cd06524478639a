#pragma once
// One look-up of a release's allowlist at GitHub, as a machine without I/O: it says what to ask, is told the
// answer, and ends with an outcome. What it may ask, and whom it tells the token, is decided here.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "attestation/release_source.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "http/client.h"

namespace ee::attestation {

struct GitHubAddress {
    net::Url api;            // EE_GITHUB_API_URL; its path without a slash at the end
    Secret token;            // EE_GITHUB_TOKEN; empty: none
    std::string asset_name;  // EE_ALLOWLIST_ASSET
};

// What was found last time: lets GitHub answer "not modified", and an unchanged asset is not fetched.
struct KnownAsset {
    std::string release_etag{};
    std::string asset_etag{};
    std::string asset_url{};
    crypto::Sha256 sha256{};

    friend bool operator==(const KnownAsset&, const KnownAsset&) = default;
};

struct AssetPublished {
    std::string bytes;
};
struct AssetUnchanged {};
// Published, but not taken: `allowlist_invalid:/`.
struct AssetRefused {
    Error why;
};
struct AssetMissing {
    std::string detail;
};
struct AskingFailed {
    std::string detail;
};

// What GitHub's answers say of its rate limit, which all look-ups share.
struct RateBudget {
    std::int64_t limit = 0;  // requests an hour
    std::int64_t remaining = 0;
    WallTime resets_at{};
};

struct FetchOutcome {
    std::variant<AssetPublished, AssetUnchanged, AssetRefused, AssetMissing, AskingFailed> what;
    KnownAsset known{};  // for the next time; of AssetPublished and AssetUnchanged
    // GitHub asks for nothing before this time (rate limit).
    std::optional<WallTime> wait_until{};
    std::optional<RateBudget> budget{};  // as the last answer says
};

class ReleaseFetch {
public:
    static constexpr int redirects_max = 3;  // for each of the two answers
    static constexpr std::chrono::seconds answer_timeout{10};
    static constexpr std::chrono::seconds timeout{30};  // of the whole look-up

    // `known` only while what it was said about is what is kept.
    ReleaseFetch(const GitHubAddress& github, ReleaseId release, std::optional<KnownAsset> known,
                 WallTime now);

    // What to ask now.
    http::ClientRequest request(WallTime now) const;
    // Takes the answer to it. nullopt: ask again with request().
    std::optional<FetchOutcome> answered(const Result<http::ClientAnswer>& answer, WallTime now);

private:
    using Step = std::optional<FetchOutcome>;

    bool at_api() const;
    std::string if_none_match() const;
    Step ended(decltype(FetchOutcome::what) what);
    Step failed(std::string detail) { return ended(AskingFailed{std::move(detail)}); }
    Step redirected(const http::ClientAnswer& answer);
    Step refused(const http::ClientAnswer& answer);
    Step release_answered(const http::ClientAnswer& answer);
    Step asset_answered(const http::ClientAnswer& answer);
    void note_rate_limit(const http::ClientAnswer& answer, WallTime now);
    std::string where() const;

    const GitHubAddress& github_;
    ReleaseId release_;
    std::optional<KnownAsset> known_;
    WallTime deadline_;
    net::Url at_;
    bool asking_for_asset_ = false;
    int redirects_ = 0;
    std::string release_etag_;
    std::string asset_url_;
    std::optional<std::uint64_t> size_;
    std::optional<crypto::Sha256> sha256_;
    std::optional<WallTime> wait_until_;
    std::optional<RateBudget> budget_;
};

}  // namespace ee::attestation

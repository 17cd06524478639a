#pragma once
// What is known of releases' allowlists: what to answer, when to look up anew, and which copy judges while an
// asset has been replaced under its tag. Decides only: no clock, no sockets, no disk; not thread-safe.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/release_source.h"
#include "attestation/remote/release_fetch.h"
#include "attestation/remote/requester_limit.h"

namespace ee::attestation {

struct ReleaseCacheLimits {
    std::chrono::seconds ttl{300};      // EE_ALLOWLIST_TTL_SEC
    std::chrono::hours stale_max{24};   // how long a copy serves while nobody can be asked
    std::chrono::seconds miss_ttl{60};  // how long "there is none" holds
    std::chrono::seconds retry_min{5};  // after a failed look-up; doubles with each
    std::chrono::seconds retry_max{300};
    std::chrono::hours in_use{24};          // a release that has let an agent in is so for this long
    std::size_t fetches_max = 16;           // at once
    std::size_t strangers_fetches_max = 8;  // of those, for releases that are not in use
    std::size_t releases_max = 4096;
    std::size_t asset_bytes_max = 16 * 1024 * 1024;  // of all copies
    std::size_t requester_fetches_max = 30;          // a minute for each address block
    std::size_t requesters_max = 4096;
};

// What survives a restart: the asset that sealed networks go by, and the one that is published when that is
// another one.
struct StoredRelease {
    ReleaseId release;
    std::string accepted_asset;
    std::optional<std::string> published_asset;
    KnownAsset known;  // of the published one
    WallTime checked_at;

    friend bool operator==(const StoredRelease&, const StoredRelease&) = default;
};

// An asset was replaced under its tag. Digests in lower-case hex; `now_published` is empty when the new asset
// was not taken (too large).
struct AllowlistChange {
    ReleaseId release;
    std::string before;
    std::string now_published;
};

// Had to make room. The digest is of the asset that sealed networks went by: it must be kept, and given back
// to remember_accepted(), or whatever is published by then would be accepted.
struct ForgottenRelease {
    ReleaseId release;
    std::string accepted_sha256;  // lower-case hex

    friend bool operator==(const ForgottenRelease&, const ForgottenRelease&) = default;
};

class ReleaseCache {
public:
    explicit ReleaseCache(const ReleaseCacheLimits& limits);

    struct Lookup {
        Result<PublishedAllowlist> answer;  // refusals: see ReleaseSource::find
        bool fetch = false;                 // the caller starts one, and reports to record()
        std::vector<ForgottenRelease> forgotten{};
    };
    Lookup find(const ReleaseQuery& query, WallTime now);

    // What the next look-up may ask by; nullopt when nothing is kept.
    std::optional<KnownAsset> known(const ReleaseId& release) const;

    // See ReleaseSource: the release is in use from now on.
    void admitted(const ReleaseId& release, WallTime now);

    struct Recorded {
        std::optional<AllowlistChange> change;
        bool save = false;  // what stored() says
        std::vector<ForgottenRelease> forgotten{};
    };
    // Whether an asset of this release is known to be accepted, by its bytes or its digest.
    bool has_accepted(const ReleaseId& release) const;
    // Of one that is being looked up: which asset was accepted, in an earlier process or before it was
    // forgotten. Until that one is published again, sealed networks get `allowlist_unavailable`.
    void remember_accepted(const ReleaseId& release, const std::string& sha256_hex);

    // The outcome of the look-up that find() has asked for.
    Recorded record(const ReleaseId& release, FetchOutcome outcome, WallTime now);

    // Sealed networks go by the published asset from now on, if it is the one of this digest: else
    // `allowlist_differs` (names both), `allowlist_not_seen`, `allowlist_invalid:<pointer>`.
    Result<void> accept(const ReleaseId& release, const crypto::Sha256& digest);

    // What is to be kept of a release now; nullopt when nothing is.
    std::optional<StoredRelease> stored(const ReleaseId& release) const;

    // At start. False: not readable, or one too many.
    bool restore(const StoredRelease& stored);

    bool is_fetching(const ReleaseId& release) const;
    std::size_t size() const { return entries_.size(); }

private:
    struct Copy {
        Result<std::shared_ptr<const Allowlist>> allowlist;  // has the bytes when it is valid
        std::string invalid_asset;
        std::string digest_hex;  // empty, like the bytes, when it was not taken

        const std::string& asset() const { return allowlist ? (*allowlist)->text : invalid_asset; }
    };
    using CopyPtr = std::shared_ptr<const Copy>;
    struct Miss {
        std::string detail;
        WallTime at;
    };
    struct Entry {
        CopyPtr accepted;   // null until a valid one was seen; without bytes when only its digest is known
        CopyPtr published;  // null until one was seen
        KnownAsset known;
        WallTime checked_at{};  // when `published` was last found to be so
        std::optional<Miss> miss;
        std::string failure;
        int failures = 0;
        WallTime retry_at{};
        WallTime used_at{};
        std::optional<WallTime> admitted_at;
        bool fetching = false;
        bool stranger = false;  // when the look-up under way began

        std::size_t asset_bytes() const;
    };
    using Entries = std::map<ReleaseId, Entry>;

    static Copy copy_of(std::string asset);
    Result<PublishedAllowlist> answer_by(const Entry& entry, bool sealed, bool fresh) const;
    Result<void> may_fetch(const Entry& entry, std::string_view requester, bool stranger, WallTime now);
    bool in_use(const Entry& entry, WallTime now) const;
    // One of the repository's releases is: the next one is looked up as those are.
    bool serves(std::string_view repo, WallTime now) const;
    // Forgets releases until so much more fits in; false: all that is left is being looked up.
    bool make_room(std::size_t releases, std::size_t asset_bytes, WallTime now,
                   std::vector<ForgottenRelease>& forgotten);
    Entries::iterator least_worth(bool takes_bytes, WallTime now);
    void publish(const ReleaseId& release, Entry& entry, CopyPtr copy, Recorded& out);
    void failed(Entry& entry, std::string detail, WallTime now) const;
    std::size_t asset_bytes() const;

    const ReleaseCacheLimits limits_;
    RequesterLimit requesters_;
    Entries entries_;
    WallTime wait_until_{};
    std::optional<RateBudget> budget_;
    std::size_t fetches_ = 0;
    std::size_t strangers_fetches_ = 0;
};

}  // namespace ee::attestation

#pragma once
// The seam between the judge and wherever releases publish their allowlists.

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "attestation/allowlist.h"
#include "base/time.h"

namespace ee::attestation {

struct ReleaseId {
    std::string repo;  // owner/name
    std::string tag;

    friend auto operator<=>(const ReleaseId&, const ReleaseId&) = default;
};

struct ReleaseQuery {
    ReleaseId release{};
    // For a sealed network: an asset that was replaced under its tag counts only once it has been accepted.
    bool sealed = false;
    // On whose behalf, for the limit on look-ups: the agent's address. Empty: nobody's.
    std::string requester{};
};

struct PublishedAllowlist {
    std::shared_ptr<const Allowlist> allowlist;
    // Looked up within EE_ALLOWLIST_TTL_SEC, not a copy that serves while nobody can be asked.
    bool fresh = true;
};

// Called on worker threads, several at once; never waits for a network.
class ReleaseSource {
public:
    virtual ~ReleaseSource() = default;

    // Refuses with `allowlist_missing` (none published, or not readable), `allowlist_unavailable` (nobody
    // could be asked), `allowlist_invalid:<pointer>`, or with `allowlist_pending` while it is being fetched
    // for the first time: the same quote is to be judged again afterwards.
    virtual Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime now) = 0;

    // An agent was let in by this release's allowlist, with a quote that nobody can have sent before it: of
    // two releases the one that does so is worth more room and more look-ups.
    virtual void admitted(const ReleaseId& release, WallTime now) {
        static_cast<void>(release);
        static_cast<void>(now);
    }

    // As CollateralSource::when_settled.
    virtual void when_settled(const ReleaseId& release, std::function<void()> on_settled) {
        static_cast<void>(release);
        std::exchange(on_settled, nullptr)();
    }
};

// One given allowlist for every question, or, when null, none published.
class FixedRelease final : public ReleaseSource {
public:
    explicit FixedRelease(std::shared_ptr<const Allowlist> allowlist) : allowlist_(std::move(allowlist)) {}

    Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime) override {
        if (allowlist_ == nullptr)
            return fail("allowlist_missing",
                        "none was given for " + query.release.repo + " " + query.release.tag);
        return PublishedAllowlist{allowlist_};
    }

private:
    std::shared_ptr<const Allowlist> allowlist_;
};

}  // namespace ee::attestation

#pragma once
// The seam between the judge and wherever releases publish their allowlists.

#include <memory>
#include <string>

#include "attestation/allowlist.h"

namespace ee::attestation {

struct ReleaseId {
    std::string repo;  // owner/name
    std::string tag;

    friend auto operator<=>(const ReleaseId&, const ReleaseId&) = default;
};

// Called on worker threads, several at once; may block.
class ReleaseSource {
public:
    virtual ~ReleaseSource() = default;

    // Refuses with `allowlist_missing` (none published, or not readable), `allowlist_unavailable` (nobody
    // could be asked) or `allowlist_invalid:<pointer>`.
    virtual Result<std::shared_ptr<const Allowlist>> find(const ReleaseId& release) = 0;
};

}  // namespace ee::attestation

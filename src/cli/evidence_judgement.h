#pragma once
// Judging a file of evidence again, by terms that its reader chooses.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/evidence_json.h"

namespace ee::cli {

// What the reader of the file trusts, and what stands in for what the file holds.
struct EvidenceTerms {
    attestation::TrustAnchors anchors;
    std::unique_ptr<attestation::CollateralSource> collateral;  // null: the file's own
    std::shared_ptr<const attestation::Allowlist> allowlist;    // null: the file's own
    std::optional<attestation::NetworkPolicy> policy;           // absent: the one that judged
    bool accept_policy = false;  // also when it is not the built-in one of its name
    std::optional<WallTime> at;  // absent: the recorded time
};

struct EvidenceOutcome {
    // Why this does not stand: of the evidence itself, or of the verdict.
    std::optional<Error> refusal;
    std::vector<std::string> differences;
    attestation::Verdict verdict;  // of judging again; empty when it did not come to that

    const char* result() const { return refusal ? "refused" : (differences.empty() ? "ok" : "different"); }
};

EvidenceOutcome judge_evidence(const attestation::Evidence& evidence, const attestation::EvidenceFile& file,
                               const EvidenceTerms& terms);

}  // namespace ee::cli

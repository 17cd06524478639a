#pragma once
// Verdicts as evidence: what was asked, answered and checked, kept so that anyone can judge it again.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/appraisal.h"

namespace ee::attestation {

// One judged answer. `agent` is what the public may call the agent everywhere; its id itself is among the
// inputs of report data, where whoever recomputes them needs it. Nothing of a legacy answer is kept: its
// quote and claims are a credential.
struct Evidence {
    std::string id;     // see evidence_id()
    std::string agent;  // see hashed_agent_id()
    std::string app_name;
    std::string network;
    ReleaseId release;
    std::string policy_sha256;           // of policy_json() of the policy that judged
    std::optional<Challenge> challenge;  // without `requester`; absent after a legacy answer, like the next
    std::optional<Answer> answer;
    Verdict verdict;  // without its pointers; after a legacy answer also without what the quote says
};

// SHA-256(log id || agent_id), the first 16 hex digits.
std::string hashed_agent_id(std::string_view log_id, std::string_view agent_id);

// SHA-256 of the report data, in hex: names this answer to this challenge. Legacy report data are the same
// each time, and a credential: there it is SHA-256 of the nonce.
std::string evidence_id(const Challenge& challenge, const Answer& answer);

// Of a verdict that came to its policy, of whose policy_json() `policy_sha256` is.
Evidence make_evidence(std::string_view log_id, std::string policy_sha256, const Challenge& challenge,
                       Answer answer, const Verdict& verdict);

// What a piece of evidence refers to by its SHA-256: parts of collateral by their names, "allowlist",
// "policy".
struct EvidenceContent {
    std::string kind;
    Bytes bytes;
};
using EvidenceContents = std::map<std::string, EvidenceContent, std::less<>>;  // by SHA-256, hex

// The collateral that a verdict was reached with, put together again; null when evidence names none.
// `collateral_unavailable` names the part that is not among the contents.
Result<std::shared_ptr<const Collateral>> collateral_of(const Evidence& evidence,
                                                        const EvidenceContents& contents);
// The same for the allowlist (`allowlist_unavailable`) and the policy (`policy_unavailable`).
Result<std::shared_ptr<const Allowlist>> allowlist_of(const Evidence& evidence,
                                                      const EvidenceContents& contents);
Result<NetworkPolicy> policy_of(const Evidence& evidence, const EvidenceContents& contents);

// Whether a piece of evidence agrees with itself: its id, its agent under this log id, and the names it says
// twice. `evidence_inconsistent:<field>`.
Result<void> check_consistency(const Evidence& evidence, std::string_view log_id);

// By what to judge again. `now` is the recorded time, unless another is of interest.
struct RepeatTerms {
    const NetworkPolicy& policy;
    const TrustAnchors& anchors;
    CollateralSource& collateral;
    ReleaseSource& releases;
    WallTime now;
};

struct Repetition {
    Verdict verdict;
    // Where it differs from the recorded one: "tcb_status: recorded UpToDate, repeated OutOfDate".
    std::vector<std::string> differences;
};

// Judges the answer again, by the same code that admits agents. Only for evidence with challenge and answer.
Repetition repeat_judgement(const Evidence& evidence, const RepeatTerms& terms);

}  // namespace ee::attestation

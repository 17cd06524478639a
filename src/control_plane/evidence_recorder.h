#pragma once
// Keeps what verdicts were reached by, for whoever wants to judge again.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "attestation/appraisal.h"
#include "registry/sqlite/evidence_store.h"

namespace ee::control_plane {

class EvidenceRecorder {
public:
    // The store must outlive this object.
    EvidenceRecorder(registry::EvidenceStore& store, std::string log_id)
        : store_(store), log_id_(std::move(log_id)) {}

    // Of an ok verdict, on the worker that reached it.
    registry::EvidenceRecord prepare(const attestation::Challenge& challenge, attestation::Answer answer,
                                     const attestation::Verdict& verdict) const;

    // Any thread. Only once the agent has got its place: somebody else's good quote under its name must not
    // pass for its own.
    void keep(registry::EvidenceRecord record) { store_.keep(std::move(record)); }

private:
    // A policy's JSON, as evidence refers to it.
    struct PolicyText {
        std::shared_ptr<const attestation::NetworkPolicy> policy;
        std::shared_ptr<const std::string> json;
        std::string sha256;
    };
    PolicyText text_of(const std::shared_ptr<const attestation::NetworkPolicy>& policy) const;

    registry::EvidenceStore& store_;
    const std::string log_id_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, PolicyText, std::less<>>
        texts_;  // by network, of the policy that judged last
};

}  // namespace ee::control_plane

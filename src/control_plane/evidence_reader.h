#pragma once
// Reads kept evidence on a thread of its own, so that whoever asks for much of it holds up neither the loop
// nor the workers that judge.

#include <string>

#include "api/evidence_source.h"
#include "attestation/appraisal.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "registry/sqlite/evidence_store.h"

namespace ee::control_plane {

class EvidenceReader final : public api::EvidenceSource {
public:
    // What is given must outlive this object.
    EvidenceReader(net::Loop& loop, const registry::EvidenceStore& store, std::string log_id,
                   const attestation::Appraiser& appraiser);

    bool is_public(std::string_view network) const override;
    bool ask(api::EvidenceQuestion question, OnAnswer on_answer) override;
    bool ask_collateral(std::string sha256, OnAnswer on_answer) override;

private:
    Result<api::EvidenceAnswer> page(const api::EvidenceQuestion& question) const;
    Result<api::EvidenceAnswer> collateral(const std::string& sha256) const;
    bool run(std::function<Result<api::EvidenceAnswer>()> read, OnAnswer on_answer);

    net::Loop& loop_;
    const registry::EvidenceStore& store_;
    const std::string log_id_;
    const attestation::Appraiser& appraiser_;
    net::WorkerPool thread_;
};

}  // namespace ee::control_plane

#pragma once
// What the registry keeps of an accepted verdict.

#include "attestation/appraisal.h"
#include "registry/agent.h"
#include "registry/sqlite/evidence_store.h"
#include "tunnel/session_machine.h"

namespace ee::control_plane {

// `verdict` is ok, `evidence` its record.
registry::AttestedVerdict attested_verdict(const attestation::Verdict& verdict,
                                           const registry::EvidenceRecord& evidence,
                                           const tunnel::AttestAnswer& answer, Moment now);

}  // namespace ee::control_plane

#pragma once
// Checks M and N: which TDX module this is, and at which of its vendor's levels the platform stands
// (Intel SGX and TDX DCAP Quote Verification Library, "TCB status").

#include "attestation/pck_extension.h"
#include "attestation/qe_identity.h"
#include "attestation/quote.h"
#include "attestation/tcb_info.h"
#include "attestation/tcb_status.h"
#include "base/result.h"

namespace ee::attestation {

// Check M. The module's version is the second byte of TEE_TCB_SVN; above 0 the TCB info must have an identity
// of that version. Refuses with `tdx_module_mismatch:version`, `:mrsigner` or `:attributes`.
Result<void> match_tdx_module(const TcbInfo& info, const TdReport& report);

// Everything that levels are looked up by.
struct TcbInputs {
    const TcbInfo& info;
    const QeIdentity& qe_identity;
    const PckExtension& pck;
    const TdReport& report;
    const QeReport& qe_report;
};

// Check N: one status of platform, QE and module, `tcb_not_supported` when one of them is below every level.
// TD 1.5 is evaluated again with the SVNs of the module running now, to see whether relaunching would help.
// Date and advisories are those of all levels that the status follows from; the evaluation number is the
// lower one of TCB info and QE identity.
Result<TcbEvaluation> evaluate_tcb(const TcbInputs& inputs);

// One status of three: `module` is nullopt for modules without a version.
TcbStatus converge(TcbStatus platform, TcbStatus qe, std::optional<TcbStatus> module);

// What the status at launch becomes in view of the status now.
TcbStatus relaunch_status(TcbStatus launched, TcbStatus now);

}  // namespace ee::attestation

#pragma once
// QE identity, version 2: which quoting enclave may vouch for attestation keys, and its levels
// (Intel PCS API version 4, "Get TD QE Identity").

#include <string_view>
#include <vector>

#include "attestation/quote.h"
#include "attestation/tcb_info.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// Masked values are in the order of a report's bytes.
struct QeIdentity {
    WallTime issued_at{};
    WallTime next_update{};
    std::uint64_t evaluation_number = 0;
    ByteArray<4> misc_select{};
    ByteArray<4> misc_select_mask{};
    ByteArray<16> attributes{};
    ByteArray<16> attributes_mask{};
    ByteArray<32> mr_signer{};
    std::uint16_t isv_prod_id = 0;
    std::vector<IsvSvnLevel> levels;  // highest SVN first
};

// Refuses with `collateral_mismatch:qe_identity_id` (about another enclave than TD_QE) or
// `collateral_malformed:qe_identity`, as parse_tcb_info does.
Result<QeIdentity> parse_qe_identity(std::string_view text);

// Whether this enclave made the report: `qe_identity_mismatch:miscselect`, `:attributes` (a debug enclave
// too, whatever the mask), `:mrsigner`, `:isvprodid`.
Result<void> match_qe(const QeIdentity& identity, const QeReport& report);

}  // namespace ee::attestation

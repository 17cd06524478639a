#pragma once
// The files that quotes are judged by, as the command line names them.

#include <memory>
#include <string>

#include "attestation/allowlist.h"
#include "attestation/collateral_source.h"

namespace ee::cli {

// A file or a folder. Refused with `usage` when it cannot be read, by a code of its own when it is malformed.
Result<std::unique_ptr<attestation::CollateralSource>> open_collateral(const std::string& where);
// The same of an allowlist's file.
Result<attestation::Allowlist> read_allowlist(const std::string& file);

}  // namespace ee::cli

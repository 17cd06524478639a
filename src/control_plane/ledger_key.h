#pragma once
// The key that signs the ledger's log outside a TEE: a file that nothing attests.

#include <filesystem>

#include "base/result.h"
#include "crypto/signing_key.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// Refuses what is no Ed25519 key: `key_invalid`, `key_unreadable`.
Result<crypto::SigningKey> load_ledger_key(const std::filesystem::path& file);
// Made at the first start, kept from then on.
Result<crypto::SigningKey> load_or_make_ledger_key(const std::filesystem::path& file,
                                                   const telemetry::Log& log);

}  // namespace ee::control_plane

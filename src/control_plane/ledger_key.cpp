#include "control_plane/ledger_key.h"

#include <fmt/format.h>

namespace ee::control_plane {

Result<crypto::SigningKey> load_ledger_key(const std::filesystem::path& file) {
    auto key = crypto::load_signing_key(file);
    if (key && key->kind() != crypto::KeyKind::ed25519)
        return fail("key_invalid", fmt::format("{} must hold an Ed25519 key", file.string()));
    return key;
}

Result<crypto::SigningKey> load_or_make_ledger_key(const std::filesystem::path& file,
                                                   const telemetry::Log& log) {
    std::error_code error;
    if (std::filesystem::exists(file, error)) return load_ledger_key(file);
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    if (auto saved = crypto::save_signing_key(file, key); !saved) return fail(std::move(saved.error()));
    log.info("ledger.key_made", {{"file", file.string()}});
    return key;
}

}  // namespace ee::control_plane

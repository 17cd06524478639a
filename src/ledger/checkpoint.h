#pragma once
// Checkpoints of the log: C2SP tlog-checkpoint, a signed note over size and root. Origin and key name are
// both "easyenclave/<log id>"; the signature is Ed25519.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/signing_key.h"
#include "ledger/merkle.h"

namespace ee::ledger {

inline constexpr std::size_t log_id_size = 32;
inline constexpr std::size_t checkpoint_bytes_max = std::size_t{16} * 1024;
inline constexpr std::size_t checkpoint_signatures_max = 32;

// 32 lower-case hex characters.
bool is_log_id(std::string_view text);
// "easyenclave/<log id>".
std::string log_origin(std::string_view log_id);

// The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key): which key of that name signed (C2SP
// signed-note, 0x01 is Ed25519).
using KeyHash = ByteArray<4>;
KeyHash note_key_hash(std::string_view name, const ByteArray<32>& public_key);
// "<name>+<key hash in hex>+<base64 of 0x01 || public key>": the key as other tools for signed notes take it.
std::string note_verifier_key(std::string_view name, const ByteArray<32>& public_key);

struct Checkpoint {
    std::string log_id;
    TreeHead head;

    friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// "<origin>\n<size>\n<root in base64>\n": what is signed.
std::string checkpoint_text(const Checkpoint& checkpoint);
// The whole note. `key` is an Ed25519 key.
std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::SigningKey& key);

// "— <name> <base64>\n": a line of a note's signatures.
std::string signature_line(std::string_view name, const KeyHash& key_hash, ByteSpan signature);

struct NoteSignature {
    std::string name;
    KeyHash key_hash;
    Bytes signature;
};

// Well-formed, and nothing more: nobody has looked at a signature yet.
struct UnverifiedCheckpoint {
    Checkpoint checkpoint;
    std::vector<NoteSignature> signatures;
};

// `checkpoint_too_large`, `checkpoint_malformed` (extension lines are refused too: this log makes none),
// `checkpoint_foreign` when it is of a log that is not one of ours.
Result<UnverifiedCheckpoint> parse_checkpoint(std::string_view note);

// And that this key of the log signed it: `checkpoint_unsigned` when no signature line is of that key,
// `checkpoint_signature_invalid` when one is and does not hold. Lines of others (witnesses) are passed over.
Result<Checkpoint> verify_checkpoint(std::string_view note, const crypto::Ed25519PublicKey& key);

}  // namespace ee::ledger

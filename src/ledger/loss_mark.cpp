#include "ledger/loss_mark.h"

#include <algorithm>

#include "crypto/digest.h"

namespace ee::ledger {
namespace {

constexpr std::size_t digest_size = std::tuple_size_v<crypto::Sha256>;
constexpr std::size_t id_size = std::tuple_size_v<LossId>;
constexpr std::uint8_t type_of_its_own = 0xff;  // of a signature, by C2SP signed-note

std::string mark_name(std::string_view log_id) {
    return log_origin(log_id).append("/losses");
}

KeyHash mark_hash(std::string_view name) {
    const ByteArray<2> separator = {0x0a, type_of_its_own};
    const crypto::Sha256 digest = crypto::sha256({as_bytes(name), separator, as_bytes("loss mark")});
    KeyHash out;
    std::copy_n(digest.begin(), out.size(), out.begin());
    return out;
}

crypto::Sha256 digest_of(const Checkpoint& checkpoint, ByteSpan ids, const ByteArray<32>& secret) {
    Bytes text(ids.begin(), ids.end());
    const std::string is_signed = checkpoint_text(checkpoint);
    text.insert(text.end(), is_signed.begin(), is_signed.end());
    return crypto::hmac_sha256(secret, text);
}

// Ids and digest of the line; empty: there is none.
ByteSpan mark_bytes(const UnverifiedCheckpoint& note) {
    const std::string name = mark_name(note.checkpoint.log_id);
    const KeyHash key_hash = mark_hash(name);
    for (const NoteSignature& line : note.signatures) {
        const std::size_t size = line.signature.size();
        if (line.name == name && line.key_hash == key_hash && size > digest_size &&
            (size - digest_size) % id_size == 0)
            return line.signature;
    }
    return {};
}

}  // namespace

LossId loss_id(const Hash& restored_leaf) {
    LossId id;
    std::copy_n(restored_leaf.begin(), id.size(), id.begin());
    return id;
}

std::string loss_mark(const Checkpoint& checkpoint, const std::vector<LossId>& losses,
                      const ByteArray<32>& secret) {
    if (losses.empty()) return {};
    Bytes bytes;
    const std::size_t first = losses.size() - std::min(losses.size(), losses_marked_max);
    for (std::size_t i = first; i < losses.size(); ++i)
        bytes.insert(bytes.end(), losses[i].begin(), losses[i].end());
    const crypto::Sha256 digest = digest_of(checkpoint, bytes, secret);
    bytes.insert(bytes.end(), digest.begin(), digest.end());
    const std::string name = mark_name(checkpoint.log_id);
    return signature_line(name, mark_hash(name), bytes);
}

std::vector<LossId> losses_named(const UnverifiedCheckpoint& note) {
    std::vector<LossId> out;
    const ByteSpan bytes = mark_bytes(note);
    for (std::size_t at = 0; at + digest_size < bytes.size(); at += id_size)
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), id_size, out.emplace_back().begin());
    return out;
}

std::vector<LossId> losses_marked(const UnverifiedCheckpoint& note, const ByteArray<32>& secret) {
    const ByteSpan bytes = mark_bytes(note);
    if (bytes.empty()) return {};
    const ByteSpan ids = bytes.first(bytes.size() - digest_size);
    if (!constant_time_equal(bytes.last(digest_size), digest_of(note.checkpoint, ids, secret))) return {};
    return losses_named(note);
}

}  // namespace ee::ledger

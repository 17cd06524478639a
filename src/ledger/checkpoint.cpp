#include "ledger/checkpoint.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/hex.h"
#include "base/utf8.h"

namespace ee::ledger {
namespace {

constexpr std::string_view origin_prefix = "easyenclave/";
// An em dash and a space begin every signature line.
constexpr std::string_view signature_prefix = "\xe2\x80\x94 ";
constexpr std::uint8_t algorithm_ed25519 = 0x01;

tl::unexpected<Error> malformed(std::string detail) {
    return fail("checkpoint_malformed", std::move(detail));
}

// The text up to the next line feed, which is taken too; nullopt when there is none.
std::optional<std::string_view> take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

// Decimal without a sign or leading zeros.
std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t size = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    if (size > tree_size_max) return std::nullopt;
    return size;
}

bool is_key_name(std::string_view name) {
    return !name.empty() && name.find_first_of(" +\t\r") == std::string_view::npos;
}

Result<NoteSignature> parse_signature(std::string_view line) {
    if (!line.starts_with(signature_prefix)) return malformed("a signature line without its dash");
    line.remove_prefix(signature_prefix.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || !is_key_name(line.substr(0, space)))
        return malformed("a signature line without a key's name");
    const auto bytes = from_base64(line.substr(space + 1));
    NoteSignature out;
    if (!bytes || bytes->size() <= out.key_hash.size())
        return malformed("a signature that is not 4 bytes and more in base64");
    out.name = line.substr(0, space);
    const auto hash_end = bytes->begin() + static_cast<std::ptrdiff_t>(out.key_hash.size());
    std::copy(bytes->begin(), hash_end, out.key_hash.begin());
    out.signature.assign(hash_end, bytes->end());
    return out;
}

// Origin, size and root.
Result<Checkpoint> parse_body(std::string_view& rest) {
    const auto origin = take_line(rest);
    const auto size = take_line(rest);
    const auto root = take_line(rest);
    if (!origin || !size || !root) return malformed("fewer than three lines");
    if (!origin->starts_with(origin_prefix) || !is_log_id(origin->substr(origin_prefix.size())))
        return fail("checkpoint_foreign",
                    fmt::format("its origin is not {}<32 hex characters>", origin_prefix));
    Checkpoint out{.log_id = std::string(origin->substr(origin_prefix.size())), .head = {}};
    const auto number = parse_size(*size);
    if (!number) return malformed("its second line is not a size in decimal");
    out.head.size = *number;
    const auto hash = from_base64(*root);
    if (!hash || hash->size() != out.head.root.size())
        return malformed("its third line is not 32 bytes in base64");
    std::copy(hash->begin(), hash->end(), out.head.root.begin());
    return out;
}

}  // namespace

bool is_log_id(std::string_view text) {
    return text.size() == log_id_size && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::string log_origin(std::string_view log_id) {
    return std::string(origin_prefix).append(log_id);
}

KeyHash note_key_hash(std::string_view name, const ByteArray<32>& public_key) {
    const ByteArray<2> separator = {0x0a, algorithm_ed25519};
    const crypto::Sha256 digest = crypto::sha256({as_bytes(name), separator, public_key});
    KeyHash out;
    std::copy_n(digest.begin(), out.size(), out.begin());
    return out;
}

std::string note_verifier_key(std::string_view name, const ByteArray<32>& public_key) {
    Bytes typed = {algorithm_ed25519};
    typed.insert(typed.end(), public_key.begin(), public_key.end());
    return fmt::format("{}+{}+{}", name, to_hex(note_key_hash(name, public_key)), to_base64(typed));
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
    return fmt::format("{}\n{}\n{}\n", log_origin(checkpoint.log_id), checkpoint.head.size,
                       to_base64(checkpoint.head.root));
}

std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::SigningKey& key) {
    EE_CHECK(key.kind() == crypto::KeyKind::ed25519 && is_log_id(checkpoint.log_id));
    const std::string text = checkpoint_text(checkpoint);
    const std::string name = log_origin(checkpoint.log_id);
    const KeyHash key_hash = note_key_hash(name, key.public_bytes());
    const ByteArray<64> signature = key.sign(as_bytes(text));
    return text + '\n' + signature_line(name, key_hash, signature);
}

std::string signature_line(std::string_view name, const KeyHash& key_hash, ByteSpan signature) {
    Bytes line(key_hash.begin(), key_hash.end());
    line.insert(line.end(), signature.begin(), signature.end());
    return fmt::format("{}{} {}\n", signature_prefix, name, to_base64(line));
}

Result<UnverifiedCheckpoint> parse_checkpoint(std::string_view note) {
    if (note.size() > checkpoint_bytes_max)
        return fail("checkpoint_too_large",
                    fmt::format("{} bytes, a checkpoint has {} at most", note.size(), checkpoint_bytes_max));
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; };
    if (!is_utf8(note) || std::any_of(note.begin(), note.end(), is_control))
        return malformed("not UTF-8, or with control characters");
    std::string_view rest = note;
    auto checkpoint = parse_body(rest);
    if (!checkpoint) return fail(std::move(checkpoint.error()));
    const auto blank = take_line(rest);
    if (!blank || !blank->empty()) return malformed("no blank line after the root");
    UnverifiedCheckpoint out{.checkpoint = std::move(*checkpoint), .signatures = {}};
    while (!rest.empty()) {
        const auto line = take_line(rest);
        if (!line) return malformed("its last line has no end");
        if (out.signatures.size() == checkpoint_signatures_max)
            return malformed(fmt::format("more than {} signatures", checkpoint_signatures_max));
        auto signature = parse_signature(*line);
        if (!signature) return fail(std::move(signature.error()));
        out.signatures.push_back(std::move(*signature));
    }
    if (out.signatures.empty()) return malformed("no signature");
    return out;
}

Result<Checkpoint> verify_checkpoint(std::string_view note, const crypto::Ed25519PublicKey& key) {
    auto parsed = parse_checkpoint(note);
    if (!parsed) return fail(std::move(parsed.error()));
    const std::string name = log_origin(parsed->checkpoint.log_id);
    const KeyHash key_hash = note_key_hash(name, key.raw());
    const std::string text = checkpoint_text(parsed->checkpoint);
    bool found = false;
    for (const NoteSignature& line : parsed->signatures) {
        if (line.name != name || line.key_hash != key_hash) continue;
        found = true;
        if (!key.verifies(as_bytes(text), line.signature))
            return fail("checkpoint_signature_invalid",
                        fmt::format("a signature of the log's key {} does not hold over size {} and root {}",
                                    to_hex(key_hash), parsed->checkpoint.head.size,
                                    to_hex(parsed->checkpoint.head.root)));
    }
    if (!found)
        return fail("checkpoint_unsigned", fmt::format("{} signatures, none by {} with the key {}",
                                                       parsed->signatures.size(), name, to_hex(key_hash)));
    return std::move(parsed->checkpoint);
}

}  // namespace ee::ledger

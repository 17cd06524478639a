#include "ledger/witness_proof.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"

namespace ee::ledger {
namespace {

constexpr std::string_view old_word = "old ";
constexpr std::string_view lost_word = "lost ";

tl::unexpected<Error> malformed(std::string_view what) {
    return fail("witness_proof_malformed", std::string(what));
}

void append_line(std::string& out, ByteSpan bytes) {
    out.append(to_base64(bytes)).push_back('\n');
}

std::string named(const Checkpoint& checkpoint) {
    return fmt::format("size {} with root {}", checkpoint.head.size, to_hex(checkpoint.head.root));
}

std::optional<std::string_view> take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

std::optional<std::uint64_t> number_after(std::string_view line, std::string_view word) {
    if (!line.starts_with(word)) return std::nullopt;
    line.remove_prefix(word.size());
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc{} || stop != line.data() + line.size()) return std::nullopt;
    return number;
}

template <std::size_t N>
bool take_bytes(std::string_view& rest, ByteArray<N>& out) {
    const auto line = take_line(rest);
    const auto bytes = line ? from_base64(*line) : std::nullopt;
    if (!bytes || bytes->size() != N) return false;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return true;
}

Result<ProofPath> take_path(std::string_view rest) {
    ProofPath path;
    while (!rest.empty()) {
        Hash hash;
        if (path.size() == path_hashes_max || !take_bytes(rest, hash))
            return malformed("its path is not at most 64 lines of 32 bytes in base64");
        path.push_back(hash);
    }
    return path;
}

// The held entries are gone, and the log says so where nobody can take it back.
Result<Continuation> check_loss(const Checkpoint& held, const Checkpoint& told, std::uint64_t index,
                                std::string_view rest, const std::vector<LossId>& followed) {
    const auto line = take_line(rest);
    const auto bytes = line ? from_base64(*line) : std::nullopt;
    Salt salt{};
    if (!bytes || !take_bytes(rest, salt)) return malformed("no leaf and salt in base64");
    const auto path = take_path(rest);
    if (!path) return fail(path.error());
    const auto leaf = decode_leaf(*bytes);
    if (!leaf || leaf->kind != LeafKind::restored) return malformed("its leaf is not of kind \"restored\"");
    const std::uint64_t size = leaf->u64("size"), lost = leaf->u64("lost_size");
    if (held.head.size <= size || held.head.size - size > lost)
        return fail("witness_loss_not_said",
                    fmt::format("leaf {} says that after {} leaves {} were lost, held is {}", index, size,
                                lost, named(held)));
    const Hash hash = log_leaf_hash(salt, *bytes);
    if (std::ranges::find(followed, loss_id(hash)) != followed.end())
        return fail("witness_loss_before",
                    fmt::format("leaf {} says what was lost before {}, which is held", index, named(held)));
    const auto included = verify_inclusion(
        {.leaf = hash, .index = index, .size = told.head.size, .root = told.head.root}, *path);
    if (!included) return fail(included.error());
    return Continuation::restored;
}

}  // namespace

std::string write_consistency(std::uint64_t older_size, const ProofPath& path) {
    std::string out = fmt::format("{}{}\n", old_word, older_size);
    for (const Hash& hash : path) append_line(out, hash);
    return out;
}

std::string write_loss(const ProvenLeaf& restored) {
    std::string out = fmt::format("{}{}\n", lost_word, restored.index);
    append_line(out, restored.leaf);
    append_line(out, restored.salt);
    for (const Hash& hash : restored.path) append_line(out, hash);
    return out;
}

Result<Continuation> check_continuation(const Checkpoint& held, const Checkpoint& told,
                                        std::string_view proof, const std::vector<LossId>& followed) {
    if (held.log_id != told.log_id)
        return fail("witness_other_log", fmt::format("held is a checkpoint of log {}, told one of log {}",
                                                     held.log_id, told.log_id));
    std::string_view rest = proof;
    const std::string_view first = take_line(rest).value_or("");
    if (const auto index = number_after(first, lost_word))
        return check_loss(held, told, *index, rest, followed);
    const std::string both = fmt::format("held is {}, told {}", named(held), named(told));
    if (told.head.size < held.head.size) return fail("witness_went_back", both);
    if (told.head.size == held.head.size) {
        if (told.head.root != held.head.root) return fail("witness_other_root", both);
        return Continuation::same;
    }
    if (proof.empty()) return fail("witness_unproven", both);
    const auto size = number_after(first, old_word);
    if (!size) return malformed("its first line is neither \"old <size>\" nor \"lost <leaf index>\"");
    if (*size != held.head.size)
        return fail("witness_unproven", fmt::format("the proof is from size {}; {}", *size, both));
    const auto path = take_path(rest);
    if (!path) return fail(path.error());
    const auto consistent = verify_consistency(held.head, told.head, *path);
    if (!consistent)
        return fail(consistent.error().code, fmt::format("{}; {}", consistent.error().detail, both));
    return Continuation::appended;
}

}  // namespace ee::ledger

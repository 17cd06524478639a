#include "ledger/forks.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hex.h"
#include "ledger/meta_record.h"

namespace ee::ledger {
namespace {

constexpr std::string_view fork_key = "fork";
constexpr std::string_view accepted_key = "loss accepted";
constexpr std::string_view loss_prefix = "loss logged ";  // then the leaf's index

std::string encode(const Loss& loss) {
    return RecordWriter().number(loss.size).number(loss.lost_size).number(loss.leaf_index).take();
}

Loss decode_loss(std::string_view record) {
    RecordReader in(record);
    Loss loss;
    loss.size = in.number();
    loss.lost_size = in.number();
    loss.leaf_index = in.number();
    in.finish();
    return loss;
}

std::string encode(const Fork& fork) {
    return RecordWriter()
        .number(fork.common_size)
        .number(fork.lost_to)
        .text(fork.note)
        .number(fork.here.size)
        .array(fork.here.root)
        .take();
}

Fork decode_fork(std::string_view record) {
    RecordReader in(record);
    Fork fork;
    fork.common_size = in.number();
    fork.lost_to = in.number();
    fork.note = in.text();
    fork.here.size = in.number();
    fork.here.root = in.array<32>();
    in.finish();
    return fork;
}

Leaf log_key_at(const Store& store, std::uint64_t index) {
    const auto bytes = store.leaf(index);
    if (!bytes) throw DamagedRecord(fmt::format("leaf {}, a log key, is missing", index));
    auto leaf = decode_leaf(as_bytes(*bytes));
    if (!leaf || leaf->kind != LeafKind::log_key)
        throw DamagedRecord(fmt::format("leaf {} is not a log key", index));
    return *std::move(leaf);
}

// Of what the books, a store or a batch, have logged.
template <class Books>
LossId id_of(const Books& books, const LogIdentity& identity, const Loss& loss) {
    const auto leaf = books.leaf(loss.leaf_index);
    if (!leaf) throw DamagedRecord(fmt::format("leaf {}, an accepted loss, is missing", loss.leaf_index));
    return loss_id(tree_leaf(identity, loss.leaf_index, *leaf));
}

}  // namespace

void LoggedKeys::catch_up(const Store& store) {
    if (log_id_.empty()) {
        const auto identity = identity_of(store);
        if (!identity) return;
        log_id_ = identity->log_id;
    }
    store.scan(
        Table::log_keys, std::string(KeyWriter().number(next_leaf_)),
        [&](std::string_view key, std::string_view) {
            const std::uint64_t index = number_at(key, 0);
            const Leaf leaf = log_key_at(store, index);
            ByteArray<32> raw;
            std::ranges::copy(leaf.bytes("public_key"), raw.begin());
            const KeyHash hash = note_key_hash(log_origin(log_id_), raw);
            next_leaf_ = index + 1;
            // Without a TEE it is the same key at each start.
            const auto [from, to] = keys_.equal_range(hash);
            if (std::none_of(from, to, [&](const auto& known) { return known.second.key.raw() == raw; }))
                keys_.emplace(hash, Key{.first_leaf = index, .key = crypto::Ed25519PublicKey::from_raw(raw)});
            return true;
        });
}

Result<std::uint64_t> LoggedKeys::verify(std::string_view note) const {
    const auto parsed = parse_checkpoint(note);
    if (!parsed) return fail(parsed.error());
    if (parsed->checkpoint.log_id != log_id_)
        return fail("checkpoint_other_log",
                    fmt::format("it is of log {}, this is log {}", parsed->checkpoint.log_id, log_id_));
    Error why{"checkpoint_unsigned", fmt::format("{} signatures over size {}, none by a key of this log",
                                                 parsed->signatures.size(), parsed->checkpoint.head.size)};
    for (const NoteSignature& line : parsed->signatures) {
        const auto [from, to] = keys_.equal_range(line.key_hash);
        for (auto key = from; key != to; ++key) {
            const auto verified = verify_checkpoint(note, key->second.key);
            if (verified) return key->second.first_leaf;
            why = verified.error();
        }
    }
    return fail(std::move(why));
}

std::optional<Loss> loss_of(const Store& store, std::uint64_t witnessed, const History& history) {
    const LogIdentity identity = expect_record(identity_of(store), "'identity'");
    std::optional<Loss> found;
    store.scan(Table::meta, loss_prefix, [&](std::string_view key, std::string_view record) {
        if (!key.starts_with(loss_prefix)) return false;
        const Loss loss = decode_loss(record);
        // The leaf before is that of the start's key.
        if (loss.covers(witnessed) && history.key_leaf + 1 < loss.leaf_index &&
            std::ranges::find(history.losses, id_of(store, identity, loss)) == history.losses.end())
            found = loss;
        return true;
    });
    return found;
}

std::vector<LossId> losses_logged(const Batch& batch, const LogIdentity& identity) {
    std::vector<LossId> out;
    batch.scan(Table::meta, loss_prefix, [&](std::string_view, std::string_view record) {
        out.push_back(id_of(batch, identity, decode_loss(record)));
        return true;
    });
    return out;
}

Result<Witnessed> judge_witnessed(const Store& store, LogReader& reader, const LogTree& tree,
                                  const LoggedKeys& keys, std::string_view note) {
    Witnessed out{.note = std::string(note)};
    // Most are what this log said, to the letter; a signature is dearer to verify than a record to read.
    const auto parsed = parse_checkpoint(note);
    if (!parsed) return fail(parsed.error());
    const std::uint64_t size = parsed->checkpoint.head.size;
    if (size <= tree.size()) {
        const auto record = store.get(Table::checkpoints, std::string(KeyWriter().number(size)));
        if (record && SignedHead::decode(*record).note == note) {
            out.checkpoint = parsed->checkpoint;
            out.here = out.checkpoint.head;
            return out;
        }
    }
    auto key_leaf = keys.verify(note);
    if (!key_leaf) return fail(std::move(key_leaf.error()));
    out.checkpoint = parsed->checkpoint;
    if (size > tree.size()) {
        out.here = tree.head();
        out.finding = Witnessed::Finding::newer;
    } else {
        const auto root = reader.root_at(tree, size);
        if (!root) return fail(root.error());
        out.here = {.size = size, .root = *root};
        if (*root != out.checkpoint.head.root) out.finding = Witnessed::Finding::differs;
    }
    if (!out.is_fork()) return out;
    const LogIdentity identity = expect_record(identity_of(store), "'identity'");
    out.loss =
        loss_of(store, size, {.key_leaf = *key_leaf, .losses = losses_marked(*parsed, identity.salt_secret)});
    if (out.loss) out.finding = Witnessed::Finding::lost;
    return out;
}

std::string Fork::detail() const {
    const auto parsed = parse_checkpoint(note);
    const std::string root = parsed ? to_hex(parsed->checkpoint.head.root) : "?";
    return fmt::format(
        "a witness holds this log's signed checkpoint of size {} with root {}; the log here had size {} with "
        "root {}: it was restored from an older copy or runs twice. Bring back the newer file, or accept the "
        "loss: eectl restore --accept-loss",
        lost_to, root, here.size, to_hex(here.root));
}

void Fork::add(const Witnessed& more) {
    const std::uint64_t size = more.checkpoint.head.size;
    if (size > lost_to) {
        lost_to = size;
        note = more.note;
        here = more.here;
    }
    common_size = std::min(common_size, size - 1);
}

Fork begin_fork(const Store& store, const Witnessed& first) {
    Fork fork{.common_size = first.here.size};
    if (const auto head = newest_head(store))
        fork.common_size = log_key_at(store, head->log_key_index).u64("last_size");
    fork.add(first);
    return fork;
}

std::optional<Fork> find_fork(const Store& store) {
    return meta_record(store, fork_key, decode_fork);
}

Changes remember_fork(const Fork& fork) {
    Changes changes;
    changes.of(Table::meta).emplace_back(fork_key, encode(fork));
    return changes;
}

Result<Loss> accepted_loss(const Store& store, std::optional<std::uint64_t> lost_to) {
    const auto fork = find_fork(store);
    const std::uint64_t kept = fork ? fork->common_size : store.leaf_count();
    if (!lost_to && !fork)
        return fail("size_missing",
                    fmt::format("no witness has shown what was lost of this log of {} leaves: say how many "
                                "it had",
                                kept));
    const std::uint64_t to = lost_to.value_or(fork ? fork->lost_to : 0);
    if (fork && to < fork->lost_to)
        return fail("size_too_small",
                    fmt::format("a witness has seen {} leaves of it, accepted are {}", fork->lost_to, to));
    if (fork && to > fork->lost_to)
        return fail("size_too_large",
                    fmt::format("a witness has seen {} leaves of it, no more can be accepted: "
                                "leave the size out. One that has seen more stops the "
                                "ledger again",
                                fork->lost_to));
    if (to <= kept)
        return fail("size_too_small",
                    fmt::format("{} leaves are there: with {} in all nothing was lost", kept, to));
    if (!fork && to - kept > unseen_lost_max)
        return fail("size_too_large",
                    fmt::format("{} leaves are there and no witness has shown more: at most {} in all can be "
                                "accepted. Where more were lost, start: a witness shows how many",
                                kept, kept + unseen_lost_max));
    return Loss{.size = kept, .lost_size = to - kept};
}

Changes accept_loss(const Store& store, const Loss& loss, const ByteArray<32>& salt_secret) {
    Changes changes;
    // By their keys' order.
    if (store.get(Table::meta, fork_key)) changes.of(Table::meta).emplace_back(fork_key, std::nullopt);
    if (auto identity = identity_of(store)) {
        identity->renew_salts(store.leaf_count(), salt_secret);
        changes.of(Table::meta).emplace_back(identity_key, identity->encode());
    }
    changes.of(Table::meta).emplace_back(accepted_key, encode(loss));
    return changes;
}

std::optional<Loss> loss_to_log(const Store& store) {
    return meta_record(store, accepted_key, decode_loss);
}

void loss_was_logged(Batch& batch, const Loss& loss) {
    batch.erase(Table::meta, std::string(accepted_key));
    std::string key(loss_prefix);
    append_big_endian<8>(key, loss.leaf_index);
    batch.put(Table::meta, std::move(key), encode(loss));
}

}  // namespace ee::ledger

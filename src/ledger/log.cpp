#include "ledger/log.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ledger/meta_record.h"

namespace ee::ledger {
namespace {

constexpr std::string_view head_key = "head";
// About as long as a leaf, its salt and its path are in JSON.
constexpr std::size_t proven_leaf_bytes = 2048;

tl::unexpected<Error> damaged(std::string detail) {
    return fail("ledger_damaged", std::move(detail));
}

tl::unexpected<Error> other_root_then(std::uint64_t size) {
    return damaged(fmt::format("the first {} leaves have another root than the tree had then", size));
}

Result<std::int64_t> newest_time(const Store& store, std::uint64_t size) {
    const auto leaf = last_leaf(store, size);
    if (leaf) return leaf->time_us;
    if (leaf.error().code == "log_range")
        return damaged(fmt::format("leaf {}, the newest one, is missing", size - 1));
    return damaged(fmt::format("the newest leaf: {}", leaf.error().detail));
}

}  // namespace

Result<Leaf> last_leaf(const Store& store, std::uint64_t size) {
    const auto bytes = size == 0 ? std::nullopt : store.leaf(size - 1);
    if (!bytes) return fail("log_range");
    return decode_leaf(as_bytes(*bytes));
}

void LogIdentity::renew_salts(std::uint64_t from, const ByteArray<32>& secret) {
    if (!later_secrets.empty() && later_secrets.back().from == from) later_secrets.pop_back();
    later_secrets.push_back({.from = from, .secret = secret});
}

std::string LogIdentity::encode() const {
    RecordWriter out;
    out.text(log_id).array(salt_secret);
    if (later_secrets.empty()) return out.take();
    out.number(later_secrets.size());
    for (const LaterSecret& later : later_secrets) out.number(later.from).array(later.secret);
    return out.take();
}

LogIdentity LogIdentity::decode(std::string_view record) {
    RecordReader in(record);
    LogIdentity out{.log_id = in.text()};
    out.salt_secret = in.array<32>();
    for (std::uint64_t left = in.has_more() ? in.number() : 0; left > 0; --left) {
        LaterSecret later{.from = in.number()};
        later.secret = in.array<32>();
        out.later_secrets.push_back(later);
    }
    in.finish();
    return out;
}

std::optional<LogIdentity> identity_of(const Store& store) {
    return meta_record(store, identity_key, LogIdentity::decode);
}

Salt salt_of(const LogIdentity& identity, std::uint64_t leaf_index) {
    const ByteArray<32>* secret = &identity.salt_secret;
    for (const LogIdentity::LaterSecret& later : identity.later_secrets)
        if (later.from <= leaf_index) secret = &later.secret;
    std::string index;
    append_big_endian<8>(index, leaf_index);
    // Secret and index have fixed lengths: the digest is a keyed function of the index.
    const crypto::Sha256 digest = crypto::sha256({*secret, as_bytes(index)});
    Salt salt;
    std::copy_n(digest.begin(), salt.size(), salt.begin());
    return salt;
}

Hash tree_leaf(const LogIdentity& identity, std::uint64_t index, std::string_view leaf) {
    return log_leaf_hash(salt_of(identity, index), as_bytes(leaf));
}

std::string SignedHead::encode() const {
    return RecordWriter()
        .number(head.size)
        .array(head.root)
        .text(note)
        .number(log_key_index)
        .integer(time_us)
        .take();
}

SignedHead SignedHead::decode(std::string_view record) {
    RecordReader in(record);
    SignedHead out;
    out.head.size = in.number();
    out.head.root = in.array<32>();
    out.note = in.text();
    out.log_key_index = in.number();
    out.time_us = in.integer();
    in.finish();
    return out;
}

std::optional<SignedHead> newest_head(const Store& store) {
    return meta_record(store, head_key, SignedHead::decode);
}

std::optional<SignedHead> newest_head(const Batch& batch) {
    return meta_record(batch, head_key, SignedHead::decode);
}

std::optional<SignedHead> head_with(const Store& store, std::uint64_t leaf_index) {
    std::optional<SignedHead> found;
    store.scan(Table::checkpoints, std::string(KeyWriter().number(leaf_index + 1)),
               [&](std::string_view, std::string_view record) {
                   found = SignedHead::decode(record);
                   return false;
               });
    return found;
}

Result<Bytes> LogReader::Tiles::read_tile(unsigned level, std::uint64_t index) const {
    const auto tile = store_.tile(level, index);
    if (!tile) return damaged(fmt::format("tile {} of level {} is missing", index, level));
    return to_bytes(as_bytes(*tile));
}

LogReader::LogReader(const Store& store) : store_(store), tiles_(store), cache_(tiles_) {}

Result<LogTree> LogReader::load() {
    if (!identity_) identity_ = identity_of(store_);
    const auto head = newest_head(store_);
    const std::uint64_t size = head ? head->head.size : 0;
    if (size != store_.leaf_count())
        return damaged(fmt::format("{} leaves are in the store, the newest checkpoint has {}",
                                   store_.leaf_count(), size));
    if (size == 0) return LogTree{};
    if (!identity_) return damaged("there are leaves, and no log id");
    auto tree = open_tree(size);
    if (!tree) return tree;
    if (tree->root() != head->head.root)
        return damaged(fmt::format("the {} leaves have another root than the newest checkpoint", size));
    return tree;
}

Result<LogTree> LogReader::load_at(const LogTree& tree, std::uint64_t size) {
    auto older = open_tree(size);
    if (!older) return older;
    const auto root = tree.root_at(size, cache_);
    if (!root || *root != older->root()) return other_root_then(size);
    return older;
}

// From the full tiles, and the leaves after the last one of level 0.
Result<LogTree> LogReader::open_tree(std::uint64_t size) {
    std::vector<Hash> tail;
    for (std::uint64_t index = size - size % tile_hashes; index < size; ++index) {
        const auto leaf = store_.leaf(index);
        if (!leaf) return damaged(fmt::format("leaf {} is missing", index));
        tail.push_back(tree_leaf(*identity_, index, *leaf));
    }
    auto tree = LogTree::open(size, tiles_, tail);
    if (!tree) return damaged(tree.error().detail);
    return tree;
}

void LogReader::keep(std::uint64_t first_leaf, std::vector<std::string> leaves) {
    kept_from_ = first_leaf;
    kept_ = std::move(leaves);
}

std::optional<std::string> LogReader::leaf(std::uint64_t index) const {
    if (index >= kept_from_ && index - kept_from_ < kept_.size()) return kept_[index - kept_from_];
    return store_.leaf(index);
}

Result<ProvenLeaf> LogReader::prove(const LogTree& tree, std::uint64_t index, std::uint64_t size) {
    auto path = tree.inclusion_proof(index, size, cache_);
    if (!path) return fail(std::move(path.error()));
    const auto bytes = leaf(index);
    if (!bytes) return damaged(fmt::format("leaf {} is missing", index));
    if (!identity_) identity_ = identity_of(store_);
    return ProvenLeaf{.index = index,
                      .leaf = to_bytes(as_bytes(*bytes)),
                      .salt = salt_of(identity_.value(), index),
                      .path = *std::move(path)};
}

Result<ProofPath> LogReader::inclusion(const LogTree& tree, std::uint64_t index, std::uint64_t size) {
    return tree.inclusion_proof(index, size, cache_);
}

Result<void> LogReader::catch_up(LogTree& tree) {
    const auto head = newest_head(store_);
    if (!head || head->head.size == tree.size()) return {};
    if (!identity_) identity_ = identity_of(store_);
    if (head->head.size - tree.size() > tile_hashes) return catch_up_by_tiles(tree);
    LogTree grown = tree;
    std::vector<Tile> full;  // the writer has stored them
    for (std::uint64_t index = tree.size(); index < head->head.size; ++index) {
        const auto leaf = store_.leaf(index);
        if (!leaf || !identity_) return damaged(fmt::format("leaf {} is missing", index));
        grown.append(tree_leaf(*identity_, index, *leaf), full);
    }
    if (grown.root() != head->head.root)
        return damaged(
            fmt::format("the {} leaves have another root than the newest checkpoint", grown.size()));
    tree = std::move(grown);
    return {};
}

// From far behind: however many leaves came since, they are not read.
Result<void> LogReader::catch_up_by_tiles(LogTree& tree) {
    auto grown = load();
    if (!grown) return fail(std::move(grown.error()));
    const auto before = grown->root_at(tree.size(), cache_);
    if (!before || *before != tree.root()) return other_root_then(tree.size());
    tree = *std::move(grown);
    return {};
}

Result<ProofPath> LogReader::consistency(const LogTree& tree, std::uint64_t older, std::uint64_t newer) {
    return tree.consistency_proof(older, newer, cache_);
}

Result<Hash> LogReader::root_at(const LogTree& tree, std::uint64_t size) {
    return tree.root_at(size, cache_);
}

Result<void> LogReader::add_receipt(std::string& object, const LogTree& tree, std::uint64_t leaf_index) {
    const auto head = head_with(store_, leaf_index);
    if (!head) return fail("log_range", fmt::format("no checkpoint has leaf {} yet", leaf_index));
    return add_receipt(object, tree, leaf_index, *head);
}

Result<void> LogReader::add_receipt(std::string& object, const LogTree& tree, std::uint64_t leaf_index,
                                    const SignedHead& head) {
    const auto leaf = prove(tree, leaf_index, head.head.size);
    if (!leaf) return fail(leaf.error());
    if (auto proven = prove_key(tree, head); !proven) return proven;
    std::string& end = key_proof_->receipt_end;
    if (end.empty()) end = receipt_end(head.note, key_proof_->leaf, key_proof_->attested);
    object.reserve(object.size() + proven_leaf_bytes + end.size());
    object.pop_back();
    object.append(object.size() > 1 ? R"(,"receipt":)" : R"("receipt":)");
    JsonWriter json(object);
    write_receipt(json, *leaf, end);
    object.push_back('}');
    return {};
}

Result<void> LogReader::prove_key(const LogTree& tree, const SignedHead& head) {
    if (key_proof_ && key_proof_->size == head.head.size) return {};
    auto key = prove(tree, head.log_key_index, head.head.size);
    if (!key) return fail(std::move(key.error()));
    const auto leaf = decode_leaf(key->leaf);
    if (!leaf) return damaged(fmt::format("the leaf of a log key: {}", leaf.error().detail));
    const bool attested = !leaf->bytes("quote").empty();
    key_proof_ = KeyProof{.size = head.head.size, .leaf = *std::move(key), .attested = attested};
    return {};
}

Result<Log> Log::open(const Store& store, const LogIdentity& if_new) {
    EE_CHECK(is_log_id(if_new.log_id));
    Log log;
    const auto known = identity_of(store);
    if (known && known->log_id != if_new.log_id)
        return fail("ledger_foreign", fmt::format("the ledger is of log {}, this control plane's is {}",
                                                  known->log_id, if_new.log_id));
    log.identity_ = known.value_or(if_new);
    log.is_new_ = !known;
    auto tree = LogReader(store).load();
    if (!tree) return fail(std::move(tree.error()));
    log.tree_ = *std::move(tree);
    if (log.tree_.size() == 0) return log;
    const auto time = newest_time(store, log.tree_.size());
    if (!time) return fail(time.error());
    log.last_time_us_ = *time;
    return log;
}

Log Log::closed(const LogIdentity& identity) {
    Log log;
    log.identity_ = identity;
    return log;
}

void Log::begin_key(Batch& batch, LogKey key, std::int64_t time_us) {
    EE_CHECK(key.key.kind() == crypto::KeyKind::ed25519);
    key_index_ = batch.leaf_count();
    const auto leaf = encode_leaf({.kind = LeafKind::log_key,
                                   .seq = key_index_,
                                   .time_us = time_us,
                                   .fields = {field(key.key.public_bytes()), field(ByteSpan(key.quote)),
                                              field(key.collateral), field(tree_.size()), field(tree_.root()),
                                              field(key.repo), field(key.release_tag), Bytes{}}});
    EE_CHECK(leaf.has_value());
    batch.append_leaf(std::string(as_text(*leaf)));
    batch.put(Table::log_keys, KeyWriter().number(key_index_), "");
    key_ = std::move(key.key);
}

Changes Log::seal(Batch& batch, std::int64_t time_us) {
    State next{.tree = tree_, .head = std::nullopt, .last_time_us = last_time_us_};
    std::vector<Tile> full;
    std::uint64_t index = tree_.size();
    for (const std::string& leaf : batch.leaves())
        next.tree.append(tree_leaf(identity_, index++, leaf), full);
    if (!batch.leaves().empty()) {
        EE_CHECK(key_.has_value());
        next.last_time_us = time_us;
        SignedHead head{.head = next.tree.head(), .log_key_index = key_index_, .time_us = time_us};
        const Checkpoint checkpoint{.log_id = identity_.log_id, .head = head.head};
        head.note =
            sign_checkpoint(checkpoint, *key_) + loss_mark(checkpoint, losses_, identity_.salt_secret);
        batch.put(Table::checkpoints, KeyWriter().number(head.head.size), head.encode());
        batch.put(Table::meta, std::string(head_key), head.encode());
        next.head = std::move(head);
    }
    if (is_new_) batch.put(Table::meta, std::string(identity_key), identity_.encode());
    Changes changes = batch.take();
    for (Tile& tile : full)
        changes.tiles.push_back({tile.level, tile.index, std::string(as_text(tile.hashes))});
    sealed_ = std::move(next);
    return changes;
}

void Log::committed() {
    EE_CHECK(sealed_.has_value());
    tree_ = std::move(sealed_->tree);
    if (sealed_->head) head_ = std::move(sealed_->head);
    last_time_us_ = sealed_->last_time_us;
    is_new_ = false;
    sealed_.reset();
}

}  // namespace ee::ledger

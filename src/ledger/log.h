#pragma once
// The verifiable log over the ledger's leaves (spec: ledger, "The verifiable log"). Sealing a batch puts its
// leaves into the tree and signs a checkpoint, all in one commit; receipts and proofs are made afterwards, by
// any reader.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/signing_key.h"
#include "ledger/batch.h"
#include "ledger/log_tree.h"
#include "ledger/loss_mark.h"
#include "ledger/period.h"
#include "ledger/receipt.h"

namespace ee::ledger {

// Made with the ledger, kept in its `meta`.
inline constexpr std::string_view identity_key = "identity";
struct LogIdentity {
    struct LaterSecret {
        std::uint64_t from = 0;  // the first leaf with salts of it
        ByteArray<32> secret{};
        friend bool operator==(const LaterSecret&, const LaterSecret&) = default;
    };
    std::string log_id{};                      // 32 hex characters
    ByteArray<32> salt_secret{};               // nobody outside learns it; a receipt shows one salt
    std::vector<LaterSecret> later_secrets{};  // ascending

    // From this leaf on salts are others: those that leaves of these places had may be known.
    void renew_salts(std::uint64_t from, const ByteArray<32>& secret);
    std::string encode() const;
    static LogIdentity decode(std::string_view record);
    friend bool operator==(const LogIdentity&, const LogIdentity&) = default;
};
std::optional<LogIdentity> identity_of(const Store& store);

// When a commit is: by the clock, but never before the newest leaf. A clock that steps back does not take the
// ledger with it (invariant L7).
inline LedgerTime commit_time(LedgerTime clock, LedgerTime newest_leaf) {
    return std::max(clock, newest_leaf);
}

// The last of the log's first `size` leaves: `log_range` where that is not there, and what decode_leaf()
// says.
Result<Leaf> last_leaf(const Store& store, std::uint64_t size);

// The hash in the tree of a leaf that the store or a batch has.
Hash tree_leaf(const LogIdentity& identity, std::uint64_t index, std::string_view leaf);

// A function of the index and the secret that holds there, so that none need be kept.
Salt salt_of(const LogIdentity& identity, std::uint64_t leaf_index);

// A key that signs checkpoints, and what binds it to a machine.
struct LogKey {
    crypto::SigningKey key;
    Bytes quote{};             // empty: nothing does
    std::string collateral{};  // JSON, of the quote
    std::string repo{};
    std::string release_tag{};
};

// A checkpoint that was committed.
struct SignedHead {
    TreeHead head{};
    std::string note{};
    std::uint64_t log_key_index = 0;
    std::int64_t time_us = 0;

    std::string encode() const;
    static SignedHead decode(std::string_view record);
    friend bool operator==(const SignedHead&, const SignedHead&) = default;
};
std::optional<SignedHead> newest_head(const Store& store);
std::optional<SignedHead> newest_head(const Batch& batch);
// The first one with more than `leaf_index` leaves.
std::optional<SignedHead> head_with(const Store& store, std::uint64_t leaf_index);

// Proofs out of a store. One thread at a time; the store is its reader's, and outlives it.
class LogReader {
public:
    explicit LogReader(const Store& store);
    LogReader(const LogReader&) = delete;
    LogReader& operator=(const LogReader&) = delete;

    // The tree as the store has it, from its newest checkpoint's size. `ledger_damaged` where leaves or tiles
    // are missing, or lead to another root than the checkpoint's.
    Result<LogTree> load();
    // Brings a tree that was loaded before up to the newest checkpoint. One that does not lead there stays as
    // it was: `ledger_damaged`, also the next time.
    Result<void> catch_up(LogTree& tree);
    // As it was at a smaller size; the root is that of `tree` then.
    Result<LogTree> load_at(const LogTree& tree, std::uint64_t size);

    // Leaves that were committed just now, so that their receipts need not read them back.
    void keep(std::uint64_t first_leaf, std::vector<std::string> leaves);

    // All of `tree`, which load() gave, or which grew from one that it gave.
    // `log_range`: there is no such leaf or size.
    Result<ProvenLeaf> prove(const LogTree& tree, std::uint64_t index, std::uint64_t size);
    Result<ProofPath> inclusion(const LogTree& tree, std::uint64_t index, std::uint64_t size);
    Result<ProofPath> consistency(const LogTree& tree, std::uint64_t older, std::uint64_t newer);
    Result<Hash> root_at(const LogTree& tree, std::uint64_t size);
    // Adds "receipt" to a JSON object: that of the leaf, under the first checkpoint that has it, the same for
    // ever. Where it is refused the object stays as it was.
    Result<void> add_receipt(std::string& object, const LogTree& tree, std::uint64_t leaf_index);
    // Under `head`, which is that one.
    Result<void> add_receipt(std::string& object, const LogTree& tree, std::uint64_t leaf_index,
                             const SignedHead& head);

private:
    Result<LogTree> open_tree(std::uint64_t size);
    Result<void> catch_up_by_tiles(LogTree& tree);
    std::optional<std::string> leaf(std::uint64_t index) const;

    class Tiles final : public TileReader {
    public:
        explicit Tiles(const Store& store) : store_(store) {}
        Result<Bytes> read_tile(unsigned level, std::uint64_t index) const override;

    private:
        const Store& store_;
    };

    const Store& store_;
    std::optional<LogIdentity> identity_;
    Tiles tiles_;
    TileCache cache_;
    std::uint64_t kept_from_ = 0;
    std::vector<std::string> kept_;
    // All receipts under one checkpoint show the same proof of its key.
    struct KeyProof {
        std::uint64_t size = 0;
        ProvenLeaf leaf{};
        bool attested = false;
        std::string receipt_end{};  // empty: not needed yet
    };
    Result<void> prove_key(const LogTree& tree, const SignedHead& head);
    std::optional<KeyProof> key_proof_;
};

// The writer's side. It keeps the tree's right edge and the key.
class Log {
public:
    // Of a ledger that has one already, `if_new` must have the same log id: `ledger_foreign`. Refusals of
    // LogReader::load().
    static Result<Log> open(const Store& store, const LogIdentity& if_new);

    // Of a ledger that can't be written to.
    static Log closed(const LogIdentity& identity);

    const LogIdentity& identity() const { return identity_; }
    const LogTree& tree() const { return tree_; }
    // The last one that was sealed and committed here.
    const std::optional<SignedHead>& head() const { return head_; }
    // Of the newest leaf; what follows is never earlier (invariant L7).
    std::int64_t last_time_us() const { return last_time_us_; }

    // Appends the leaf of a key, which signs this batch's checkpoint and all later ones.
    void begin_key(Batch& batch, LogKey key, std::int64_t time_us);

    // That checkpoints from now on have gone through these.
    void mark_losses(std::vector<LossId> losses) { losses_ = std::move(losses); }

    // Takes the batch: its leaves in the tree and, where there are any, the checkpoint. A key has begun by
    // then. Call committed() once the changes are on disk; without it the log stays as it was.
    Changes seal(Batch& batch, std::int64_t time_us);
    void committed();

private:
    Log() = default;

    struct State {
        LogTree tree{};
        std::optional<SignedHead> head{};
        std::int64_t last_time_us = 0;
    };

    LogIdentity identity_;
    bool is_new_ = false;
    LogTree tree_;
    std::optional<SignedHead> head_;
    std::int64_t last_time_us_ = 0;
    std::optional<crypto::SigningKey> key_;
    std::uint64_t key_index_ = 0;
    std::vector<LossId> losses_;
    std::optional<State> sealed_;
};

}  // namespace ee::ledger

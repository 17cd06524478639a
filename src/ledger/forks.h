#pragma once
// What witnesses bring back: checkpoints of this log. One that a key of the log signed, and that the log as
// it is does not lead to, says that it was restored from an older copy or runs twice. Then nothing is written
// any more, until an operator says which loss is accepted.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/ed25519.h"
#include "ledger/log.h"

namespace ee::ledger {

// The keys that this log names, by how signatures name them.
class LoggedKeys {
public:
    // Reads those that were logged since the last time.
    void catch_up(const Store& store);
    // The leaf that logged the key which has signed the note, the first one where it is the same at each
    // start. Refusals of verify_checkpoint(), and `checkpoint_other_log`.
    Result<std::uint64_t> verify(std::string_view note) const;

private:
    struct Key {
        std::uint64_t first_leaf;
        crypto::Ed25519PublicKey key;
    };
    std::string log_id_;
    std::uint64_t next_leaf_ = 0;
    std::multimap<KeyHash, Key> keys_;
};

// Entries that were lost, by a leaf of kind "restored" (`leaf_index`) or, before it, by an operator's word.
struct Loss {
    std::uint64_t size = 0;       // of what was kept
    std::uint64_t lost_size = 0;  // entries after it that are gone
    std::uint64_t leaf_index = 0;

    bool covers(std::uint64_t witnessed) const { return witnessed > size && witnessed - size <= lost_size; }
    friend bool operator==(const Loss&, const Loss&) = default;
};
// Entries that can be said to be lost although no witness has shown any.
inline constexpr std::uint64_t unseen_lost_max = 1'000'000;

// Which history a checkpoint is of, as far as it says so.
struct History {
    std::uint64_t key_leaf = 0;    // of the key that has signed it, the first one
    std::vector<LossId> losses{};  // it has gone through
};
// The newest loss that explains a checkpoint of this size: one of before it. What the log signed from the
// start on that logged the loss is never explained by it.
std::optional<Loss> loss_of(const Store& store, std::uint64_t witnessed, const History& history = {});
// All that the log says; also the one that this batch logs.
std::vector<LossId> losses_logged(const Batch& batch, const LogIdentity& identity);

struct Witnessed {
    enum class Finding {
        consistent,
        lost,    // what it shows is gone, and the log says so
        newer,   // the log is shorter
        differs  // it had another root at that size
    };
    Finding finding = Finding::consistent;
    Checkpoint checkpoint{};
    std::string note{};
    TreeHead here{};             // the log as it was compared: all of it, or at the witnessed size
    std::optional<Loss> loss{};  // that explains it

    bool is_fork() const { return finding == Finding::newer || finding == Finding::differs; }
};

// `tree` is all of the log. Refusals: what makes a note count for nothing (LoggedKeys::verify()), and those
// of LogReader.
Result<Witnessed> judge_witnessed(const Store& store, LogReader& reader, const LogTree& tree,
                                  const LoggedKeys& keys, std::string_view note);

// A fork as far as witnesses have shown it; kept until the loss is accepted.
struct Fork {
    std::uint64_t common_size = 0;  // up to here the log may be the one they saw
    std::uint64_t lost_to = 0;      // the largest size they saw
    std::string note{};             // with that size
    TreeHead here{};                // what the log had when it was shown

    // Names both sides.
    std::string detail() const;
    // Also what this one shows.
    void add(const Witnessed& more);
    friend bool operator==(const Fork&, const Fork&) = default;
};
// That `first` is the first to show: the log may differ from what its newest start found.
Fork begin_fork(const Store& store, const Witnessed& first);
std::optional<Fork> find_fork(const Store& store);
Changes remember_fork(const Fork& fork);

// An operator's word that what followed the kept entries, up to `lost_to` of them in all, is gone. Without
// `lost_to`: what witnesses have shown. Ends the fork; the next start's key signs the leaf that says so.
// Leaves from then on have salts of `salt_secret`, a new one: those of lost leaves may be known.
// Refusals: `size_missing` (nobody has shown anything), `size_too_small` (something beyond it was shown, or
// the log has as many), `size_too_large` (no witness has shown as many; or unseen_lost_max, where none has).
Result<Loss> accepted_loss(const Store& store, std::optional<std::uint64_t> lost_to);
Changes accept_loss(const Store& store, const Loss& loss, const ByteArray<32>& salt_secret);

// For the start's commit: the loss that was accepted and has no leaf yet; and that it has one now.
std::optional<Loss> loss_to_log(const Store& store);
void loss_was_logged(Batch& batch, const Loss& loss);

}  // namespace ee::ledger

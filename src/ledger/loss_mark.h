#pragma once
// What a checkpoint says of its own history: which accepted losses it has gone through. Size and root can't
// tell what was lost from what came after it, and outside a TEE the key is the same; a mark can. It is one
// more signature line of the note, which other readers pass over:
//
//   name       "easyenclave/<log id>/losses"
//   bytes      8 for each loss in the log, the oldest first; then HMAC-SHA-256 under the log's secret, over
//              those and the text that is signed
//
// Every copy of the ledger's database has the secret; witnesses don't.

#include <string>
#include <vector>

#include "ledger/checkpoint.h"

namespace ee::ledger {

// The beginning of the hash in the tree of the leaf of kind "restored".
using LossId = ByteArray<8>;
LossId loss_id(const Hash& restored_leaf);

// Of more losses the newest are marked.
inline constexpr std::size_t losses_marked_max = 64;

// The line; empty where nothing was ever lost.
std::string loss_mark(const Checkpoint& checkpoint, const std::vector<LossId>& losses,
                      const ByteArray<32>& secret);
// What its line names, whoever wrote it.
std::vector<LossId> losses_named(const UnverifiedCheckpoint& note);
// The same where the log itself wrote it; else nothing.
std::vector<LossId> losses_marked(const UnverifiedCheckpoint& note, const ByteArray<32>& secret);

}  // namespace ee::ledger

#pragma once
// Who asked for what, when and from where: a record of each call that changed something, beside the leaf that
// tells of it (spec: ledger, "The verifiable log"; http-api, `/v1/audit`).

#include <string>

#include "ledger/context.h"
#include "ledger/encoding.h"

namespace ee::ledger {

struct CallRecord {
    LedgerTime at{};
    std::string principal{};
    std::string method{};
    std::string path{};        // as it was sent
    std::string request_id{};  // empty: the caller gave none
    crypto::Sha256 address{};  // salted
    std::uint64_t leaf_index = 0;

    std::string encode() const;
    static CallRecord decode(std::string_view record);
    // The newest first. `first_leaf`: how many leaves there were before the call.
    static std::string key(std::uint64_t first_leaf);
};

// A leaf of its own for a call: who asked for what. Its index.
std::uint64_t append_call(Context& context);

// Records the call that was done, after its leaves from `first_leaf` on, and gives it a leaf of its own where
// those do not say who it was.
void record_call(Context& context, std::uint64_t first_leaf, const Answer& answer);

}  // namespace ee::ledger

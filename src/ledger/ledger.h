#pragma once
// The ledger: what a command does to the books. It has no state of its own and no clock: the same commands in
// the same order give the same leaves, on every store.

#include "ledger/context.h"

namespace ee::ledger {

inline constexpr std::size_t idempotency_key_max = 128;

class Ledger {
public:
    explicit Ledger(const Rules& rules) : rules_(rules) {}

    const Rules& rules() const { return rules_; }

    // Does it, or refuses and leaves the batch as it was (but that a business refusal is remembered under the
    // request's key). `now` never goes back from one call to the next. `was_known`: where given, is set to
    // whether that key was known, so that an answer or a refusal is repeated. Codes: refusals.h. Throws
    // StoreFailure, DamagedRecord, BrokenInvariant: the batch is not to be committed then.
    Result<Answer> apply(Batch& batch, const Request& request, LedgerTime now,
                         bool* was_known = nullptr) const;

    // For who settles step by step before it applies a Finalize: how that would be refused now, or, where its
    // key is known, answered. nullopt: it would be done.
    std::optional<Result<Answer>> check_finalize(Batch& batch, const Request& request, LedgerTime now) const;

private:
    struct Opened {
        Context context;
        std::string key;  // of the idempotency record; empty: none
    };
    Result<Opened> open(Batch& batch, const Request& request, LedgerTime now,
                        std::optional<Result<Answer>>& known) const;

    Rules rules_;
};

// Whose token it is: "account:alice", "node:n1"; nullopt: nobody's.
std::optional<std::string> principal_of(const Batch& batch, const crypto::Sha256& token);

}  // namespace ee::ledger

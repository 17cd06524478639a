#pragma once
// What a settlement recorded of a unit, compared with what its evidence comes to.

#include <optional>
#include <string>
#include <vector>

#include <simdjson.h>

#include "base/result.h"
#include "ledger/outcome.h"
#include "ledger/receipt.h"

namespace ee::cli {

// An item of GET /v1/settlements/{period}.
struct RecordedUnit {
    struct Transfer {
        ledger::Money amount;
        ledger::Money drawn;
        ledger::Money paid;
        ledger::Money returned;
    };

    std::string cell{};
    std::string node{};
    std::string app{};
    std::string outcome{};
    std::string sha256{};  // empty: none
    bool has_settled_at = false;
    std::vector<std::string> reasons{};
    ledger::Money paid{};
    ledger::Money returned{};
    std::vector<Transfer> transfers{};
    bool transfers_complete = false;

    // The admin decided what the evidence leaves open.
    bool is_resolved() const;
    bool is_settled() const { return outcome == "pass" || outcome == "fail"; }
};
// `settlement_invalid:<member>`: missing, or no text, list or sum in USD.
Result<RecordedUnit> read_recorded_unit(simdjson::dom::element item);

// Of an item that comes without evidence: `evidence_missing` unless it is as every unit is before it is
// judged. Only one that is settled has a receipt.
std::optional<Error> difference_without_evidence(const RecordedUnit& recorded, bool has_receipt);

// The first thing that is recorded otherwise, in this order: `unit_mismatch`, of another one;
// `evidence_mismatch`, the digest; `outcome_mismatch`, outcome or reasons; `transfers_mismatch:<number>`, a
// transfer that does not follow from its lock and the outcome; `transfers_mismatch:paid_usd`,
// `:returned_usd`, the sums. Where not all transfers are shown, the sums are no less than theirs.
std::optional<Error> difference_of(const RecordedUnit& recorded, const ledger::UnitEvidence& evidence,
                                   const ledger::Judgement& judgement);

// Whether the leaf of the receipt, which holds by itself, says the same: `leaf_mismatch:<field>`, or what is
// wrong with the receipt.
std::optional<Error> difference_of(const RecordedUnit& recorded, const ledger::UnitEvidence& evidence,
                                   const ledger::Receipt& receipt);

}  // namespace ee::cli

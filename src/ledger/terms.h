#pragma once
// What a node offered when, and whether it might earn.

#include <functional>

#include "ledger/batch.h"
#include "ledger/node_records.h"

namespace ee::ledger {

// What is in force at `at`, by what was posted until now; nullopt: nothing.
std::optional<Terms> terms_at(const Batch& batch, std::string_view node, LedgerTime at);

// The newest that are yet to come into force, and when: with a cell, so within days. nullopt: none are
// announced.
struct AnnouncedTerms {
    LedgerTime from;
    Terms terms;
};
std::optional<AnnouncedTerms> announced_terms(const Batch& batch, std::string_view node, LedgerTime now);

// By what usage of a cell is priced and measured: the terms in force at its start, or else the first in it.
std::optional<Terms> terms_of_cell(const Batch& batch, std::string_view node, const Period& cell);

// The newest first: all terms that came into force in the cell, and those in force at its start.
void visit_terms_of_cell(const Batch& batch, std::string_view node, const Period& cell,
                         const std::function<void(LedgerTime from, Terms terms)>& visit);

// Vcpu-hours that this capacity gives in a cell.
Hours capacity_of(const Terms& terms, const Period& cell);

std::optional<Standing> standing_at(const Batch& batch, std::string_view node, LedgerTime at);
// Good from the cell's start to its end.
bool held_standing(const Batch& batch, std::string_view node, const Period& cell);

// Records what is from `from` on, where it differs from what was.
void post_standing(Batch& batch, std::string_view node, LedgerTime from, const Standing& standing);
void post_terms(Batch& batch, std::string_view node, LedgerTime from, const Terms& terms);

}  // namespace ee::ledger

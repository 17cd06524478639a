#pragma once
// Penalties on stake: proposed with their evidence, carried out or dismissed once.

#include "ledger/context.h"
#include "ledger/node_records.h"

namespace ee::ledger {

// What downtime that caused a migration costs at the tier that the node had when it went `down`: a month, a
// day or an hour of its revenue, by what it earned in the last 30 days. It may be more than its stake.
Money downtime_penalty(const Batch& batch, std::string_view node, LedgerTime now, LedgerTime down);

// Proposed; carried out at once where the rules say so and the stake covers all of it. Nothing where it costs
// nothing.
void propose_downtime_penalty(Context& context, std::string_view node, std::string_view event_id,
                              const Observation& seen);
// For abuse that was authorised after its cells were paid `revenue`.
void propose_abuse_claim(Context& context, std::string_view node, std::uint64_t report, Money revenue);

// What proposals that nobody has decided on would take of the node's stake; never more than all of it.
Money proposed_of(const Batch& batch, std::string_view node);

}  // namespace ee::ledger

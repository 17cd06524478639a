#pragma once
// One function a command, called by Ledger::apply with the caller's right to it already checked, unless it
// says otherwise. Each checks everything before it changes anything.

#include "ledger/context.h"

namespace ee::ledger {

// accounts.cpp
Result<Answer> perform(Context& context, const OpenAccount& command);
Result<Answer> perform(Context& context, const RotateToken& command);
Result<Answer> perform(Context& context, const Purchase& command);
Result<Answer> perform(Context& context, const Redeem& command);
Result<Answer> perform(Context& context, const Transfer& command);

// locks.cpp; whose lock it is, a release finds out itself
Result<Answer> perform(Context& context, const TakeLock& command);
Result<Answer> perform(Context& context, const ReleaseLock& command);

// usage.cpp
Result<Answer> perform(Context& context, const ReportUsage& command);

// nodes.cpp; what a node may change of itself is decided there
Result<Answer> perform(Context& context, const RegisterNode& command);
Result<Answer> perform(Context& context, const Unstake& command);
Result<Answer> perform(Context& context, const Ban& command);

// slashing.cpp
Result<Answer> perform(Context& context, const Slash& command);
Result<Answer> perform(Context& context, const DismissSlashing& command);
Result<Answer> perform(Context& context, const ProposeFraud& command);

// abuse.cpp
Result<Answer> perform(Context& context, const FileAbuse& command);
Result<Answer> perform(Context& context, const DecideAbuse& command);

// evidence.cpp
Result<Answer> perform(Context& context, const Observe& command);
Result<Answer> perform(Context& context, const RecordSlots& command);
Result<Answer> perform(Context& context, const RecordOutage& command);
Result<Answer> perform(Context& context, const RecordLeaf& command);

// audit.cpp
Result<Answer> perform(Context& context, const RecordCall& command);

// settlement.cpp
// All that refuses it; changes nothing.
Result<void> check(const Context& context, const Finalize& command);
Result<Answer> perform(Context& context, const Finalize& command);
Result<Answer> perform(Context& context, const Resolve& command);
Result<Answer> perform(Context& context, const SettleMore& command);

}  // namespace ee::ledger

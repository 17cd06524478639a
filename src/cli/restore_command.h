#pragma once
// eectl restore --accept-loss: ends the standstill of a ledger that was restored from an older copy.

#include <cstdint>
#include <optional>
#include <string>

#include "cli/eectl.h"

namespace ee::cli {

struct RestoreOptions {
    std::string database;
    bool accept_loss = false;           // the command line insists
    std::optional<std::uint64_t> size;  // that the log had
};
// The next start of the control plane appends the leaf: only its key may sign.
int run_restore(const RestoreOptions& options, Context& context);

}  // namespace ee::cli

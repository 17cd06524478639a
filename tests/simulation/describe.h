#pragma once

#include <string>

#include "ledger/command.h"

namespace ee::simulation {

// All that a command says, on one line: for people, and as the body that an idempotency key remembers.
std::string describe(const ledger::Command& command);

}  // namespace ee::simulation

#pragma once
// What a command works with.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/batch.h"
#include "ledger/command.h"

namespace ee::ledger {

// What operators set.
struct Rules {
    Grid grid = Grid::hour;
    std::chrono::seconds lock_ahead{86'400};
    bool usage_requires_lock = false;
    bool slash_auto = false;
};

// Only our own bug breaks it; whoever runs commands catches it, undoes the batch and stops writing.
class BrokenInvariant : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

struct Context {
    Batch& batch;
    const Rules& rules;
    LedgerTime now;
    const Request& request;
    std::string principal;                     // "admin", "account:alice", "node:n1", ...
    std::optional<std::uint64_t> call_leaf{};  // that says who asked for what, where one has been appended

    bool is_admin() const { return request.caller.role == Role::admin; }
    bool is_server() const { return request.caller.role == Role::server; }
    bool is_account(std::string_view name) const { return principal == "account:" + std::string(name); }
    bool is_node(std::string_view id) const { return principal == "node:" + std::string(id); }
};

}  // namespace ee::ledger

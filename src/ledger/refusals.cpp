#include "ledger/refusals.h"

#include <algorithm>

namespace ee::ledger {
namespace {

struct Row {
    std::string_view code;
    int status;
};
constexpr Row rows[] = {
    {"idempotency_key_required", 400},
    {"unauthorized", 401},
    {"forbidden", 403},
    {"unknown_account", 404},
    {"unknown_node", 404},
    {"unknown_lock", 404},
    {"unknown_report", 404},
    {"unknown_settlement", 404},
    {"unknown_slashing", 404},
    {"abuse_pending", 409},
    {"account_exists", 409},
    {"already_decided", 409},
    {"already_dismissed", 409},
    {"already_released", 409},
    {"already_settled", 409},
    {"already_slashed", 409},
    {"balance_too_large", 409},
    {"cell_started", 409},
    {"event_conflict", 409},
    {"insufficient_credit", 409},
    {"lock_missing", 409},
    {"no_stake", 409},
    {"node_banned", 409},
    {"node_price_missing", 409},
    {"not_inconclusive", 409},
    {"payment_ref_used", 409},
    {"period_finalized", 409},
    {"period_open", 409},
    {"report_conflict", 409},
    {"stake_in_use", 409},
    {"too_many_locks", 409},
    {"too_many_reports", 409},
    {"exceeds_capacity", 422},
    {"idempotency_key_reused", 422},
    {"invalid_amount", 422},
    {"invalid_field", 422},
    {"invalid_hours", 422},
    {"invalid_period", 422},
    {"period_ended", 422},
    {"period_not_on_grid", 422},
    {"period_not_started", 422},
    {"period_too_far", 422},
    {"period_too_long", 422},
    {"ledger_halted", 503},
    {"ledger_forked", 503},
    {"ledger_busy", 503},
    {"store_unavailable", 503},
};

}  // namespace

int status_of_refusal(std::string_view code) {
    const auto row = std::ranges::find(rows, code.substr(0, code.find(':')), &Row::code);
    return row == std::end(rows) ? 0 : row->status;
}

}  // namespace ee::ledger

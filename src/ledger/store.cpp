#include "ledger/store.h"

#include "base/check.h"

namespace ee::ledger {

std::string_view to_word(Table table) {
    switch (table) {
        case Table::meta: return "meta";
        case Table::accounts: return "accounts";
        case Table::entries: return "entries";
        case Table::payments: return "payments";
        case Table::tokens: return "tokens";
        case Table::keys: return "keys";
        case Table::locks: return "locks";
        case Table::held_locks: return "held_locks";
        case Table::reports: return "reports";
        case Table::node_cells: return "node_cells";
        case Table::units: return "units";
        case Table::open_units: return "open_units";
        case Table::moving_units: return "moving_units";
        case Table::unit_accounts: return "unit_accounts";
        case Table::nodes: return "nodes";
        case Table::terms: return "terms";
        case Table::standing: return "standing";
        case Table::abuse: return "abuse";
        case Table::abuse_by_node: return "abuse_by_node";
        case Table::slots: return "slots";
        case Table::observations: return "observations";
        case Table::seen: return "seen";
        case Table::outages: return "outages";
        case Table::slashings: return "slashings";
        case Table::causes: return "causes";
        case Table::earnings: return "earnings";
        case Table::checkpoints: return "checkpoints";
        case Table::log_keys: return "log_keys";
        case Table::settled_locks: return "settled_locks";
        case Table::audit: return "audit";
        case Table::answers: return "answers";
        case Table::observation_lists: return "observation_lists";
        case Table::observation_list_names: return "observation_list_names";
        case Table::count: break;
    }
    EE_CHECK(false);
}

}  // namespace ee::ledger

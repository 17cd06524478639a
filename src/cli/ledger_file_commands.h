#pragma once
// eectl ledger check, export, backup, and settlement recompute: what needs no server, and disturbs none.

#include <string>

#include "cli/eectl.h"

namespace ee::cli {

struct LedgerFileOptions {
    std::string database;  // EE_DB_PATH
    std::string to;        // of a backup
    bool json = false;
};
// Every invariant, from the first leaf on; exit 1 where one does not hold, 2 where there is no ledger to
// check.
int run_ledger_check(const LedgerFileOptions& options, Context& context);
// One line of JSON a leaf.
int run_ledger_export(const LedgerFileOptions& options, Context& context);
// The whole database, of one moment.
int run_ledger_backup(const LedgerFileOptions& options, Context& context);

struct RecomputeOptions {
    std::string file;  // what GET /v1/settlements/{period} answered, one item of it, or one bundle
    bool json = false;
};
// Judges each bundle again; exit 1 where the recorded outcome or digest is another one.
int run_settlement_recompute(const RecomputeOptions& options, Context& context);

}  // namespace ee::cli

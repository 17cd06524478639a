#include "cli/restore_command.h"

#include <filesystem>
#include <ostream>

#include <fmt/format.h>

#include "crypto/digest.h"
#include "ledger/forks.h"
#include "ledger/ledger_check.h"
#include "ledger/sqlite/sqlite_store.h"
#include "sqlite/file_lock.h"

namespace ee::cli {
namespace {

Result<ledger::Loss> accept(const RestoreOptions& options) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(options.database, error))
        return fail("store_unavailable", options.database + " is not a file");
    auto lock = sqlite::FileLock::take(options.database);
    if (!lock) return fail(std::move(lock.error()));
    sqlite::Writers writers(options.database);
    auto store = ledger::SqliteStore::open(options.database, writers);
    if (!store) return fail(std::move(store.error()));
    const ledger::CheckReport report = ledger::check_ledger(**store, 0);
    if (!report.is_good()) return fail("ledger_halted", report.findings.front());
    auto loss = ledger::accepted_loss(**store, options.size);
    if (!loss) return loss;
    (*store)->commit(ledger::accept_loss(**store, *loss, crypto::random_bytes<32>()));
    return loss;
}

}  // namespace

int run_restore(const RestoreOptions& options, Context& context) {
    const auto loss = accept(options);
    if (!loss) {
        context.err << "eectl: " << loss.error().code << ": " << loss.error().detail << '\n';
        return exit_refused;
    }
    context.out << fmt::format(
        "{} entries are kept; up to {} after them are lost. The control plane's next start says so in the "
        "log.\n",
        loss->size, loss->lost_size);
    return exit_good;
}

}  // namespace ee::cli

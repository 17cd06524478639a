#include "sqlite/transaction.h"

#include <sqlite3.h>

namespace ee::sqlite {
namespace {

constexpr std::chrono::milliseconds turn_wait{5000};

}  // namespace

Result<Transaction> Transaction::begin(Database& database) {
    Writers* const writers = database.writers_;
    auto turn = writers == nullptr ? std::nullopt : writers->take_turn(turn_wait);
    if (writers != nullptr && !turn)
        return fail("store_unavailable", "others have been writing the file for 5 s");
    if (auto begun = database.execute("BEGIN IMMEDIATE"); !begun) return fail(std::move(begun.error()));
    return Transaction(database, std::move(turn));
}

Result<void> Transaction::commit() {
    return database_->execute("COMMIT");
}

// What has failed may be undone already, and the failure is what counts, not what ROLLBACK says.
Transaction::~Transaction() {
    if (database_ == nullptr || sqlite3_get_autocommit(database_->database_.get()) != 0) return;
    static_cast<void>(database_->execute("ROLLBACK"));
}

}  // namespace ee::sqlite

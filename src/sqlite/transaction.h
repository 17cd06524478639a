#pragma once

#include <optional>

#include "sqlite/database.h"
#include "sqlite/writers.h"

namespace ee::sqlite {

// A change of the file, all or nothing: begun once it is this connection's turn, undone unless committed.
class Transaction {
public:
    // `store_unavailable` when others have the file for longer than 5 s, too.
    static Result<Transaction> begin(Database& database);

    // On disk when it returns. After a refusal nobody knows what the disk has of it.
    Result<void> commit();

    ~Transaction();
    Transaction(Transaction&& other) noexcept
        : database_(std::exchange(other.database_, nullptr)), turn_(std::move(other.turn_)) {}
    Transaction& operator=(Transaction&&) = delete;

private:
    Transaction(Database& database, std::optional<Writers::Turn> turn)
        : database_(&database), turn_(std::move(turn)) {}

    Database* database_;
    std::optional<Writers::Turn> turn_;
};

}  // namespace ee::sqlite

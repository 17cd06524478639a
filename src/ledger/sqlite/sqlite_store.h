#pragma once
// The ledger in the SQLite file at EE_DB_PATH.

#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "ledger/sqlite/recent_changes.h"
#include "ledger/store.h"
#include "sqlite/writers.h"

namespace ee::ledger {

// The one writer of the ledger's tables. Reads come from one snapshot, taken with the first and given back by
// commit() and end_reading(). Once a COMMIT has failed, or the disk has failed while writing, what the file
// holds and what SQLite believes may differ: commit() refuses from then on, until the store is opened anew.
// Reads go on.
class SqliteStore final : public Store {
public:
    // Beside the store that holds the file's lock. Makes the file if need be (not its folder), brings an
    // older schema up to date, backed up first (ledger_schema.h). `writers` outlive it. Refusals:
    // `store_schema_newer`, `store_unavailable`.
    static Result<std::unique_ptr<SqliteStore>> open(const std::filesystem::path& file,
                                                     sqlite::Writers& writers,
                                                     const RecentChanges::Limits& recent_limits = {});
    // Leaves the tables as who reads them by SQL expects them, where the disk lets it.
    ~SqliteStore() override;

    std::optional<std::string> get(Table table, std::string_view key) const override;
    void scan(Table table, std::string_view from, const Visit& visit) const override;
    std::uint64_t leaf_count() const override;
    std::optional<std::string> leaf(std::uint64_t index) const override;
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override;
    void commit(const Changes& changes) override;
    void end_reading() const noexcept override;

    // For readers of this process.
    std::shared_ptr<RecentChanges> recent() const;

private:
    class Impl;
    explicit SqliteStore(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::ledger

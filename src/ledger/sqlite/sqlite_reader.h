#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "ledger/sqlite/recent_changes.h"
#include "ledger/store.h"

namespace ee::ledger {

// Reads the ledger beside the server that writes it, in this process or another, without either waiting for
// the other. All reads are from one moment until end_reading(); the next one is from a later moment. One
// thread at a time.
class SqliteReader final : public Store {
public:
    // Changes nothing. `recent`: of the store that writes the file, where that is of this process; reads are
    // faster with it. Refusals: `no_ledger`, `store_schema_newer`, `store_schema_older`, `store_unavailable`.
    static Result<std::unique_ptr<SqliteReader>> open(const std::filesystem::path& file,
                                                      std::shared_ptr<RecentChanges> recent = nullptr);
    ~SqliteReader() override;

    std::optional<std::string> get(Table table, std::string_view key) const override;
    void scan(Table table, std::string_view from, const Visit& visit) const override;
    std::uint64_t leaf_count() const override;
    std::optional<std::string> leaf(std::uint64_t index) const override;
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override;
    // StoreFailure, always.
    void commit(const Changes& changes) override;
    void end_reading() const noexcept override;

private:
    class Impl;
    explicit SqliteReader(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::ledger

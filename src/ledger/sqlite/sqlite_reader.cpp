#include "ledger/sqlite/sqlite_reader.h"

#include "ledger/sqlite/ledger_reads.h"
#include "ledger/sqlite/ledger_schema.h"

namespace ee::ledger {

class SqliteReader::Impl {
public:
    std::unique_ptr<sqlite::Database> database;  // where the statements know it
    LedgerReads reads;
};

SqliteReader::SqliteReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteReader::~SqliteReader() = default;

Result<std::unique_ptr<SqliteReader>> SqliteReader::open(const std::filesystem::path& file,
                                                         std::shared_ptr<RecentChanges> recent) {
    auto opened = sqlite::Database::open_read_only(file);
    if (!opened) return fail(std::move(opened.error()));
    auto database = std::make_unique<sqlite::Database>(std::move(*opened));
    if (auto known = check_ledger_schema(*database); !known) return fail(std::move(known.error()));
    auto reads = LedgerReads::prepare(*database, std::move(recent));
    if (!reads) return fail(std::move(reads.error()));
    return std::unique_ptr<SqliteReader>(
        new SqliteReader(std::unique_ptr<Impl>(new Impl{std::move(database), std::move(*reads)})));
}

std::optional<std::string> SqliteReader::get(Table table, std::string_view key) const {
    return impl_->reads.get(table, key);
}
void SqliteReader::scan(Table table, std::string_view from, const Visit& visit) const {
    impl_->reads.scan(table, from, visit);
}
std::uint64_t SqliteReader::leaf_count() const {
    return impl_->reads.leaf_count();
}
std::optional<std::string> SqliteReader::leaf(std::uint64_t index) const {
    return impl_->reads.leaf(index);
}
std::optional<std::string> SqliteReader::tile(unsigned level, std::uint64_t index) const {
    return impl_->reads.tile(level, index);
}
void SqliteReader::commit(const Changes&) {
    throw StoreFailure("the ledger was opened for reading only");
}
void SqliteReader::end_reading() const noexcept {
    impl_->reads.forget_snapshot();
}

}  // namespace ee::ledger

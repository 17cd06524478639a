#include "registry/sqlite/allowlist_store.h"

#include "sqlite/database.h"
#include "sqlite/schema.h"
#include "sqlite/transaction.h"

namespace ee::registry {
namespace {

// Each step brings the schema from its index to the next version. Steps are only ever added.
constexpr const char* migrations[] = {
    R"(CREATE TABLE allowlists (
           repo TEXT NOT NULL,
           tag TEXT NOT NULL,
           accepted_asset TEXT NOT NULL,
           published_asset TEXT,
           release_etag TEXT NOT NULL,
           asset_etag TEXT NOT NULL,
           asset_url TEXT NOT NULL,
           checked_at_ms INTEGER NOT NULL,
           PRIMARY KEY (repo, tag)
       ) STRICT, WITHOUT ROWID;)",
    R"(CREATE TABLE forgotten_allowlists (
           repo TEXT NOT NULL,
           tag TEXT NOT NULL,
           accepted_sha256 TEXT NOT NULL,
           PRIMARY KEY (repo, tag)
       ) STRICT, WITHOUT ROWID;)",
};

constexpr std::string_view component = "allowlists";

constexpr std::string_view save_sql =
    "INSERT INTO allowlists (repo, tag, accepted_asset, published_asset, release_etag, asset_etag, "
    "asset_url, "
    "checked_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (repo, tag) DO UPDATE SET "
    "accepted_asset = ?3, published_asset = ?4, release_etag = ?5, asset_etag = ?6, asset_url = ?7, "
    "checked_at_ms = ?8";
constexpr std::string_view remove_sql = "DELETE FROM allowlists WHERE repo = ?1 AND tag = ?2";
constexpr std::string_view forget_sql =
    "INSERT OR REPLACE INTO forgotten_allowlists (repo, tag, accepted_sha256) VALUES (?1, ?2, ?3)";
// What was saved later than it was forgotten counts.
constexpr std::string_view accepted_sql =
    "SELECT accepted_asset, '' FROM allowlists WHERE repo = ?1 AND tag = ?2 UNION ALL "
    "SELECT '', accepted_sha256 FROM forgotten_allowlists WHERE repo = ?1 AND tag = ?2 LIMIT 1";
// The latest first: when not all are taken, these are.
constexpr std::string_view load_sql =
    "SELECT repo, tag, accepted_asset, published_asset, release_etag, asset_etag, asset_url, checked_at_ms "
    "FROM allowlists ORDER BY checked_at_ms DESC, repo, tag";

}  // namespace

class AllowlistStore::Impl {
public:
    Impl(sqlite::Database opened, sqlite::Statement save_statement, sqlite::Statement remove_statement,
         sqlite::Statement forget_statement, sqlite::Statement accepted_statement)
        : database(std::move(opened)),
          save(std::move(save_statement)),
          remove(std::move(remove_statement)),
          forget(std::move(forget_statement)),
          accepted(std::move(accepted_statement)) {}

    sqlite::Database database;
    sqlite::Statement save;
    sqlite::Statement remove;
    sqlite::Statement forget;
    sqlite::Statement accepted;
};

AllowlistStore::AllowlistStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AllowlistStore::~AllowlistStore() = default;

Result<std::unique_ptr<AllowlistStore>> AllowlistStore::open(const std::filesystem::path& file,
                                                             sqlite::Writers* writers) {
    auto database = sqlite::Database::open(file, writers);
    if (!database) return fail(std::move(database.error()));
    if (auto migrated = sqlite::migrate(*database, component, migrations); !migrated)
        return fail(std::move(migrated.error()));
    auto save = database->prepare(save_sql);
    if (!save) return fail(std::move(save.error()));
    auto remove = database->prepare(remove_sql);
    if (!remove) return fail(std::move(remove.error()));
    auto forget = database->prepare(forget_sql);
    if (!forget) return fail(std::move(forget.error()));
    auto accepted = database->prepare(accepted_sql);
    if (!accepted) return fail(std::move(accepted.error()));
    auto impl = std::make_unique<Impl>(std::move(*database), std::move(*save), std::move(*remove),
                                       std::move(*forget), std::move(*accepted));
    return std::unique_ptr<AllowlistStore>(new AllowlistStore(std::move(impl)));
}

Result<std::vector<AllowlistRecord>> AllowlistStore::load_all() {
    auto statement = impl_->database.prepare(load_sql);
    if (!statement) return fail(std::move(statement.error()));
    std::vector<AllowlistRecord> records;
    for (;;) {
        const auto row = statement->step();
        if (!row) return fail(row.error());
        if (!*row) return records;
        AllowlistRecord record{.repo = statement->text(0),
                               .tag = statement->text(1),
                               .accepted_asset = statement->text(2),
                               .release_etag = statement->text(4),
                               .asset_etag = statement->text(5),
                               .asset_url = statement->text(6),
                               .checked_at = from_ms(statement->number(7))};
        if (!statement->is_null(3)) record.published_asset = statement->text(3);
        records.push_back(std::move(record));
    }
}

Result<void> AllowlistStore::save(const AllowlistRecord& record) {
    auto transaction = sqlite::Transaction::begin(impl_->database);
    if (!transaction) return fail(std::move(transaction.error()));
    sqlite::Statement& save = impl_->save;
    save.bind(1, record.repo).bind(2, record.tag).bind(3, record.accepted_asset);
    if (record.published_asset)
        save.bind(4, *record.published_asset);
    else
        save.bind_null(4);
    save.bind(5, record.release_etag).bind(6, record.asset_etag).bind(7, record.asset_url);
    auto saved = save.bind(8, to_ms(record.checked_at)).run();
    return saved ? transaction->commit() : saved;
}

Result<void> AllowlistStore::forget(const std::string& repo, const std::string& tag,
                                    const std::string& accepted_sha256) {
    auto transaction = sqlite::Transaction::begin(impl_->database);
    if (!transaction) return fail(std::move(transaction.error()));
    auto kept = impl_->forget.bind(1, repo).bind(2, tag).bind(3, accepted_sha256).run();
    if (!kept) return kept;
    auto removed = impl_->remove.bind(1, repo).bind(2, tag).run();
    return removed ? transaction->commit() : removed;
}

Result<std::optional<AllowlistStore::Accepted>> AllowlistStore::accepted(const std::string& repo,
                                                                         const std::string& tag) {
    sqlite::Statement& statement = impl_->accepted;
    const auto row = statement.bind(1, repo).bind(2, tag).step();
    std::optional<Accepted> out;
    if (row && *row) out = Accepted{.asset = statement.text(0), .sha256 = statement.text(1)};
    statement.reset();
    if (!row) return fail(row.error());
    return out;
}

}  // namespace ee::registry

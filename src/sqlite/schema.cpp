#include "sqlite/schema.h"

#include <fmt/format.h>

#include "sqlite/transaction.h"

namespace ee::sqlite {
namespace {

constexpr const char* versions_sql =
    "CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) "
    "STRICT;";

Result<void> take_step(Database& database, std::string_view component, const char* step,
                       std::int64_t version) {
    auto transaction = Transaction::begin(database);
    if (!transaction) return fail(std::move(transaction.error()));
    const std::string sql = fmt::format(
        "{}{} INSERT INTO schema_versions VALUES ('{}', {}) ON CONFLICT (component) DO UPDATE SET version = "
        "excluded.version;",
        versions_sql, step, component, version);
    if (auto done = database.execute(sql); !done) return done;
    return transaction->commit();
}

}  // namespace

Result<std::int64_t> schema_version(Database& database, std::string_view component) {
    auto there = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'");
    if (!there) return fail(std::move(there.error()));
    const auto has_versions = there->step();
    if (!has_versions) return fail(has_versions.error());
    if (!*has_versions) return 0;
    auto statement = database.prepare("SELECT version FROM schema_versions WHERE component = ?1");
    if (!statement) return fail(std::move(statement.error()));
    const auto row = statement->bind(1, component).step();
    if (!row) return fail(row.error());
    return *row ? statement->number(0) : 0;
}

Result<void> migrate(Database& database, std::string_view component, std::span<const char* const> steps) {
    const auto version = schema_version(database, component);
    if (!version) return fail(version.error());
    const auto known = static_cast<std::int64_t>(steps.size());
    if (*version > known) {
        return fail("store_schema_newer", fmt::format("\"{}\" has schema {}, this program knows {} at most",
                                                      component, *version, known));
    }
    for (std::int64_t next = *version; next < known; ++next) {
        if (auto done = take_step(database, component, steps[static_cast<std::size_t>(next)], next + 1);
            !done)
            return done;
    }
    return {};
}

}  // namespace ee::sqlite

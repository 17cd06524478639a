#include "registry/sqlite/schema.h"

#include <fmt/format.h>

namespace ee::registry {
namespace {

constexpr const char* versions_sql =
    "CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) "
    "STRICT;";

Result<std::int64_t> stored_version(Database& database, std::string_view component) {
    auto statement = database.prepare("SELECT version FROM schema_versions WHERE component = ?1");
    if (!statement) return fail(std::move(statement.error()));
    const auto row = statement->bind(1, component).step();
    if (!row) return fail(row.error());
    return *row ? statement->number(0) : 0;
}

}  // namespace

Result<void> migrate(Database& database, std::string_view component, std::span<const char* const> steps) {
    if (auto made = database.execute(versions_sql); !made) return made;
    const auto version = stored_version(database, component);
    if (!version) return fail(version.error());
    const auto known = static_cast<std::int64_t>(steps.size());
    if (*version > known) {
        return fail("store_schema_newer", fmt::format("\"{}\" has schema {}, this program knows {} at most",
                                                      component, *version, known));
    }
    for (std::int64_t next = *version; next < known; ++next) {
        const std::string step = fmt::format(
            "BEGIN IMMEDIATE; {} INSERT INTO schema_versions VALUES ('{}', {}) ON CONFLICT (component) DO "
            "UPDATE SET version = excluded.version; COMMIT;",
            steps[static_cast<std::size_t>(next)], component, next + 1);
        if (auto done = database.execute(step); !done) return done;
    }
    return {};
}

}  // namespace ee::registry

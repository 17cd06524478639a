#include "registry/sqlite/network_identity.h"

#include "sqlite/database.h"
#include "sqlite/schema.h"

namespace ee::registry {
namespace {

// SQLite's generator is seeded by the system; the id is public, it only has to be nobody else's.
constexpr const char* migrations[] = {
    R"(CREATE TABLE network_identity (
           only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
           log_id TEXT NOT NULL
       ) STRICT;
       INSERT INTO network_identity VALUES (1, lower(hex(randomblob(16))));)",
};

}  // namespace

Result<std::string> load_log_id(const std::filesystem::path& file) {
    auto database = sqlite::Database::open(file);
    if (!database) return fail(std::move(database.error()));
    if (auto done = sqlite::migrate(*database, "network_identity", migrations); !done)
        return fail(std::move(done.error()));
    auto statement = database->prepare("SELECT log_id FROM network_identity");
    if (!statement) return fail(std::move(statement.error()));
    const auto row = statement->step();
    if (!row) return fail(row.error());
    if (!*row) return fail("store_unavailable", file.string() + " has lost its log id");
    return statement->text(0);
}

}  // namespace ee::registry

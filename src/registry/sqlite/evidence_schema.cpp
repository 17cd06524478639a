#include "registry/sqlite/evidence_schema.h"

#include "sqlite/schema.h"

namespace ee::registry {
namespace {

// `bytes` stands beside the record so that their sum needs only the index.
constexpr const char* migrations[] = {
    R"(CREATE TABLE evidence (
           seq INTEGER PRIMARY KEY,
           app_name TEXT NOT NULL,
           id TEXT NOT NULL,
           agent TEXT NOT NULL,
           judged_at_ms INTEGER NOT NULL,
           bytes INTEGER NOT NULL,
           record TEXT NOT NULL,
           UNIQUE (app_name, id)
       ) STRICT;
       CREATE INDEX evidence_by_agent ON evidence (app_name, agent, judged_at_ms);
       CREATE INDEX evidence_by_age ON evidence (judged_at_ms, bytes);
       CREATE TABLE evidence_contents (
           content INTEGER PRIMARY KEY,
           sha256 TEXT NOT NULL UNIQUE,
           kind TEXT NOT NULL,
           bytes BLOB NOT NULL
       ) STRICT;
       CREATE TABLE evidence_refers (
           evidence INTEGER NOT NULL,
           content INTEGER NOT NULL,
           PRIMARY KEY (evidence, content)
       ) STRICT, WITHOUT ROWID;
       CREATE INDEX evidence_referred ON evidence_refers (content);
       CREATE TRIGGER evidence_deleted AFTER DELETE ON evidence BEGIN
           DELETE FROM evidence_refers WHERE evidence = OLD.seq;
       END;)",
    // Most refer to what the one before did: `refers` names the first that referred to this very set, and its
    // references stand for all of them.
    R"(ALTER TABLE evidence ADD COLUMN refers INTEGER NOT NULL DEFAULT 0;
       UPDATE evidence SET refers = seq;
       CREATE INDEX evidence_by_references ON evidence (refers);
       DROP TRIGGER evidence_deleted;
       CREATE TRIGGER evidence_deleted AFTER DELETE ON evidence BEGIN
           DELETE FROM evidence_refers WHERE evidence = OLD.refers
               AND NOT EXISTS (SELECT 1 FROM evidence WHERE refers = OLD.refers);
       END;)",
};

constexpr std::string_view delete_outdated_sql =
    "DELETE FROM evidence WHERE judged_at_ms < ?1 AND EXISTS (SELECT 1 FROM evidence newer "
    "WHERE newer.app_name = evidence.app_name AND newer.agent = evidence.agent "
    "AND newer.judged_at_ms > evidence.judged_at_ms)";
constexpr std::string_view delete_old_sql = "DELETE FROM evidence WHERE judged_at_ms < ?1";
constexpr std::string_view sum_sql = "SELECT coalesce(sum(bytes), 0) FROM evidence";
// The oldest that together make up what is too much.
constexpr std::string_view delete_surplus_sql =
    "DELETE FROM evidence WHERE seq IN (SELECT seq FROM (SELECT seq, sum(bytes) OVER "
    "(ORDER BY judged_at_ms, seq) - bytes AS older FROM evidence) WHERE older < ?1)";
constexpr std::string_view delete_contents_sql =
    "DELETE FROM evidence_contents WHERE NOT EXISTS (SELECT 1 FROM evidence_refers "
    "WHERE evidence_refers.content = evidence_contents.content) RETURNING content";

Result<void> delete_where(sqlite::Database& database, std::string_view sql, std::int64_t bound) {
    auto statement = database.prepare(sql);
    if (!statement) return fail(std::move(statement.error()));
    return statement->bind(1, bound).run();
}

}  // namespace

Result<void> migrate_evidence(sqlite::Database& database) {
    return sqlite::migrate(database, "evidence", migrations);
}

Result<bool> prune_evidence(sqlite::Database& database, const EvidenceLimits& limits, std::int64_t now_ms) {
    if (auto done = delete_where(database, delete_outdated_sql, now_ms - limits.life_ms); !done)
        return fail(std::move(done.error()));
    if (auto done = delete_where(database, delete_old_sql, now_ms - limits.newest_life_ms); !done)
        return fail(std::move(done.error()));
    auto sum = database.prepare(sum_sql);
    if (!sum) return fail(std::move(sum.error()));
    if (const auto row = sum->step(); !row) return fail(row.error());
    const std::int64_t surplus = sum->number(0) - limits.bytes_max;
    if (surplus > 0) {
        if (auto done = delete_where(database, delete_surplus_sql, surplus); !done)
            return fail(std::move(done.error()));
    }
    auto contents = database.prepare(delete_contents_sql);
    if (!contents) return fail(std::move(contents.error()));
    bool deleted = false;
    for (;;) {
        const auto row = contents->step();
        if (!row) return fail(row.error());
        if (!*row) return deleted;
        deleted = true;
    }
}

}  // namespace ee::registry

#include "registry/sqlite/challenge_records.h"

#include <algorithm>

#include "sqlite/schema.h"

namespace ee::registry {
namespace {

constexpr std::int64_t hour_ms = 3600 * 1000;
// An agent keeps its key for as long as it runs: it need not be written at each challenge.
constexpr std::int64_t key_renewal_ms = 24 * hour_ms;
// So many more are deleted at once than are kept.
constexpr std::size_t pruned_min = 64;
// Half a digest tells challenges apart as well, at half the room.
constexpr std::size_t digest_size = 16;

// Digests are random: by hour, the pages that a transaction changes are few, whatever 30 days come to. To
// find one takes a look into each hour, and is rare.
constexpr const char* migrations[] = {
    R"(CREATE TABLE challenges (
           hour INTEGER NOT NULL,
           report_data BLOB NOT NULL,
           agent_id TEXT NOT NULL,
           app_name TEXT NOT NULL,
           node_id TEXT NOT NULL,
           at_ms INTEGER NOT NULL,
           PRIMARY KEY (hour, report_data)
       ) STRICT, WITHOUT ROWID;
       CREATE TABLE agent_keys (
           key BLOB PRIMARY KEY,
           agent_id TEXT NOT NULL,
           app_name TEXT NOT NULL,
           node_id TEXT NOT NULL,
           at_ms INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID;
       CREATE INDEX agent_keys_by_age ON agent_keys (at_ms);)",
};

constexpr std::string_view keep_sql = "INSERT OR IGNORE INTO challenges VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr std::string_view find_key_sql =
    "SELECT agent_id, app_name, node_id, at_ms FROM agent_keys WHERE key = ?1";
constexpr std::string_view keep_key_sql = "INSERT OR REPLACE INTO agent_keys VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr std::string_view delete_old_sql =
    "DELETE FROM challenges WHERE (hour, report_data) IN "
    "(SELECT hour, report_data FROM challenges WHERE hour < ?1 ORDER BY hour LIMIT ?2)";
constexpr std::string_view delete_old_keys_sql =
    "DELETE FROM agent_keys WHERE key IN (SELECT key FROM agent_keys WHERE at_ms < ?1 LIMIT ?2)";

std::int64_t oldest_ms(WallTime now) {
    return to_ms(now - challenge_life);
}

// Of columns agent_id, app_name, node_id, at_ms.
ChallengeRecord read_record(const sqlite::Statement& statement) {
    ChallengeRecord out;
    out.agent_id = statement.text(0);
    out.app_name = statement.text(1);
    out.node_id = statement.text(2);
    out.at = from_ms(statement.number(3));
    return out;
}

}  // namespace

// From an hour after now on, for a clock that was set back.
const std::string_view ChallengeRecords::find_sql =
    "WITH RECURSIVE hours(h) AS (VALUES (?1) UNION ALL SELECT h - 1 FROM hours WHERE h > ?2) "
    "SELECT agent_id, app_name, node_id, at_ms FROM hours CROSS JOIN challenges "
    "WHERE hour = h AND report_data = ?3 AND at_ms >= ?4 LIMIT 1";

Result<ChallengeRecords> ChallengeRecords::open(sqlite::Database& database) {
    if (auto done = sqlite::migrate(database, "challenges", migrations); !done)
        return fail(std::move(done.error()));
    auto keep = database.prepare(keep_sql), find_key = database.prepare(find_key_sql);
    auto keep_key = database.prepare(keep_key_sql), delete_old = database.prepare(delete_old_sql);
    auto delete_old_keys = database.prepare(delete_old_keys_sql);
    for (auto* statement : {&keep, &find_key, &keep_key, &delete_old, &delete_old_keys})
        if (!*statement) return fail(std::move(statement->error()));
    return ChallengeRecords({std::move(*keep), std::move(*find_key), std::move(*keep_key),
                             std::move(*delete_old), std::move(*delete_old_keys)});
}

Result<void> ChallengeRecords::keep(const ChallengeRecord& record) {
    statements_.keep.bind(1, to_ms(record.at) / hour_ms)
        .bind(2, ByteSpan(record.report_data_sha256).first(digest_size))
        .bind(3, record.agent_id)
        .bind(4, record.app_name)
        .bind(5, record.node_id)
        .bind(6, to_ms(record.at));
    if (auto done = statements_.keep.run(); !done) return done;
    return record.agent_key && !record.node_id.empty() ? keep_key(record) : Result<void>();
}

// The node that a key was attested under first stays on record.
Result<void> ChallengeRecords::keep_key(const ChallengeRecord& record) {
    auto& find = statements_.find_key;
    const auto row = find.bind(1, ByteSpan(*record.agent_key)).step();
    std::optional<ChallengeRecord> known;
    if (row && *row) known = read_record(find);
    find.reset();
    if (!row) return fail(row.error());
    if (known && to_ms(known->at) < oldest_ms(record.at)) known.reset();
    if (known && known->node_id != record.node_id) {
        shared_.push_back({record, std::move(*known)});
        return {};
    }
    if (known && to_ms(record.at) - to_ms(known->at) < key_renewal_ms) return {};
    return statements_.keep_key.bind(1, ByteSpan(*record.agent_key))
        .bind(2, record.agent_id)
        .bind(3, record.app_name)
        .bind(4, record.node_id)
        .bind(5, to_ms(record.at))
        .run();
}

Result<void> ChallengeRecords::prune(WallTime now, std::size_t kept) {
    const auto most = static_cast<std::int64_t>(2 * kept + pruned_min);
    if (auto done = statements_.delete_old.bind(1, oldest_ms(now) / hour_ms).bind(2, most).run(); !done)
        return done;
    return statements_.delete_old_keys.bind(1, oldest_ms(now)).bind(2, most).run();
}

Result<std::optional<ChallengeRecord>> ChallengeRecords::find(sqlite::Statement& statement,
                                                              const ByteArray<32>& report_data_sha256,
                                                              WallTime now) {
    statement.bind(1, to_ms(now) / hour_ms + 1)
        .bind(2, oldest_ms(now) / hour_ms)
        .bind(3, ByteSpan(report_data_sha256).first(digest_size))
        .bind(4, oldest_ms(now));
    const auto row = statement.step();
    if (!row) return fail(row.error());
    if (!*row) return std::optional<ChallengeRecord>();
    ChallengeRecord found = read_record(statement);
    found.report_data_sha256 = report_data_sha256;
    return found;
}

}  // namespace ee::registry

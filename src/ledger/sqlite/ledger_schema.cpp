#include "ledger/sqlite/ledger_schema.h"

#include <fmt/format.h>

#include "sqlite/backup.h"
#include "sqlite/schema.h"

namespace ee::ledger {
namespace {

constexpr std::string_view component = "ledger";

// Each step brings the schema from its index to the next version. Steps are only ever added.
//
// What the log and the journal hold stays as it was written. INSERT OR REPLACE deletes without asking the
// triggers on DELETE, so those on INSERT refuse it. Leaves have no gap.
constexpr const char* migrations[] = {
    R"(CREATE TABLE ledger_meta (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_accounts (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_payments (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_tokens (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_keys (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_locks (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_held_locks (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_reports (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_node_cells (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_units (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_open_units (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_moving_units (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_unit_accounts (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_nodes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_terms (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_standing (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_abuse (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_abuse_by_node (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_slots (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_observations (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_seen (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_outages (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_slashings (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_causes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_earnings (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_checkpoints (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_log_keys (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;

       CREATE TABLE ledger_leaves (
           first_leaf INTEGER PRIMARY KEY,
           leaf_count INTEGER NOT NULL CHECK (leaf_count > 0),
           leaves BLOB NOT NULL  -- each with its length before it, 4 bytes
       ) STRICT;
       CREATE TABLE ledger_tiles (
           level INTEGER NOT NULL,
           tile_index INTEGER NOT NULL,
           hashes BLOB NOT NULL,
           PRIMARY KEY (level, tile_index)
       ) WITHOUT ROWID, STRICT;

       CREATE TRIGGER ledger_entries_unchanged BEFORE UPDATE ON ledger_entries BEGIN
           SELECT RAISE(ABORT, 'entries are never changed');
       END;
       CREATE TRIGGER ledger_entries_kept BEFORE DELETE ON ledger_entries BEGIN
           SELECT RAISE(ABORT, 'entries are never deleted');
       END;
       CREATE TRIGGER ledger_entries_not_replaced BEFORE INSERT ON ledger_entries
       WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE key = NEW.key) BEGIN
           SELECT RAISE(ABORT, 'entries are never replaced');
       END;
       CREATE TRIGGER ledger_leaves_unchanged BEFORE UPDATE ON ledger_leaves BEGIN
           SELECT RAISE(ABORT, 'leaves are never changed');
       END;
       CREATE TRIGGER ledger_leaves_kept BEFORE DELETE ON ledger_leaves BEGIN
           SELECT RAISE(ABORT, 'leaves are never deleted');
       END;
       CREATE TRIGGER ledger_leaves_appended BEFORE INSERT ON ledger_leaves
       WHEN NEW.first_leaf <> coalesce(
           (SELECT first_leaf + leaf_count FROM ledger_leaves ORDER BY first_leaf DESC LIMIT 1), 0) BEGIN
           SELECT RAISE(ABORT, 'leaves are appended, each after the one before');
       END;
       CREATE TRIGGER ledger_tiles_unchanged BEFORE UPDATE ON ledger_tiles BEGIN
           SELECT RAISE(ABORT, 'tiles are never changed');
       END;
       CREATE TRIGGER ledger_tiles_kept BEFORE DELETE ON ledger_tiles BEGIN
           SELECT RAISE(ABORT, 'tiles are never deleted');
       END;
       CREATE TRIGGER ledger_tiles_not_replaced BEFORE INSERT ON ledger_tiles
       WHEN EXISTS (SELECT 1 FROM ledger_tiles WHERE level = NEW.level AND tile_index = NEW.tile_index) BEGIN
           SELECT RAISE(ABORT, 'tiles are never replaced');
       END;)",
    R"(CREATE TABLE ledger_settled_locks (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_audit (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;)",
    R"(CREATE TABLE ledger_recent (
           number INTEGER PRIMARY KEY,  -- of a commit
           changes BLOB NOT NULL        -- recent_changes.h
       ) STRICT;
       CREATE TRIGGER ledger_recent_unchanged BEFORE UPDATE ON ledger_recent BEGIN
           SELECT RAISE(ABORT, 'what a commit changed is never changed');
       END;
       CREATE TRIGGER ledger_recent_appended BEFORE INSERT ON ledger_recent
       WHEN NEW.number <> (SELECT max(number) FROM ledger_recent) + 1 BEGIN
           SELECT RAISE(ABORT, 'commits are numbered, each after the one before');
       END;
       CREATE TRIGGER ledger_recent_kept BEFORE DELETE ON ledger_recent
       WHEN OLD.number = (SELECT max(number) FROM ledger_recent)
           OR OLD.number <> (SELECT min(number) FROM ledger_recent) BEGIN
           SELECT RAISE(ABORT, 'what commits changed goes in their order, and never the last');
       END;)",
    // Those that a commit meets. For ABORT SQLite keeps what each page was before a statement changes it, so
    // that it can undo the statement alone; nobody goes on after one that failed.
    R"(DROP TRIGGER ledger_entries_not_replaced;
       CREATE TRIGGER ledger_entries_not_replaced BEFORE INSERT ON ledger_entries
       WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE key = NEW.key AND value <> NEW.value) BEGIN
           SELECT RAISE(ROLLBACK, 'entries are never replaced');
       END;
       DROP TRIGGER ledger_leaves_appended;
       CREATE TRIGGER ledger_leaves_appended BEFORE INSERT ON ledger_leaves
       WHEN NEW.first_leaf <> coalesce(
           (SELECT first_leaf + leaf_count FROM ledger_leaves ORDER BY first_leaf DESC LIMIT 1), 0) BEGIN
           SELECT RAISE(ROLLBACK, 'leaves are appended, each after the one before');
       END;
       DROP TRIGGER ledger_tiles_not_replaced;
       CREATE TRIGGER ledger_tiles_not_replaced BEFORE INSERT ON ledger_tiles
       WHEN EXISTS (SELECT 1 FROM ledger_tiles WHERE level = NEW.level AND tile_index = NEW.tile_index) BEGIN
           SELECT RAISE(ROLLBACK, 'tiles are never replaced');
       END;
       DROP TRIGGER ledger_recent_appended;
       CREATE TRIGGER ledger_recent_appended BEFORE INSERT ON ledger_recent
       WHEN NEW.number <> (SELECT max(number) FROM ledger_recent) + 1 BEGIN
           SELECT RAISE(ROLLBACK, 'commits are numbered, each after the one before');
       END;
       DROP TRIGGER ledger_recent_kept;
       CREATE TRIGGER ledger_recent_kept BEFORE DELETE ON ledger_recent
       WHEN OLD.number = (SELECT max(number) FROM ledger_recent)
           OR OLD.number <> (SELECT min(number) FROM ledger_recent) BEGIN
           SELECT RAISE(ROLLBACK, 'what commits changed goes in their order, and never the last');
       END;)",
    R"(CREATE TABLE ledger_answers (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;)",
    // What is appended by its number (appended_rows.h). A key's 16 hexadecimal digits make it; calls have
    // their keys' complement.
    R"(ALTER TABLE ledger_answers RENAME TO ledger_answers_by_key;
       ALTER TABLE ledger_checkpoints RENAME TO ledger_checkpoints_by_key;
       ALTER TABLE ledger_audit RENAME TO ledger_audit_by_key;
       CREATE TABLE ledger_answers (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
       CREATE TABLE ledger_checkpoints (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
       CREATE TABLE ledger_audit (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
       CREATE TABLE ledger_digits (place INTEGER PRIMARY KEY) STRICT;
       INSERT INTO ledger_digits VALUES
           (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16);
       INSERT INTO ledger_answers SELECT
           (SELECT sum(instr('123456789ABCDEF', substr(hex(key), place, 1)) << (64 - 4 * place))
            FROM ledger_digits), value FROM ledger_answers_by_key ORDER BY key;
       INSERT INTO ledger_checkpoints SELECT
           (SELECT sum(instr('123456789ABCDEF', substr(hex(key), place, 1)) << (64 - 4 * place))
            FROM ledger_digits), value FROM ledger_checkpoints_by_key ORDER BY key;
       INSERT INTO ledger_audit SELECT
           (SELECT ~sum(instr('123456789ABCDEF', substr(hex(key), place, 1)) << (64 - 4 * place))
            FROM ledger_digits), value FROM ledger_audit_by_key ORDER BY key DESC;
       DROP TABLE ledger_digits;
       DROP TABLE ledger_answers_by_key;
       DROP TABLE ledger_checkpoints_by_key;
       DROP TABLE ledger_audit_by_key;)",
    R"(CREATE TABLE ledger_observation_lists (key BLOB PRIMARY KEY, value BLOB NOT NULL)
           WITHOUT ROWID, STRICT;
       CREATE TABLE ledger_observation_list_names (key BLOB PRIMARY KEY, value BLOB NOT NULL)
           WITHOUT ROWID, STRICT;)",
    // Tiles have row numbers, too (tile_number()): an inner page had four.
    R"(ALTER TABLE ledger_tiles RENAME TO ledger_tiles_by_level;
       CREATE TABLE ledger_tiles (number INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
       INSERT INTO ledger_tiles
           SELECT (level << 56) | tile_index, hashes FROM ledger_tiles_by_level ORDER BY level, tile_index;
       DROP TABLE ledger_tiles_by_level;
       CREATE TRIGGER ledger_tiles_unchanged BEFORE UPDATE ON ledger_tiles BEGIN
           SELECT RAISE(ABORT, 'tiles are never changed');
       END;
       CREATE TRIGGER ledger_tiles_kept BEFORE DELETE ON ledger_tiles BEGIN
           SELECT RAISE(ABORT, 'tiles are never deleted');
       END;
       CREATE TRIGGER ledger_tiles_not_replaced BEFORE INSERT ON ledger_tiles
       WHEN EXISTS (SELECT 1 FROM ledger_tiles WHERE number = NEW.number) BEGIN
           SELECT RAISE(ROLLBACK, 'tiles are never replaced');
       END;)",
};

}  // namespace

Result<void> migrate_ledger(sqlite::Database& database, const std::filesystem::path& file,
                            std::span<const char* const> steps) {
    const auto version = sqlite::schema_version(database, component);
    if (!version) return fail(version.error());
    if (*version > 0 && *version < static_cast<std::int64_t>(steps.size())) {
        const std::string copy = fmt::format("{}.ledger-{}.backup", file.string(), *version);
        if (auto kept = sqlite::back_up(file, copy); !kept) return kept;
    }
    return sqlite::migrate(database, component, steps);
}

std::span<const char* const> ledger_migrations() {
    return migrations;
}

Result<void> migrate_ledger(sqlite::Database& database, const std::filesystem::path& file) {
    return migrate_ledger(database, file, migrations);
}

Result<void> check_ledger_schema(sqlite::Database& database) {
    const auto version = sqlite::schema_version(database, component);
    if (!version) return fail(version.error());
    const auto known = static_cast<std::int64_t>(std::size(migrations));
    if (*version == known) return {};
    if (*version == 0) return fail("no_ledger", "there is no ledger in this file");
    return fail(*version > known ? "store_schema_newer" : "store_schema_older",
                fmt::format("the ledger has schema {}, this program knows {}", *version, known));
}

}  // namespace ee::ledger

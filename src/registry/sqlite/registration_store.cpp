#include "registry/sqlite/registration_store.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>

#include "registry/sqlite/record_lines.h"
#include "sqlite/database.h"
#include "sqlite/file_lock.h"
#include "sqlite/folder.h"
#include "sqlite/schema.h"
#include "sqlite/transaction.h"

namespace ee::registry {
namespace {

constexpr std::size_t waiting_max = 100000;
// How long a change waits for others that nobody waits for.
constexpr std::chrono::milliseconds gather_time{100};

// Each step brings the schema from its index to the next version. Steps are only ever added.
constexpr const char* migrations[] = {
    R"(CREATE TABLE registrations (
           app_name TEXT PRIMARY KEY,
           repo TEXT NOT NULL,
           network TEXT NOT NULL,
           release_tag TEXT NOT NULL,
           created_at_ms INTEGER NOT NULL,
           expires_at_ms INTEGER NOT NULL,
           last_attest_ms INTEGER,
           sealed INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID;)",
    R"(ALTER TABLE registrations ADD COLUMN made_by_admin INTEGER NOT NULL DEFAULT 0;
       ALTER TABLE registrations ADD COLUMN billing_account TEXT NOT NULL DEFAULT '';
       ALTER TABLE registrations ADD COLUMN token_sha256 BLOB;
       ALTER TABLE registrations ADD COLUMN nodes TEXT;
       ALTER TABLE registrations ADD COLUMN rollout TEXT NOT NULL DEFAULT '';)",
    R"(CREATE TABLE registration_answers (
           key TEXT PRIMARY KEY,
           status INTEGER NOT NULL,
           body TEXT NOT NULL
       ) STRICT, WITHOUT ROWID;)",
};

constexpr std::string_view component = "registry";

constexpr std::string_view save_sql =
    "INSERT INTO registrations (app_name, repo, network, release_tag, created_at_ms, expires_at_ms, "
    "last_attest_ms, sealed, made_by_admin, billing_account, token_sha256, nodes, rollout) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (app_name) DO UPDATE SET "
    "repo = ?2, network = ?3, release_tag = ?4, created_at_ms = ?5, expires_at_ms = ?6, last_attest_ms = ?7, "
    "sealed = ?8, made_by_admin = ?9, billing_account = ?10, token_sha256 = ?11, nodes = ?12, rollout = ?13";
constexpr std::string_view remove_sql = "DELETE FROM registrations WHERE app_name = ?1";
constexpr std::string_view load_sql =
    "SELECT app_name, repo, network, release_tag, created_at_ms, expires_at_ms, last_attest_ms, sealed, "
    "made_by_admin, billing_account, token_sha256, nodes, rollout FROM registrations ORDER BY app_name";

constexpr std::string_view keep_sql =
    "INSERT INTO registration_answers (key, status, body) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO NOTHING";
constexpr std::string_view find_sql = "SELECT status, body FROM registration_answers WHERE key = ?1";

}  // namespace

class RegistrationStore::Impl {
public:
    struct Statements {
        sqlite::Statement save, remove, keep, find;
    };

    Impl(sqlite::FileLock lock, sqlite::Database database, Statements statements)
        : lock_(std::move(lock)),
          database_(std::move(database)),
          statements_(std::move(statements)),
          writer_([this] { write_loop(); }) {}

    ~Impl() {
        {
            const std::lock_guard guard(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        writer_.join();
    }

    struct Change {
        AppRecord record{};  // Of a removal only the name.
        bool removal = false;
        bool urgent = true;
        Completion done{};
        std::optional<KeptAnswer> answer{};
        std::string sought{};  // The key of an answer that `found` is to have: then nothing is changed.
        OnAnswer found{};
    };

    void add(Change change) {
        {
            const std::lock_guard guard(mutex_);
            if (waiting_.size() < waiting_max) {
                const bool wakes = waiting_.empty() || (change.urgent && !urgent_);
                urgent_ = urgent_ || change.urgent;
                waiting_.push_back(std::move(change));
                if (wakes) wake_.notify_one();
                return;
            }
        }
        const tl::unexpected<Error> full = fail("store_unavailable", "too many changes wait for the disk");
        if (change.done) change.done(full);
        if (change.found) change.found(full);
    }

    Result<std::vector<AppRecord>> load_all() {
        auto statement = database_.prepare(load_sql);
        if (!statement) return fail(std::move(statement.error()));
        std::vector<AppRecord> records;
        for (;;) {
            const auto row = statement->step();
            if (!row) return fail(row.error());
            if (!*row) return records;
            auto record = read(*statement);
            if (!record) return fail(std::move(record.error()));
            records.push_back(std::move(*record));
        }
    }

private:
    static Result<AppRecord> read(const sqlite::Statement& row) {
        AppRecord record{.app_name = row.text(0),
                         .repo = row.text(1),
                         .network = row.text(2),
                         .release_tag = row.text(3),
                         .created_at = from_ms(row.number(4)),
                         .expires_at = from_ms(row.number(5)),
                         .sealed = row.number(7) != 0,
                         .made_by_admin = row.number(8) != 0,
                         .billing_account = row.text(9)};
        if (!row.is_null(6)) record.last_attest = from_ms(row.number(6));
        if (!row.is_null(10)) {
            record.token = ByteReader(row.blob(10)).take_array<32>();
            if (!record.token)
                return fail("store_unavailable", fmt::format("the token's hash of {} has {} bytes, not 32",
                                                             record.app_name, row.blob(10).size()));
        }
        if (!row.is_null(11)) record.nodes = nodes_from_lines(row.text(11));
        auto rollout = rollout_from_lines(row.text(12));
        if (!rollout) return fail(std::move(rollout.error()));
        record.rollout = std::move(*rollout);
        return record;
    }

    void write_loop() {
        std::vector<Change> batch;
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
                if (waiting_.empty()) return;
                wake_.wait_for(lock, gather_time, [&] { return stopping_ || urgent_; });
                batch.swap(waiting_);
                urgent_ = false;
            }
            const Result<void> written = write(batch);
            for (const Change& change : batch) {
                if (change.done) change.done(written);
                if (change.found) change.found(find(change.sought));
            }
            batch.clear();
        }
    }

    Result<void> write(const std::vector<Change>& batch) {
        auto transaction = sqlite::Transaction::begin(database_);
        if (!transaction) return fail(std::move(transaction.error()));
        std::unordered_map<std::string_view, const Change*> last;
        for (const Change& change : batch) {
            if (change.found) continue;
            last[change.record.app_name] = &change;
            if (auto kept = keep(change.answer); !kept) return kept;
        }
        for (const auto& [name, change] : last) {
            auto applied = change->removal ? statements_.remove.bind(1, name).run() : save(change->record);
            if (!applied) return applied;
        }
        return transaction->commit();
    }

    Result<void> keep(const std::optional<KeptAnswer>& answer) {
        if (!answer) return {};
        return statements_.keep.bind(1, answer->key)
            .bind(2, std::int64_t{answer->status})
            .bind(3, answer->body)
            .run();
    }

    Result<std::optional<KeptAnswer>> find(const std::string& key) {
        sqlite::Statement& statement = statements_.find;
        const auto row = statement.bind(1, key).step();
        std::optional<KeptAnswer> out;
        if (row && *row)
            out = KeptAnswer{
                .key = key, .status = static_cast<int>(statement.number(0)), .body = statement.text(1)};
        statement.reset();
        if (!row) return fail(row.error());
        return out;
    }

    Result<void> save(const AppRecord& record) {
        sqlite::Statement& save = statements_.save;
        save.bind(1, record.app_name)
            .bind(2, record.repo)
            .bind(3, record.network)
            .bind(4, record.release_tag);
        save.bind(5, to_ms(record.created_at)).bind(6, to_ms(record.expires_at));
        if (record.last_attest)
            save.bind(7, to_ms(*record.last_attest));
        else
            save.bind_null(7);
        save.bind(8, std::int64_t{record.sealed}).bind(9, std::int64_t{record.made_by_admin});
        save.bind(10, record.billing_account);
        if (record.token)
            save.bind(11, *record.token);
        else
            save.bind_null(11);
        if (record.nodes)
            save.bind(12, nodes_to_lines(*record.nodes));
        else
            save.bind_null(12);
        return save.bind(13, rollout_to_lines(record.rollout)).run();
    }

    sqlite::FileLock lock_;
    sqlite::Database database_;
    Statements statements_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Change> waiting_;
    bool urgent_ = false;  // Somebody waits for one of these.
    bool stopping_ = false;
    std::thread writer_;  // Last: it uses all of the above.
};

RegistrationStore::RegistrationStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RegistrationStore::~RegistrationStore() = default;

Result<std::unique_ptr<RegistrationStore>> RegistrationStore::open(const std::filesystem::path& file,
                                                                   sqlite::Writers* writers) {
    if (auto made = sqlite::make_folders(file.parent_path()); !made) return fail(std::move(made.error()));
    auto lock = sqlite::FileLock::take(file);
    if (!lock) return fail(std::move(lock.error()));
    auto database = sqlite::Database::open(file, writers);
    if (!database) return fail(std::move(database.error()));
    if (auto migrated = sqlite::migrate(*database, component, migrations); !migrated)
        return fail(std::move(migrated.error()));
    auto save = database->prepare(save_sql);
    if (!save) return fail(std::move(save.error()));
    auto remove = database->prepare(remove_sql), keep = database->prepare(keep_sql),
         find = database->prepare(find_sql);
    for (auto* statement : {&remove, &keep, &find})
        if (!*statement) return fail(std::move(statement->error()));
    return std::unique_ptr<RegistrationStore>(new RegistrationStore(std::make_unique<Impl>(
        std::move(*lock), std::move(*database),
        Impl::Statements{std::move(*save), std::move(*remove), std::move(*keep), std::move(*find)})));
}

Result<std::vector<AppRecord>> RegistrationStore::load_all() {
    return impl_->load_all();
}

void RegistrationStore::save(AppRecord record, Completion done, std::optional<KeptAnswer> answer) {
    impl_->add({.record = std::move(record),
                .removal = false,
                .done = std::move(done),
                .answer = std::move(answer)});
}

void RegistrationStore::save_soon(AppRecord record, Completion done) {
    impl_->add({.record = std::move(record), .removal = false, .urgent = false, .done = std::move(done)});
}

void RegistrationStore::remove(std::string app_name, Completion done) {
    impl_->add({.record = {.app_name = std::move(app_name)}, .removal = true, .done = std::move(done)});
}

void RegistrationStore::find_answer(std::string key, OnAnswer found) {
    impl_->add({.sought = std::move(key), .found = std::move(found)});
}

}  // namespace ee::registry

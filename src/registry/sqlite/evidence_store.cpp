#include "registry/sqlite/evidence_store.h"

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/thread_priority.h"
#include "sqlite/transaction.h"

namespace ee::registry {
namespace {

constexpr std::size_t waiting_max = 4096;
constexpr std::size_t known_sets_max = 4096;
constexpr std::size_t gathered_max = 512;  // so many do not wait for more
constexpr std::chrono::seconds write_wait{2};
constexpr std::int64_t prune_interval_ms = 60 * 1000;

constexpr std::string_view replace_sql = "DELETE FROM evidence WHERE app_name = ?1 AND id = ?2";
constexpr std::string_view keep_sql =
    "INSERT INTO evidence (app_name, id, agent, judged_at_ms, bytes, record, refers) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr std::string_view refer_sql = "INSERT OR IGNORE INTO evidence_refers VALUES (?1, ?2)";
constexpr std::string_view refer_to_own_sql = "UPDATE evidence SET refers = seq WHERE seq = ?1";
constexpr std::string_view keep_content_sql =
    "INSERT INTO evidence_contents (sha256, kind, bytes) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (sha256) DO UPDATE SET sha256 = ?1 RETURNING content";
constexpr std::string_view find_sql =
    "SELECT seq, record FROM evidence WHERE app_name = ?1 AND id = ?2 AND judged_at_ms >= ?3";
constexpr std::string_view newest_sql =
    "SELECT seq, record FROM evidence WHERE app_name = ?1 AND agent = ?2 ORDER BY judged_at_ms DESC LIMIT 1";
constexpr std::string_view references_of_sql =
    "SELECT sha256, kind FROM evidence JOIN evidence_refers ON evidence_refers.evidence = evidence.refers "
    "JOIN evidence_contents USING (content) WHERE seq = ?1";
constexpr std::string_view content_sql = "SELECT kind, bytes FROM evidence_contents WHERE sha256 = ?1";

// Runs a statement that answers one number.
Result<std::int64_t> number_of(sqlite::Statement& statement) {
    const auto row = statement.step();
    const std::int64_t number = row ? statement.number(0) : 0;
    statement.reset();
    if (!row) return fail(row.error());
    return number;
}

}  // namespace

class EvidenceStore::Impl {
public:
    struct Statements {
        sqlite::Statement replace, keep, refer, refer_to_own, keep_content;
    };

    Impl(sqlite::Database written, sqlite::Database read, Statements statements, ChallengeRecords challenges,
         OnFailure on_failure, const EvidenceLimits& limits)
        : written_(std::move(written)),
          read_(std::move(read)),
          statements_(std::move(statements)),
          challenges_(std::move(challenges)),
          on_failure_(std::move(on_failure)),
          limits_(limits),
          writer_([this] { write_loop(); }) {}

    ~Impl() {
        {
            const std::lock_guard guard(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        writer_.join();
    }

    void on_shared_key(OnSharedKey told) {
        const std::lock_guard guard(told_mutex_);
        on_shared_key_ = std::move(told);
    }

    void keep(EvidenceRecord record) {
        {
            const std::lock_guard guard(mutex_);
            if (waiting_.size() < waiting_max) {
                waiting_.push_back(std::move(record));
                ++kept_;
                if (waiting_.size() == 1 || waiting_.size() == gathered_max) changed_.notify_all();
                return;
            }
        }
        on_failure_({"store_unavailable", "too many pieces of evidence wait for the disk"});
    }

    // Waits for what was kept before, then reads.
    template <class Read>
    auto read(std::string_view sql, Read read_rows) const
        -> decltype(read_rows(std::declval<sqlite::Statement&>())) {
        {
            std::unique_lock lock(mutex_);
            wanted_ = kept_;
            changed_.notify_all();
            changed_.wait_for(lock, write_wait, [this, until = kept_] { return done_ >= until; });
        }
        const std::lock_guard reading(read_mutex_);
        auto statement = read_.prepare(sql);
        if (!statement) return fail(std::move(statement.error()));
        return read_rows(*statement);
    }

    const EvidenceLimits& limits() const { return limits_; }

private:
    void write_loop() {
        become_background_thread();
        std::vector<EvidenceRecord> batch;
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
                if (waiting_.empty()) return;
                // A page of an index is written once a transaction, however many records it names.
                changed_.wait_for(lock, limits_.gather_time, [&] {
                    return stopping_ || wanted_ > done_ || waiting_.size() >= gathered_max;
                });
                batch.swap(waiting_);
            }
            if (const auto written = write(batch); !written) {
                forget_known();  // Rolled back, too.
                on_failure_(written.error());
            }
            tell_shared_keys();
            {
                const std::lock_guard guard(mutex_);
                done_ += batch.size();
            }
            changed_.notify_all();
            batch.clear();
        }
    }

    // Also where the transaction failed: both were judged good.
    void tell_shared_keys() {
        for (const SharedKey& shared : challenges_.take_shared_keys()) {
            const std::lock_guard guard(told_mutex_);
            if (on_shared_key_) on_shared_key_(shared);
        }
    }

    Result<void> write(const std::vector<EvidenceRecord>& batch) {
        auto transaction = sqlite::Transaction::begin(written_);
        if (!transaction) return fail(std::move(transaction.error()));
        auto applied = write_all(batch);
        return applied ? transaction->commit() : applied;
    }

    Result<void> write_all(const std::vector<EvidenceRecord>& batch) {
        for (const EvidenceRecord& record : batch)
            if (auto done = write_record(record); !done) return done;
        if (auto done = challenges_.prune(batch.back().judged_at, batch.size()); !done) return done;
        // In either direction: a clock that was set back must not put off the next time.
        const std::int64_t now_ms = to_ms(batch.back().judged_at);
        if (std::abs(now_ms - pruned_at_ms_) < prune_interval_ms) return {};
        const auto contents_deleted = prune_evidence(written_, limits_, now_ms);
        if (!contents_deleted) return fail(contents_deleted.error());
        pruned_at_ms_ = now_ms;
        if (*contents_deleted) known_.clear();
        known_sets_.clear();
        return {};
    }

    void forget_known() {
        known_.clear();
        known_sets_.clear();
    }

    Result<void> write_record(const EvidenceRecord& record) {
        if (record.challenge)
            if (auto done = challenges_.keep(*record.challenge); !done) return done;
        if (auto done = statements_.replace.bind(1, record.app_name).bind(2, record.id).run(); !done)
            return done;
        if (written_.changes() > 0) known_sets_.clear();  // It may have been the last that referred to one.
        std::vector<std::int64_t> contents;
        for (const SharedContent& content : record.contents) {
            const auto number = number_of_content(content);
            if (!number) return fail(number.error());
            contents.push_back(*number);
        }
        const auto known = known_sets_.find(contents);
        statements_.keep.bind(1, record.app_name)
            .bind(2, record.id)
            .bind(3, record.agent)
            .bind(4, to_ms(record.judged_at))
            .bind(5, static_cast<std::int64_t>(record.json.size()))
            .bind(6, record.json)
            .bind(7, known == known_sets_.end() ? 0 : known->second);
        if (auto done = statements_.keep.run(); !done) return done;
        return known == known_sets_.end() ? write_references(written_.last_row(), std::move(contents))
                                          : Result<void>();
    }

    // Of a record that is the first to refer to these contents.
    Result<void> write_references(std::int64_t seq, std::vector<std::int64_t> contents) {
        for (const std::int64_t content : contents)
            if (auto done = statements_.refer.bind(1, seq).bind(2, content).run(); !done) return done;
        if (known_sets_.size() >= known_sets_max) known_sets_.clear();
        known_sets_.emplace(std::move(contents), seq);
        return statements_.refer_to_own.bind(1, seq).run();
    }

    Result<std::int64_t> number_of_content(const SharedContent& content) {
        if (const auto known = known_.find(content.sha256); known != known_.end()) return known->second;
        statements_.keep_content.bind(1, content.sha256).bind(2, content.kind).bind(3, content.bytes);
        const auto number = number_of(statements_.keep_content);
        if (number) known_.emplace(content.sha256, *number);
        return number;
    }

    // The writer's alone.
    sqlite::Database written_;
    mutable sqlite::Database read_;
    Statements statements_;
    ChallengeRecords challenges_;
    const OnFailure on_failure_;
    const EvidenceLimits limits_;
    std::unordered_map<std::string, std::int64_t> known_;  // contents on disk, by SHA-256
    std::map<std::vector<std::int64_t>, std::int64_t>
        known_sets_;  // records whose references stand for a set
    std::int64_t pruned_at_ms_ = 0;

    std::mutex told_mutex_;
    OnSharedKey on_shared_key_;

    mutable std::mutex mutex_, read_mutex_;
    mutable std::condition_variable changed_;
    std::vector<EvidenceRecord> waiting_;
    // Records taken; written or given up; and asked for by a read.
    std::uint64_t kept_ = 0, done_ = 0;
    mutable std::uint64_t wanted_ = 0;
    bool stopping_ = false;
    std::thread writer_;
};

EvidenceStore::EvidenceStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EvidenceStore::~EvidenceStore() = default;

Result<std::unique_ptr<EvidenceStore>> EvidenceStore::open(const std::filesystem::path& file,
                                                           OnFailure on_failure, const EvidenceLimits& limits,
                                                           sqlite::Writers* writers) {
    auto written = sqlite::Database::open(file, writers);
    if (!written) return fail(std::move(written.error()));
    if (auto set = written->execute("PRAGMA synchronous=NORMAL"); !set) return fail(std::move(set.error()));
    if (auto done = migrate_evidence(*written); !done) return fail(std::move(done.error()));
    auto challenges = ChallengeRecords::open(*written);
    if (!challenges) return fail(std::move(challenges.error()));
    auto read = sqlite::Database::open(file);
    if (!read) return fail(std::move(read.error()));
    auto replace = written->prepare(replace_sql), keep = written->prepare(keep_sql);
    auto refer = written->prepare(refer_sql), refer_to_own = written->prepare(refer_to_own_sql);
    auto keep_content = written->prepare(keep_content_sql);
    for (auto* statement : {&replace, &keep, &refer, &refer_to_own, &keep_content})
        if (!*statement) return fail(std::move(statement->error()));
    Impl::Statements statements{std::move(*replace), std::move(*keep), std::move(*refer),
                                std::move(*refer_to_own), std::move(*keep_content)};
    return std::unique_ptr<EvidenceStore>(
        new EvidenceStore(std::make_unique<Impl>(std::move(*written), std::move(*read), std::move(statements),
                                                 std::move(*challenges), std::move(on_failure), limits)));
}

void EvidenceStore::on_shared_key(OnSharedKey on_shared_key) {
    impl_->on_shared_key(std::move(on_shared_key));
}

void EvidenceStore::keep(EvidenceRecord record) {
    impl_->keep(std::move(record));
}

namespace {

Result<std::optional<StoredEvidence>> read_evidence(sqlite::Statement& statement) {
    const auto row = statement.step();
    if (!row) return fail(row.error());
    if (!*row) return std::optional<StoredEvidence>();
    return StoredEvidence{statement.number(0), statement.text(1)};
}

Result<std::vector<ContentName>> read_names(sqlite::Statement& statement) {
    std::vector<ContentName> out;
    for (;;) {
        const auto row = statement.step();
        if (!row) return fail(row.error());
        if (!*row) return out;
        out.push_back({statement.text(0), statement.text(1)});
    }
}

Result<std::optional<StoredContent>> read_content(sqlite::Statement& statement) {
    const auto row = statement.step();
    if (!row) return fail(row.error());
    if (!*row) return std::optional<StoredContent>();
    return StoredContent{statement.text(0), statement.blob(1)};
}

}  // namespace

Result<std::optional<StoredEvidence>> EvidenceStore::find(std::string_view app_name, std::string_view id,
                                                          WallTime now) const {
    return impl_->read(find_sql, [&](sqlite::Statement& statement) {
        statement.bind(1, app_name).bind(2, id).bind(3, to_ms(now) - impl_->limits().life_ms);
        return read_evidence(statement);
    });
}

Result<std::optional<StoredEvidence>> EvidenceStore::newest(std::string_view app_name,
                                                            std::string_view agent) const {
    return impl_->read(newest_sql, [&](sqlite::Statement& statement) {
        return read_evidence(statement.bind(1, app_name).bind(2, agent));
    });
}

Result<std::vector<ContentName>> EvidenceStore::references_of(std::int64_t seq) const {
    return impl_->read(references_of_sql,
                       [&](sqlite::Statement& statement) { return read_names(statement.bind(1, seq)); });
}

Result<std::optional<StoredContent>> EvidenceStore::content(std::string_view sha256) const {
    return impl_->read(content_sql,
                       [&](sqlite::Statement& statement) { return read_content(statement.bind(1, sha256)); });
}

Result<std::optional<ChallengeRecord>> EvidenceStore::find_challenge(const ByteArray<32>& report_data_sha256,
                                                                     WallTime now) const {
    return impl_->read(ChallengeRecords::find_sql, [&](sqlite::Statement& statement) {
        return ChallengeRecords::find(statement, report_data_sha256, now);
    });
}

}  // namespace ee::registry

#include "events/sqlite/event_store.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "sqlite/schema.h"
#include "sqlite/transaction.h"

namespace ee::events {
namespace {

// Each step brings the schema from its index to the next version. Steps are only ever added.
constexpr const char* migrations[] = {
    R"(CREATE TABLE events (
           seq INTEGER PRIMARY KEY,
           at_ms INTEGER NOT NULL,
           kind TEXT NOT NULL,
           app_name TEXT NOT NULL,
           agent_id TEXT NOT NULL,
           node_id TEXT NOT NULL,
           code TEXT NOT NULL,
           detail TEXT NOT NULL,
           data TEXT NOT NULL
       ) STRICT;
       CREATE TABLE events_state (
           name TEXT PRIMARY KEY,
           number INTEGER NOT NULL
       ) STRICT, WITHOUT ROWID;)",
};
constexpr std::string_view component = "events";

constexpr std::string_view keep_sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
constexpr std::string_view drop_sql = "DELETE FROM events WHERE seq <= ?1";
constexpr std::string_view load_sql = "SELECT * FROM events ORDER BY seq DESC LIMIT ?1";
constexpr std::string_view set_sql =
    "INSERT INTO events_state VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET number = ?2";
constexpr std::string_view get_sql = "SELECT number FROM events_state WHERE name = ?1";

// Rows of events_state.
constexpr std::string_view reserved_name = "reserved";
constexpr std::string_view delivered_name = "delivered";

std::int64_t to_number(std::uint64_t seq) {
    return static_cast<std::int64_t>(seq);
}

Result<std::optional<std::uint64_t>> read_state(sqlite::Database& database, std::string_view name) {
    auto statement = database.prepare(get_sql);
    if (!statement) return fail(std::move(statement.error()));
    const auto row = statement->bind(1, name).step();
    if (!row) return fail(row.error());
    if (!*row) return std::optional<std::uint64_t>();
    return static_cast<std::uint64_t>(statement->number(0));
}

Result<std::vector<Event>> read_events(sqlite::Database& database, std::size_t kept_max) {
    auto statement = database.prepare(load_sql);
    if (!statement) return fail(std::move(statement.error()));
    statement->bind(1, static_cast<std::int64_t>(kept_max));
    std::vector<Event> out;
    for (;;) {
        const auto row = statement->step();
        if (!row) return fail(row.error());
        if (!*row) break;
        out.push_back({.seq = static_cast<std::uint64_t>(statement->number(0)),
                       .at = from_ms(statement->number(1)),
                       .kind = statement->text(2),
                       .app_name = statement->text(3),
                       .agent_id = statement->text(4),
                       .node_id = statement->text(5),
                       .code = statement->text(6),
                       .detail = statement->text(7),
                       .data = statement->text(8)});
    }
    std::reverse(out.begin(), out.end());
    return out;
}

}  // namespace

class EventStore::Impl {
public:
    struct Statements {
        sqlite::Statement keep, drop, set;
    };

    Impl(sqlite::Database database, Statements statements, const Settings& settings, Loaded loaded,
         std::optional<std::uint64_t> delivered)
        : settings_(settings),
          loaded_(std::move(loaded)),
          delivered_(delivered),
          database_(std::move(database)),
          statements_(std::move(statements)),
          last_seq_(loaded_.next_seq - 1),
          reserved_(loaded_.reserved_seq),
          writer_([this] { write_loop(); }) {}

    ~Impl() {
        {
            const std::lock_guard guard(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        writer_.join();
    }

    Loaded take_loaded() { return std::move(loaded_); }
    std::optional<std::uint64_t> delivered() const { return delivered_; }

    void on_written(OnWritten on_written) {
        const std::lock_guard guard(mutex_);
        on_written_ = std::move(on_written);
    }

    void keep(SharedEvent event, std::uint64_t drop_through) {
        const std::lock_guard guard(mutex_);
        waiting_.events.push_back(std::move(event));
        if (waiting_.events.size() > settings_.kept_max) waiting_.events.pop_front();
        waiting_.drop_through = drop_through;
        if (waiting_.events.size() == 1) wake_.notify_one();
    }

    void set_delivered(std::uint64_t seq) {
        const std::lock_guard guard(mutex_);
        const bool wakes = waiting_.is_empty();
        waiting_.delivered = seq;
        if (wakes) wake_.notify_one();
    }

private:
    struct Waiting {
        std::deque<SharedEvent> events;
        std::uint64_t drop_through = 0;
        std::optional<std::uint64_t> delivered;

        bool is_empty() const { return events.empty() && !delivered; }
    };

    void write_loop() {
        for (;;) {
            Waiting batch;
            OnWritten tell;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return stopping_ || !waiting_.is_empty(); });
                if (waiting_.is_empty()) break;
                wake_.wait_for(lock, settings_.gather_time, [&] { return stopping_; });
                std::swap(batch, waiting_);
                tell = on_written_;
            }
            write_and_tell(batch, tell);
        }
        // Nobody has seen the rest of the numbers.
        if (!failed_) static_cast<void>(write({}, last_seq_));
    }

    void write_and_tell(const Waiting& batch, const OnWritten& tell) {
        if (!batch.events.empty()) last_seq_ = batch.events.back()->seq;
        const bool runs_out = last_seq_ + settings_.reserved_ahead / 2 > reserved_;
        const std::uint64_t reserved = runs_out ? last_seq_ + settings_.reserved_ahead : reserved_;
        const Result<void> written = write(batch, reserved);
        if (written) reserved_ = reserved;
        failed_ = !written.has_value();
        if (batch.events.empty() || !tell) return;
        Written what{.through = last_seq_, .reserved = reserved_};
        if (!written) what.failure = written.error();
        tell(what);
    }

    Result<void> write(const Waiting& batch, std::uint64_t reserved) {
        auto transaction = sqlite::Transaction::begin(database_);
        if (!transaction) return fail(std::move(transaction.error()));
        for (const SharedEvent& event : batch.events)
            if (auto done = insert(*event); !done) return done;
        if (batch.drop_through > 0)
            if (auto done = statements_.drop.bind(1, to_number(batch.drop_through)).run(); !done) return done;
        if (reserved != reserved_)
            if (auto done = set(reserved_name, reserved); !done) return done;
        if (batch.delivered)
            if (auto done = set(delivered_name, *batch.delivered); !done) return done;
        return transaction->commit();
    }

    Result<void> insert(const Event& event) {
        return statements_.keep.bind(1, to_number(event.seq))
            .bind(2, to_ms(event.at))
            .bind(3, event.kind)
            .bind(4, event.app_name)
            .bind(5, event.agent_id)
            .bind(6, event.node_id)
            .bind(7, event.code)
            .bind(8, event.detail)
            .bind(9, event.data)
            .run();
    }

    Result<void> set(std::string_view name, std::uint64_t number) {
        return statements_.set.bind(1, name).bind(2, to_number(number)).run();
    }

    const Settings settings_;
    Loaded loaded_;
    const std::optional<std::uint64_t> delivered_;
    // The writer's alone.
    sqlite::Database database_;
    Statements statements_;
    std::uint64_t last_seq_;
    std::uint64_t reserved_;
    bool failed_ = false;  // At the last try.

    std::mutex mutex_;
    std::condition_variable wake_;
    Waiting waiting_;
    OnWritten on_written_;
    bool stopping_ = false;
    std::thread writer_;  // Last: it uses all of the above.
};

EventStore::EventStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStore::~EventStore() = default;

Result<std::unique_ptr<EventStore>> EventStore::open(const std::filesystem::path& file,
                                                     sqlite::Writers* writers, const Settings& settings) {
    auto database = sqlite::Database::open(file, writers);
    if (!database) return fail(std::move(database.error()));
    if (auto migrated = sqlite::migrate(*database, component, migrations); !migrated)
        return fail(std::move(migrated.error()));
    auto keep = database->prepare(keep_sql), drop = database->prepare(drop_sql),
         set = database->prepare(set_sql);
    for (auto* statement : {&keep, &drop, &set})
        if (!*statement) return fail(std::move(statement->error()));
    auto events = read_events(*database, settings.kept_max);
    if (!events) return fail(std::move(events.error()));
    const auto reserved = read_state(*database, reserved_name);
    if (!reserved) return fail(reserved.error());
    const auto delivered = read_state(*database, delivered_name);
    if (!delivered) return fail(delivered.error());

    Loaded loaded{.events = std::move(*events)};
    const std::uint64_t last = loaded.events.empty() ? 0 : loaded.events.back().seq;
    loaded.next_seq = std::max(last, reserved->value_or(0)) + 1;
    loaded.reserved_seq = loaded.next_seq - 1 + settings.reserved_ahead;
    {
        auto transaction = sqlite::Transaction::begin(*database);
        if (!transaction) return fail(std::move(transaction.error()));
        set->bind(1, reserved_name).bind(2, to_number(loaded.reserved_seq));
        if (auto taken = set->run(); !taken) return fail(std::move(taken.error()));
        if (auto committed = transaction->commit(); !committed) return fail(std::move(committed.error()));
    }
    return std::unique_ptr<EventStore>(new EventStore(std::make_unique<Impl>(
        std::move(*database), Impl::Statements{std::move(*keep), std::move(*drop), std::move(*set)}, settings,
        std::move(loaded), *delivered)));
}

Loaded EventStore::take_loaded() {
    return impl_->take_loaded();
}

std::optional<std::uint64_t> EventStore::delivered() const {
    return impl_->delivered();
}

void EventStore::on_written(OnWritten on_written) {
    impl_->on_written(std::move(on_written));
}

void EventStore::keep(SharedEvent event, std::uint64_t drop_through) {
    impl_->keep(std::move(event), drop_through);
}

void EventStore::set_delivered(std::uint64_t seq) {
    impl_->set_delivered(seq);
}

}  // namespace ee::events

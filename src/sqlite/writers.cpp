#include "sqlite/writers.h"

#include <algorithm>

#include <sqlite3.h>

#include "base/thread_priority.h"

namespace ee::sqlite {
namespace {

constexpr int readers_wait_ms = 5;  // Others wait for their turn meanwhile.
constexpr std::chrono::milliseconds turn_wait{5000};
constexpr int rest_pages_max = 32;  // 128 KiB
// The sync of a commit waits behind so many. Where writers add as fast as that is copied, each pass takes
// twice as many at once as the one before.
constexpr int pages_at_once_min = 32;   // 128 KiB
constexpr int pages_at_once_max = 512;  // 2 MiB
constexpr int passes_max = 8;
constexpr int attempts_max = 16;
constexpr std::int64_t page_bytes = 4096 + 24;  // with its header in the log
constexpr std::chrono::milliseconds attempts_apart{20};

// The methods of a file that is synced after every few writes. SQLite hands a checkpoint's pages to the
// system one by one and syncs them all at its end; the disk then has thousands to write, and a commit's sync
// of the log, a few pages, waits behind them.
struct SyncedOften : sqlite3_io_methods {
    const sqlite3_io_methods* own = nullptr;
    int pages_at_once = pages_at_once_min;
    mutable int unsynced = 0;

    void take(sqlite3_file* file) {
        own = file->pMethods;
        static_cast<sqlite3_io_methods&>(*this) = *own;
        xWrite = [](sqlite3_file* written, const void* bytes, int size, sqlite3_int64 offset) {
            const auto& self = static_cast<const SyncedOften&>(*written->pMethods);
            const int code = self.own->xWrite(written, bytes, size, offset);
            if (code != SQLITE_OK || ++self.unsynced < self.pages_at_once) return code;
            self.unsynced = 0;
            return self.own->xSync(written, SQLITE_SYNC_NORMAL);
        };
        file->pMethods = this;
    }
};

}  // namespace

// A connection of the copier's own; SQLite's codes say what it is to do next.
class Writers::Connection {
public:
    explicit Connection(const std::filesystem::path& file)
        : code_(sqlite3_open_v2(file.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                nullptr)) {
        if (code_ == SQLITE_OK)
            code_ = sqlite3_file_control(database_, "main", SQLITE_FCNTL_FILE_POINTER, &file_);
        if (code_ != SQLITE_OK) return;
        methods_.take(file_);
        sqlite3_extended_result_codes(database_, 1);
        sqlite3_busy_timeout(database_, readers_wait_ms);
        sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
        code_ = sqlite3_exec(database_, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0", nullptr,
                             nullptr, nullptr);
    }
    ~Connection() { sqlite3_close_v2(database_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool copy(int mode) {
        if (code_ == SQLITE_OK || is_busy())
            code_ = sqlite3_wal_checkpoint_v2(database_, nullptr, mode, nullptr, &copied_pages_);
        return code_ == SQLITE_OK;
    }
    // What was copied, to the disk. SQLite does it only once all of the log is copied.
    bool sync() {
        if (code_ == SQLITE_OK) code_ = file_->pMethods->xSync(file_, SQLITE_SYNC_NORMAL);
        return code_ == SQLITE_OK;
    }
    void hurry() { methods_.pages_at_once = std::min(pages_at_once_max, 2 * methods_.pages_at_once); }
    int copied_pages() const { return copied_pages_; }
    bool is_busy() const { return (code_ & 0xff) == SQLITE_BUSY; }  // by readers
    bool disk_failed() const { return (code_ & 0xff) == SQLITE_IOERR; }
    std::string message() const { return sqlite3_errstr(code_); }

private:
    sqlite3* database_ = nullptr;
    sqlite3_file* file_ = nullptr;
    SyncedOften methods_{};  // of the file, until the database is closed
    int code_;
    int copied_pages_ = 0;  // of the log, from its beginning
};

Writers::Writers(std::filesystem::path file, int log_pages)
    : file_(std::move(file)),
      log_pages_max_(log_pages),
      copy_at_pages_(log_pages),
      copier_([this] { copy_loop(); }) {}

Writers::~Writers() {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    copier_.join();
}

std::int64_t Writers::log_bytes_kept() const {
    return std::int64_t{2} * log_pages_max_ * page_bytes;
}

std::optional<Writers::Turn> Writers::take_turn(std::chrono::milliseconds wait_max) {
    const Waiting self;
    std::unique_lock lock(mutex_);
    turns_.push_back(&self);
    if (!turn_changed_.wait_for(lock, wait_max, [&] { return turns_.front() == &self; })) {
        std::erase(turns_, &self);
        return std::nullopt;
    }
    turns_.front() = nullptr;  // `self` ends here, the turn does not.
    return Turn(this);
}

void Writers::give_turn() {
    {
        const std::lock_guard guard(mutex_);
        turns_.pop_front();
    }
    turn_changed_.notify_all();
}

std::size_t Writers::waiting() const {
    const std::lock_guard guard(mutex_);
    return turns_.empty() ? 0 : turns_.size() - 1;
}

Writers::Turn::~Turn() {
    if (writers_ != nullptr) writers_->give_turn();
}

void Writers::log_has(int pages) {
    {
        const std::lock_guard guard(mutex_);
        pages_ = pages;
        if (pages_ < copy_at_pages_) return;
    }
    wake_.notify_one();
}

std::optional<std::string> Writers::disk_failure() const {
    const std::lock_guard guard(mutex_);
    return disk_failure_;
}

bool Writers::is_copying() const {
    const std::lock_guard guard(mutex_);
    return pages_ >= copy_at_pages_;
}

std::uint64_t Writers::copied() const {
    const std::lock_guard guard(mutex_);
    return copied_;
}

void Writers::copy_loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return stopping_ || pages_ >= copy_at_pages_; });
        if (stopping_) return;
        lock.unlock();
        const bool whole = copy_log();
        lock.lock();
        // What is counted as copied may be what the disk has lost: by that the log must not begin anew.
        if (disk_failure_) return;
        copied_ += whole ? 1 : 0;
        // Someone reads what the log must keep: not again before it has grown by a quarter.
        copy_at_pages_ = whole ? log_pages_max_ : pages_ + std::max(1, log_pages_max_ / 4);
        if (whole) pages_ = 0;
    }
}

int Writers::log_pages() const {
    const std::lock_guard guard(mutex_);
    return pages_;
}

// Readers that come and go leave a moment between them.
bool Writers::begin_log_anew(Connection& connection) {
    for (int attempt = 0;; ++attempt) {
        {
            const auto turn = take_turn(turn_wait);
            if (!turn) return false;
            if (connection.copy(SQLITE_CHECKPOINT_RESTART)) return true;
        }
        if (!connection.is_busy() || attempt == attempts_max) return false;
        std::unique_lock lock(mutex_);
        if (wake_.wait_for(lock, attempts_apart, [&] { return stopping_; })) return false;
    }
}

// Most of it beside the writers, to the disk, and what they have added meanwhile, until that is little; then,
// while none of them writes, the rest, so that the next one begins the log anew.
bool Writers::copy_log() {
    Connection connection(file_);
    bool whole = true;
    // Who waits for its turn waits for the rest: a thread in the background would take long for it.
    std::thread([&] {
        become_background_thread();
        for (int pass = 0; pass < passes_max && whole; ++pass) {
            whole = connection.copy(SQLITE_CHECKPOINT_PASSIVE) && connection.sync();
            if (log_pages() - connection.copied_pages() <= rest_pages_max) break;
            connection.hurry();
        }
    }).join();
    if (whole) whole = begin_log_anew(connection);
    if (connection.disk_failed()) {
        const std::lock_guard guard(mutex_);
        if (!disk_failure_)
            disk_failure_ = "copying the log into " + file_.string() + ": " + connection.message();
    }
    return whole;
}

}  // namespace ee::sqlite

#pragma once
// What the connections of one process that write one file share. SQLite lets one of them write at a time and
// the others sleep and try again, in no order; here they take turns in the order they came. And it makes the
// commit that has filled the write-ahead log copy the log into the file; here a thread does, and what it does
// while nobody can write is short.

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/time.h"

namespace ee::sqlite {

class Writers {
public:
    static constexpr int log_pages_default = 16384;  // 64 MiB

    // `log_pages`: from that length on the log is copied. It goes on growing while someone reads an old
    // snapshot of the file.
    explicit Writers(std::filesystem::path file, int log_pages = log_pages_default);
    ~Writers();
    Writers(const Writers&) = delete;
    Writers& operator=(const Writers&) = delete;

    // What the log's file keeps of its length when it begins anew; more than an ordinary one ever has, for to
    // cut it off and to let it grow again costs commits.
    std::int64_t log_bytes_kept() const;

    // Until it dies nobody else has one.
    class Turn {
    public:
        Turn(Turn&& other) noexcept : writers_(std::exchange(other.writers_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn();

    private:
        friend class Writers;
        explicit Turn(Writers* writers) : writers_(writers) {}
        Writers* writers_;
    };
    // nullopt: it did not come within `wait_max`. Any thread.
    std::optional<Turn> take_turn(std::chrono::milliseconds wait_max);

    // How many wait for their turn. Any thread.
    std::size_t waiting() const;

    // Called by each connection after its commit: how long the log is now. Any thread.
    void log_has(int pages);

    // nullopt as long as the disk has done all that was asked for copying; else what it said. It stays: what
    // a disk lost once it does not give back. Any thread.
    std::optional<std::string> disk_failure() const;
    // Whether the log is long enough to be copied, or being copied. Any thread.
    bool is_copying() const;
    // How many times the log was copied whole, to begin anew.
    std::uint64_t copied() const;

private:
    struct Waiting {};
    class Connection;
    void copy_loop();
    bool copy_log();
    bool begin_log_anew(Connection& connection);
    int log_pages() const;
    void give_turn();

    const std::filesystem::path file_;
    const int log_pages_max_;

    mutable std::mutex mutex_;
    std::condition_variable turn_changed_;
    std::deque<const Waiting*> turns_;  // The first has it.

    std::condition_variable wake_;
    int pages_ = 0;
    int copy_at_pages_;
    std::uint64_t copied_ = 0;
    bool stopping_ = false;
    std::optional<std::string> disk_failure_;
    std::thread copier_;  // Last: it uses all of the above.
};

}  // namespace ee::sqlite

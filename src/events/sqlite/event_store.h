#pragma once
// Events in the SQLite file: the newest ones, the numbers that are taken, and how far webhooks have come. One
// writer thread; what comes within a short while shares a commit, which is on disk when it is told of.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "events/event_log.h"
#include "sqlite/writers.h"

namespace ee::events {

class EventStore final : public Store {
public:
    struct Settings {
        std::size_t kept_max = kept_default;  // Events read at the start, and that may wait for the disk.
        std::chrono::milliseconds gather_time{50};
        std::uint64_t reserved_ahead = 1000;  // Numbers taken on disk beyond those that were given.
    };

    // Beside the store that holds the file's lock; `writers` as there. Takes numbers at once, so that none of
    // this run can come again, however it ends. Refusals: `store_schema_newer`, `store_unavailable`.
    static Result<std::unique_ptr<EventStore>> open(const std::filesystem::path& file,
                                                    sqlite::Writers* writers, const Settings& settings);
    static Result<std::unique_ptr<EventStore>> open(const std::filesystem::path& file,
                                                    sqlite::Writers* writers = nullptr) {
        return open(file, writers, Settings());
    }

    // Writes what is waiting and gives back the numbers that nobody got.
    ~EventStore() override;
    EventStore(const EventStore&) = delete;
    EventStore& operator=(const EventStore&) = delete;

    // What the runs before have left; once.
    Loaded take_loaded();
    // The number of the last event that a webhook was delivered of; nullopt: none ever was.
    std::optional<std::uint64_t> delivered() const;

    // What became of events up to `through`, and up to where numbers are taken; `failure`: they are not on
    // disk. Called on the store's thread; waits for nothing.
    struct Written {
        std::uint64_t through = 0;
        std::uint64_t reserved = 0;
        std::optional<Error> failure{};
    };
    using OnWritten = std::function<void(const Written&)>;
    // Before the first event.
    void on_written(OnWritten on_written);

    // Any thread. More than `kept_max` that wait push out the oldest.
    void keep(SharedEvent event, std::uint64_t drop_through) override;
    // Any thread; only the last of them is written.
    void set_delivered(std::uint64_t seq);

private:
    class Impl;
    explicit EventStore(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::events

#pragma once
// A disk that fails as it is told, under SQLite.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "sqlite/writers.h"

namespace ee::ledger {

enum class DiskOperation : std::uint8_t { write, sync, truncate, any };
enum class DiskAnswer : std::uint8_t {
    full,         // ENOSPC
    io,           // EIO
    short_write,  // half of it, then no more
    power_cut     // this and everything after it fails
};

// While one lives, the files that SQLite opens by default are on it; files before it are as they are. It
// remembers what has been written but not synced: that is what power_returns() takes back. A sync that fails
// loses a random part of that for good, though reads go on seeing it, and the next sync of the same file
// through each other descriptor fails, too, as Linux has it.
class FaultyDisk {
public:
    // Syncs reach the real disk only where one asks how long they take.
    enum class Syncs : std::uint8_t { modelled, real };

    explicit FaultyDisk(std::uint64_t seed, Syncs syncs = Syncs::modelled);
    // Every connection is closed by then.
    ~FaultyDisk();
    FaultyDisk(const FaultyDisk&) = delete;
    FaultyDisk& operator=(const FaultyDisk&) = delete;

    // The n-th operation of this kind from now on, from 1 on, is answered so. Once.
    void fail(DiskOperation operation, std::uint64_t nth, DiskAnswer answer);
    // Every sync of this file fails from now on.
    void fail_syncs_of(const std::filesystem::path& file);
    bool has_failed() const;
    // How many writes to this file there were between two syncs, at most. Of a modelled disk.
    std::size_t most_unsynced(const std::filesystem::path& file) const;
    std::uint64_t operations() const;
    void delay_syncs(std::chrono::microseconds delay);

    void cut_power();
    // Once every connection is closed. Of what was not synced, each sector is there or not by chance, or
    // none.
    enum class Unsynced : std::uint8_t { lost, random };
    void power_returns(Unsynced unsynced);

private:
    friend struct FaultyFile;
    struct Step {
        std::uint64_t offset = 0;
        std::string bytes{};
        bool truncates = false;  // to `offset`
    };
    struct Image {
        std::string durable;
        std::vector<Step> unsynced;
        std::size_t most_unsynced = 0;
        std::uint64_t failures = 0;  // of syncs; each open file hears of each once
    };
    static void apply(std::string& content, const Step& step);

    // What the operation is to be answered with, if anything.
    std::optional<DiskAnswer> ask(DiskOperation operation, const std::string* path);
    std::uint64_t opened(const std::string& path);
    void deleted(const std::string& path);
    void wrote(const std::string& path, Step step);
    bool sync(const std::string* path, std::uint64_t& failures_heard);
    void apply_by_chance(Image& image);

    struct Vfs;
    std::unique_ptr<Vfs> vfs_;
    const Syncs syncs_;
    mutable std::mutex mutex_;
    std::mt19937_64 random_;
    std::map<std::string, Image> images_;
    DiskOperation failing_ = DiskOperation::any;
    DiskAnswer answer_ = DiskAnswer::io;
    std::uint64_t countdown_ = 0;  // 0: nothing fails
    std::uint64_t operations_ = 0;
    bool has_failed_ = false;
    std::string unsyncable_;
    bool power_ = true;
    std::chrono::microseconds sync_delay_{0};
};

// Until the copier has come to its end, or the disk has failed: what comes next is then the next operation,
// however busy the machine is.
void wait_for_copy(const FaultyDisk& disk, const sqlite::Writers& writers);

}  // namespace ee::ledger

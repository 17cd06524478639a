#pragma once
// When the control plane was last alive, in a small file beside the database: written every few seconds in
// place, without a sync. It survives the end of the process, however it ends; after a power cut it may be
// older than the truth, which makes the outage longer, never shorter.

#include <filesystem>
#include <optional>

#include "ledger/period.h"
#include "net/loop.h"
#include "net/worker_pool.h"

namespace ee::control_plane {

class LivenessMark {
public:
    struct Seen {
        ledger::LedgerTime at{};
        std::uint64_t leaves = 0;  // that the log had
        friend bool operator==(const Seen&, const Seen&) = default;
    };

    // Creates the file where there is none: `store_unavailable`.
    static Result<LivenessMark> open(const std::filesystem::path& file);

    // What the run before wrote last; nullopt: nothing, or nothing that is a time.
    const std::optional<Seen>& last() const { return last_; }
    // Any thread; may wait for the disk.
    void write(const Seen& now) const;

private:
    LivenessMark(net::Fd file, const std::optional<Seen>& last) : file_(std::move(file)), last_(last) {}

    net::Fd file_;
    std::optional<Seen> last_;
};

}  // namespace ee::control_plane

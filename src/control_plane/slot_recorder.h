#pragma once
// What tunnels show of nodes becomes evidence in the ledger: windows, challenges and outages (spec: ledger,
// "Evidence: windows"). Decides nothing: HealthWindows and Outages do.

#include <deque>
#include <functional>
#include <unordered_map>

#include "api/ledger_door.h"
#include "control_plane/health_windows.h"
#include "control_plane/liveness_mark.h"
#include "control_plane/outages.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "telemetry/log.h"

namespace ee::control_plane {

using TunnelId = std::uint64_t;

// What the ledger holds that a start goes on from.
struct RecordedEvidence {
    struct RecordedSlot {
        SlotName name;
        ledger::Slot slot;
    };
    std::uint64_t leaves = 0;  // of the log, before this run
    // When what was seen was recorded last; nullopt: it is not known, or never was.
    std::optional<ledger::LedgerTime> last_alive{};
    std::vector<RecordedSlot> slots{};  // of the running cell
    std::vector<SlotName> were_up{};    // by then, where that is of an earlier cell
    std::vector<ledger::Outage> open_outages{};
};
// Throws StoreFailure.
RecordedEvidence read_recorded(const ledger::Store& store, ledger::Grid grid,
                               const std::optional<LivenessMark::Seen>& last_mark, ledger::LedgerTime now);

class SlotRecorder {
public:
    struct Settings {
        ledger::Grid grid = ledger::Grid::hour;
        std::chrono::seconds window{120};
        std::function<ledger::LedgerTime()> clock = [] { return ledger::LedgerTime{wall_now()}; };
    };
    // What is given must outlive this object. Records at once what the start shows.
    SlotRecorder(net::Loop& loop, api::LedgerDoor& ledger, const telemetry::Log& log, LivenessMark mark,
                 const RecordedEvidence& recorded, const Settings& settings);
    ~SlotRecorder();

    // The tunnel has attested with the node's token, and serves. `deadline`: of the challenge, on the loop's
    // clock; `evidence`: the id of what the verdict was reached by, empty where nothing is kept.
    void serves(TunnelId tunnel, SlotName name, MonoTime deadline, std::string evidence);
    // The rest concern the slot of a tunnel that serves; for another tunnel they do nothing.
    // An answer has come, in time; its verdict is passed(), inconclusive(), missed() or judged_late().
    void answered(TunnelId tunnel, MonoTime deadline);
    void passed(TunnelId tunnel, MonoTime deadline, std::string evidence);
    void inconclusive(TunnelId tunnel, MonoTime deadline, const Error& reason);
    // `time`: how long the agent had.
    void missed(TunnelId tunnel, MonoTime deadline, std::chrono::seconds time, const Error& reason);
    void alive(TunnelId tunnel);
    // It takes no more requests, and that it leaves is no loss: another tunnel has its place, the agent said
    // so, or it was told to. `by_operator`: nothing more is expected of the slot in this cell.
    void dismissed(TunnelId tunnel, bool by_operator);
    // `open`: the challenge that it leaves without a verdict.
    struct OpenChallenge {
        MonoTime deadline{};
        std::chrono::seconds time{};  // that the agent had
        bool is_answered = false;     // the verdict is still to come: judged_late()
    };
    // One without an answer is missed at its deadline, unless the slot has attested again by then.
    void left(TunnelId tunnel, const std::optional<OpenChallenge>& open = std::nullopt);
    // The verdict on an answer whose tunnel has left meanwhile. It counts, whatever the slot did since.
    void judged_late(TunnelId tunnel, const SlotName& name, const Result<void>& verdict);

    // A policy or an allowlist came into force: a leaf, unless it is the one of last time.
    void in_force(ledger::LeafKind kind, std::string name, std::vector<std::string> fields);

    // Records what is known, and nothing from then on: the server stops, no tunnel is at fault.
    void stop();

private:
    struct Carried {
        SlotName name;
        bool dismissed = false;
        std::optional<ledger::LedgerTime> open{};  // deadline of a challenge without a verdict
    };
    struct LeftOpen {
        OpenChallenge challenge;
        std::optional<ledger::LedgerTime> inconclusive{};  // its deadline, where it is recorded as such
        bool has_attested_again = false;
    };
    Carried* find(TunnelId tunnel);
    void miss(const SlotName& name, MonoTime deadline, std::chrono::seconds time, const Error& reason);
    void attested_again(const SlotName& name);
    void miss_overdue();
    ledger::LedgerTime now() const;
    ledger::LedgerTime wall_of(MonoTime at) const;
    void tick();
    void plan();
    void record();
    void run(ledger::Command command);
    void hand_over();
    void ask(const ledger::Command& command);
    void ran(const Result<ledger::Reply>& reply);
    void tell_recorded(ledger::LedgerTime until);
    ledger::LedgerTime judged_until(ledger::LedgerTime at);
    void mark(ledger::LedgerTime at);

    // What the ledger is told once it has answered the commands that waited then.
    struct Telling {
        ledger::LedgerTime until;
        std::size_t unanswered = 0;
    };

    net::Loop& loop_;
    api::LedgerDoor& ledger_;
    const telemetry::Log& log_;
    LivenessMark mark_;
    const Settings settings_;
    HealthWindows windows_;
    Outages outages_;
    std::unordered_map<TunnelId, Carried> tunnels_;
    std::map<std::pair<SlotName, TunnelId>, LeftOpen> left_open_;
    MonoTime left_open_due_ = MonoTime::max();  // the first deadline of those without an answer
    std::unordered_map<TunnelId, ledger::LedgerTime> unjudged_;  // answers, by when they were due
    ledger::LedgerTime judged_until_{};                          // as the ledger was told last
    std::map<std::string, std::string, std::less<>> in_force_;   // what was sent last, by name
    std::deque<ledger::Command> commands_;                       // the first one may be under way
    bool is_under_way_ = false;
    std::size_t outages_unrecorded_ = 0;
    std::optional<Telling> telling_;
    std::string not_recorded_for_;  // the code that was logged last
    MonoTime marked_at_{};
    MonoTime records_due_{};
    bool stopped_ = false;
    net::Timer ticks_;
    net::Timer records_;
    net::Timer retries_;
    net::WorkerPool marker_;  // Last: it uses the mark.
};

}  // namespace ee::control_plane

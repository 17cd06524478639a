#pragma once
// Outages of the control plane (spec: ledger, "Evidence: windows"): what it cannot have seen is held against
// nobody. Does no I/O; one thread.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "control_plane/health_windows.h"

namespace ee::control_plane {

inline constexpr std::chrono::seconds liveness_gap_max{15};
inline constexpr std::chrono::seconds clock_step_max{5};
inline constexpr std::chrono::seconds mass_loss_time{30};
inline constexpr std::size_t mass_loss_min = 5;        // tunnels
inline constexpr std::size_t mass_loss_nodes_min = 2;  // that they were of

class Outages {
public:
    explicit Outages(std::chrono::seconds window) : window_(window) {}

    // What a start shows: the last mark of the run before, and the outages it left open.
    void started(std::optional<ledger::LedgerTime> last_mark, const std::vector<ledger::Outage>& open,
                 ledger::LedgerTime now);
    // At least every few seconds: whether this process, or its clock, has stood still or jumped.
    void tick(MonoTime mono, ledger::LedgerTime now);

    // Slots on a node whose tunnel came or was lost; those it was told to close are neither. Tunnels without
    // a node do not count: anybody could open and close any number of them.
    void tunnel_came(const SlotName& name, ledger::LedgerTime now);
    void tunnel_left(const SlotName& name, bool is_loss, ledger::LedgerTime now);

    // A quote of the platform and TD that were judged good before can't be judged now for want of collateral;
    // until one of that slot can, or the slot has been away for two windows.
    void collateral_stale(const SlotName& name, ledger::LedgerTime now);
    void collateral_fresh(const SlotName& name, ledger::LedgerTime now);

    // Whether one that is known here overlaps [from, to].
    bool overlaps(ledger::LedgerTime from, ledger::LedgerTime to) const;
    // To be recorded: begun ones (without an end), and those that are over.
    std::vector<ledger::Outage> take();

private:
    struct Open {
        ledger::LedgerTime from{};
        std::string_view cause;
    };
    struct Loss {
        ledger::LedgerTime at{};
        SlotName slot;
    };
    void record(ledger::Outage outage);
    void begin(std::optional<Open>& open, ledger::LedgerTime from, std::string_view cause);
    void end(std::optional<Open>& open, ledger::LedgerTime to);
    void look_for_mass_loss(ledger::LedgerTime now);
    void end_what_is_over(ledger::LedgerTime now);

    const std::chrono::seconds window_;
    std::vector<ledger::Outage> to_record_;
    std::deque<ledger::Outage> known_;  // the newest last

    struct Tick {
        MonoTime mono;
        ledger::LedgerTime wall;
    };
    std::optional<Tick> last_tick_;

    std::map<SlotName, int> present_;  // tunnels of each slot
    std::deque<Loss> losses_;
    std::size_t before_loss_ = 0;  // slots
    std::optional<Open> mass_loss_;

    // Until when it counts, where its tunnel has left.
    std::map<SlotName, std::optional<ledger::LedgerTime>> stale_;
    std::optional<Open> collateral_;
};

}  // namespace ee::control_plane

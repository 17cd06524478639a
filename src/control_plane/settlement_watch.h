#pragma once
// Watches over settling, so that money does not wait unseen: a line in the log for each cell that is settled,
// or held back and by what, and gauges of what waits for the admin. The ledger's reading thread looks, once a
// minute and soon after something happened.

#include <memory>

#include "api/ledger_door.h"
#include "control_plane/node_directory.h"
#include "control_plane/unsettled_cells.h"
#include "net/loop.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace ee::control_plane {

class SettlementWatch {
public:
    // What is given must outlive this object. `settle_delay`: after a cell's end it should be settled.
    SettlementWatch(net::Loop& loop, api::LedgerDoor& ledger, const telemetry::Log& log,
                    telemetry::Metrics& metrics, std::chrono::seconds settle_delay);

    // Reports and slashings, as they are after a commit. Throws DamagedRecord.
    void apply(const NodeChanges& changes);
    // Something was settled, reported or decided.
    void look_soon();

private:
    void look();
    void looked(const UnsettledCells::Found* found);
    void tell(const UnsettledCells::Found& found);
    void tell(const SettledCell& cell);

    api::LedgerDoor& ledger_;
    const telemetry::Log& log_;
    const std::chrono::seconds settle_delay_;
    telemetry::Gauge& not_judged_;
    telemetry::Gauge& inconclusive_;
    telemetry::Gauge& reported_;
    telemetry::Gauge& pending_reports_;
    telemetry::Gauge& proposed_slashings_;
    const std::shared_ptr<UnsettledCells> cells_;  // the reading thread's
    PendingReports pending_;
    std::set<std::uint64_t> proposed_;
    bool is_looking_ = false, looks_soon_ = false;
    net::Timer next_look_;
};

}  // namespace ee::control_plane

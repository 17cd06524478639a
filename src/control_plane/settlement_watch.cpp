#include "control_plane/settlement_watch.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ee::control_plane {
namespace {

constexpr std::chrono::seconds look_interval{60};
// Settling goes on for many commits.
constexpr std::chrono::seconds soon{1};

telemetry::Gauge& overdue_gauge(telemetry::Metrics& metrics, std::string_view why) {
    return metrics.gauge("ee_ledger_overdue_units",
                         "Units that should be settled by now and are not, by what they wait for",
                         {{"why", why}});
}

std::string text_of(const std::set<std::uint64_t>& reports) {
    return fmt::format("{}", fmt::join(reports, ","));
}

}  // namespace

SettlementWatch::SettlementWatch(net::Loop& loop, api::LedgerDoor& ledger, const telemetry::Log& log,
                                 telemetry::Metrics& metrics, std::chrono::seconds settle_delay)
    : ledger_(ledger),
      log_(log),
      settle_delay_(settle_delay),
      not_judged_(overdue_gauge(metrics, "not_judged")),
      inconclusive_(overdue_gauge(metrics, "inconclusive")),
      reported_(overdue_gauge(metrics, "abuse_report")),
      pending_reports_(
          metrics.gauge("ee_ledger_pending_abuse_reports", "Reports of abuse that nobody has decided")),
      proposed_slashings_(
          metrics.gauge("ee_ledger_proposed_slashings", "Slashings that the admin has not decided on")),
      cells_(std::make_shared<UnsettledCells>()),
      next_look_(loop, [this] { look(); }) {
    next_look_.arm_after({});
}

void SettlementWatch::apply(const NodeChanges& changes) {
    for (const auto& [key, record] : changes.abuse) {
        if (!record) continue;
        ledger::AbuseReport report = ledger::AbuseReport::decode(*record);
        report.reason.clear();  // Nothing goes by its long texts.
        report.evidence_url.clear();
        auto& of_node = pending_[report.node];
        const std::uint64_t id = ledger::KeyReader(key).number();
        if (report.state == ledger::AbuseState::pending)
            of_node.insert_or_assign(id, std::move(report));
        else
            of_node.erase(id);
    }
    std::erase_if(pending_, [](const auto& of_node) { return of_node.second.empty(); });
    for (const auto& [key, record] : changes.slashings) {
        if (!record) continue;
        const std::uint64_t id = ledger::KeyReader(key).number();
        if (ledger::Slashing::decode(*record).state == ledger::SlashingState::proposed)
            proposed_.insert(id);
        else
            proposed_.erase(id);
    }
    std::size_t reports = 0;
    for (const auto& [node, of_node] : pending_) reports += of_node.size();
    pending_reports_.set(static_cast<std::int64_t>(reports));
    proposed_slashings_.set(static_cast<std::int64_t>(proposed_.size()));
}

void SettlementWatch::look_soon() {
    if (!std::exchange(looks_soon_, true) && !is_looking_) next_look_.arm_after(soon);
}

void SettlementWatch::look() {
    looks_soon_ = false;
    is_looking_ = true;
    const auto found = std::make_shared<UnsettledCells::Found>();
    const bool is_asked = ledger_.ask(
        [cells = cells_, found, pending = pending_, delay = settle_delay_](const api::LedgerView& view) {
            *found = cells->look(view.store, view.rules.grid, view.now, view.now - delay, pending);
            return api::Shown{};
        },
        [this, found](const Result<std::string>& answer) { looked(answer ? found.get() : nullptr); });
    if (!is_asked) looked(nullptr);
}

// What could not be looked at is found at the next look.
void SettlementWatch::looked(const UnsettledCells::Found* found) {
    is_looking_ = false;
    next_look_.arm_after(looks_soon_ || (found != nullptr && found->goes_on) ? soon : look_interval);
    if (found != nullptr) tell(*found);
}

void SettlementWatch::tell(const UnsettledCells::Found& found) {
    not_judged_.set(static_cast<std::int64_t>(found.overdue.not_judged));
    inconclusive_.set(static_cast<std::int64_t>(found.overdue.inconclusive));
    reported_.set(static_cast<std::int64_t>(found.overdue.reported));
    for (const SettledCell& cell : found.news) tell(cell);
    if (!found.is_first || found.held.empty()) return;
    log_.warn("ledger.cells_held", {{"cells", found.held.size()},
                                    {"oldest", to_text(found.held.front())},
                                    {"inconclusive", found.overdue.inconclusive},
                                    {"reported", found.overdue.reported},
                                    {"abuse_reports", text_of(found.overdue.reports)}});
}

void SettlementWatch::tell(const SettledCell& cell) {
    const std::string name = to_text(cell.cell);
    if (cell.rest.held() == 0)
        return log_.info("ledger.cell_settled",
                         {{"cell", name}, {"passed", cell.passed}, {"failed", cell.failed}});
    log_.warn("ledger.cell_held", {{"cell", name},
                                   {"passed", cell.passed},
                                   {"failed", cell.failed},
                                   {"inconclusive", cell.rest.inconclusive},
                                   {"reported", cell.rest.reported},
                                   {"abuse_reports", text_of(cell.rest.reports)}});
}

}  // namespace ee::control_plane

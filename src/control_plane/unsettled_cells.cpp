#include "control_plane/unsettled_cells.h"

#include <algorithm>
#include <optional>

#include "ledger/locks.h"
#include "ledger/settlement.h"

namespace ee::control_plane {
namespace {

using ledger::Batch;
using ledger::Period;
using ledger::Table;
using ledger::UnitName;
using Cells = std::map<Period, Unsettled>;

constexpr std::size_t units_max = 4096;
constexpr std::size_t cells_ahead_max = 1024;
constexpr std::size_t reports_named_max = 16;

void name_report(Unsettled& of, std::uint64_t id) {
    if (of.reports.size() < reports_named_max) of.reports.insert(id);
}

std::optional<std::uint64_t> report_on(const PendingReports& pending, const UnitName& unit) {
    const auto of_node = pending.find(unit.node);
    if (of_node == pending.end()) return std::nullopt;
    for (const auto& [id, report] : of_node->second)
        if (report.touches(unit)) return id;
    return std::nullopt;
}

void count(Unsettled& cell, const Batch& batch, const UnitName& name, const PendingReports& pending) {
    const ledger::Unit unit = ledger::expect_record(ledger::find_unit(batch, name), "an open unit");
    if (const auto report = report_on(pending, name)) {
        ++cell.reported;
        name_report(cell, *report);
    } else {
        ++(unit.outcome == ledger::Outcome::inconclusive ? cell.inconclusive : cell.not_judged);
    }
}

// Cells that are over. Where the look ends: the first unit of a cell that is not, or one too many.
struct Over {
    Cells cells{};
    std::optional<UnitName> end{};
};
Over cells_over(const Batch& batch, ledger::Grid grid, ledger::LedgerTime now,
                const PendingReports& pending) {
    Over out;
    std::size_t units = 0;
    batch.scan_from(Table::open_units, "", [&](std::string_view key, std::string_view) {
        const UnitName name = UnitName::from_key(key, grid);
        if (name.cell.end > now || ++units > units_max) {
            out.end = name;
            return false;
        }
        count(out.cells[name.cell], batch, name, pending);
        return true;
    });
    return out;
}

// Which cells have units from there on, not how many: they are not over, or too many.
void add_cells_from(Cells& cells, const Batch& batch, ledger::Grid grid, std::optional<UnitName> unit) {
    for (std::size_t seen = 0; unit && seen < cells_ahead_max; ++seen) {
        const Period cell = unit->cell;
        ++cells[cell].not_judged;
        unit.reset();
        batch.scan_from(Table::open_units, UnitName::prefix(cell.end),
                        [&](std::string_view key, std::string_view) {
                            unit = UnitName::from_key(key, grid);
                            return false;
                        });
    }
}

// Counts the cell's units from `from` on, while `left` are left. Whether these were the last ones.
bool count_settled_units(SettledCell& cell, std::string& from, const Batch& batch, ledger::Grid grid,
                         std::size_t& left) {
    bool is_whole = true;
    batch.scan_from(Table::units, from, [&](std::string_view key, std::string_view record) {
        if (UnitName::from_key(key, grid).cell != cell.cell) return false;
        is_whole = left > 0;
        if (!is_whole) {
            from = key;
            return false;
        }
        --left;
        const ledger::Unit unit = ledger::Unit::decode(record);
        if (unit.is_settled()) ++(unit.outcome == ledger::Outcome::pass ? cell.passed : cell.failed);
        return true;
    });
    return is_whole;
}

}  // namespace

Unsettled& Unsettled::operator+=(const Unsettled& other) {
    not_judged += other.not_judged;
    inconclusive += other.inconclusive;
    reported += other.reported;
    for (const std::uint64_t id : other.reports) name_report(*this, id);
    return *this;
}

UnsettledCells::Found UnsettledCells::look(const ledger::Store& store, ledger::Grid grid,
                                           ledger::LedgerTime now, ledger::LedgerTime due,
                                           const PendingReports& pending) {
    const Batch batch(store);
    Found found{.is_first = !has_looked_};
    Over over = cells_over(batch, grid, now, pending);
    for (const auto& [cell, rest] : over.cells) {
        if (cell.end > due) continue;
        found.overdue += rest;
        if (rest.held() > 0) found.held.push_back(cell);
    }
    Cells cells = std::move(over.cells);
    add_cells_from(cells, batch, grid, over.end);
    // A cell that is open no more, or of which nothing is left but what is held back.
    Cells news;
    for (const auto& [cell, rest] : open_)
        if (!cells.contains(cell)) news.try_emplace(cell);
    for (const auto& [cell, rest] : cells) {
        const auto known = open_.find(cell);
        if (rest.not_judged == 0 && (known == open_.end() || known->second != rest))
            news.try_emplace(cell, rest);
    }
    open_ = std::move(cells);
    has_looked_ = true;
    if (found.is_first) return found;
    for (auto& [cell, rest] : news)
        uncounted_.insert_or_assign(cell, Counting{.settled = {.cell = cell, .rest = std::move(rest)},
                                                   .from = UnitName::prefix(cell.start)});
    count_settled(batch, grid, found);
    return found;
}

void UnsettledCells::count_settled(const Batch& batch, ledger::Grid grid, Found& found) {
    std::size_t left = units_max;
    while (!uncounted_.empty()) {
        auto& [settled, from] = uncounted_.begin()->second;
        found.goes_on = !count_settled_units(settled, from, batch, grid, left);
        if (found.goes_on) return;
        // Locks that were released leave nothing to settle.
        if (settled.passed + settled.failed + settled.rest.held() > 0)
            found.news.push_back(std::move(settled));
        uncounted_.erase(uncounted_.begin());
    }
}

}  // namespace ee::control_plane

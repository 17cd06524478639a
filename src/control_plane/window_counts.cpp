#include "control_plane/window_counts.h"

#include <algorithm>
#include <set>

namespace ee::control_plane {

using ledger::LedgerTime;
using ledger::Outage;
using ledger::Period;
using ledger::Seconds;
using ledger::Slot;
using ledger::to_us;
using ledger::Window;

namespace {

// The running cell, the one before, whose last windows may just be over, and one for a clock that is set.
constexpr std::size_t recent_cells = 3;

enum class Seen : char { nothing, miss, hole, pass };  // what is known of a window, the better the greater

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
    return a / b + (a % b > 0 ? 1 : 0);
}

Seen seen_in(const Slot& slot, std::int64_t place) {
    const auto index = static_cast<std::size_t>(place);
    if (index >= slot.windows.size()) return Seen::hole;
    switch (static_cast<Window>(slot.windows[index])) {
        case Window::pass: return Seen::pass;
        case Window::miss: return Seen::miss;
        case Window::drained: return Seen::nothing;
        default: return Seen::hole;
    }
}

// The windows of one length in one cell.
class CellGrid {
public:
    CellGrid(const Period& cell, std::uint32_t window_s)
        : cell_(cell),
          length_(static_cast<std::int64_t>(window_s) * 1'000'000),
          first_(ceil_divide(to_us(LedgerTime{cell.start}), length_)),
          end_(std::max(first_, to_us(LedgerTime{cell.end}) / length_)),
          app_(static_cast<std::size_t>(end_ - first_), Seen::nothing),
          node_(app_),
          in_outage_(app_.size(), false) {}

    void add(const Outage& outage) {
        const std::int64_t from = to_us(outage.from) / length_;
        const std::int64_t to = outage.to ? ceil_divide(to_us(*outage.to), length_) : end_;
        for (std::int64_t k = std::max(from, first_); k < std::min(to, end_); ++k)
            in_outage_[place(k)] = true;
    }

    // Of one app's slots the best word counts, a miss only where nobody says better.
    void add(const Slot& slot) {
        const std::int64_t base = slot.first_window(cell_);
        const std::int64_t from = std::max(first_, ceil_divide(to_us(slot.attested_at), length_));
        const std::int64_t to = slot.drained_at ? std::min(end_, to_us(*slot.drained_at) / length_) : end_;
        for (std::int64_t k = from; k < to; ++k)
            app_[place(k)] = std::max(app_[place(k)], seen_in(slot, k - base));
    }

    // All slots of an app were added. Of a node's apps the worst word counts.
    void end_app() {
        for (std::size_t i = 0; i < app_.size(); ++i) {
            const Seen seen = std::exchange(app_[i], Seen::nothing);
            if (seen == Seen::nothing) continue;
            const Seen of_app = seen == Seen::miss && in_outage_[i] ? Seen::hole : seen;
            node_[i] = node_[i] == Seen::nothing ? of_app : std::min(node_[i], of_app);
        }
    }

    void count_into(CellWindows& out) const {
        for (const Seen seen : node_) {
            out.expected += seen == Seen::pass || seen == Seen::miss ? 1 : 0;
            out.passed += seen == Seen::pass ? 1 : 0;
        }
    }

private:
    std::size_t place(std::int64_t k) const { return static_cast<std::size_t>(k - first_); }

    const Period cell_;
    const std::int64_t length_;
    const std::int64_t first_;  // numbers on the grid of windows
    const std::int64_t end_;    // excluded
    std::vector<Seen> app_;
    std::vector<Seen> node_;
    std::vector<bool> in_outage_;
};

Slot slot_of(std::string_view record) {
    Slot slot = Slot::decode(record);
    slot.verdicts.clear();  // Nothing that is counted here.
    return slot;
}

}  // namespace

Period WindowCounts::cell_from(Seconds start) const {
    return {start, start + ledger::step_of(grid_)};
}

WindowCounts::CellSlots* WindowCounts::cell_of(Seconds start) {
    const auto known = recent_.find(start);
    if (known != recent_.end()) return &known->second;
    if (recent_.size() == recent_cells) {
        if (start < recent_.begin()->first) return nullptr;
        recent_.erase(recent_.begin());
    }
    return &recent_[start];
}

CellWindows WindowCounts::count(Seconds start, const std::string& node, const NodeSlots& slots) const {
    CellWindows out{.node = node, .cell = start};
    const Period cell = cell_from(start);
    std::set<std::uint32_t> lengths;
    for (const auto& [name, slot] : slots)
        if (slot.window_s > 0) lengths.insert(slot.window_s);
    for (const std::uint32_t length : lengths) {
        CellGrid grid(cell, length);
        for (const auto& [from, outage] : outages_)
            if (from < cell.end && (!outage.to || *outage.to > cell.start)) grid.add(outage);
        for (auto slot = slots.begin(); slot != slots.end(); ++slot) {
            if (slot->second.window_s == length) grid.add(slot->second);
            const auto next = std::next(slot);
            if (next == slots.end() || next->first.first != slot->first.first) grid.end_app();
        }
        grid.count_into(out);
    }
    return out;
}

void WindowCounts::count_all(Seconds start, std::vector<CellWindows>& counted) const {
    for (const auto& [node, slots] : recent_.at(start)) counted.push_back(count(start, node, slots));
}

std::vector<CellWindows> WindowCounts::load(const ledger::Store& store, LedgerTime from) {
    store.scan(ledger::Table::outages, "", [&](std::string_view, std::string_view record) {
        Outage outage = Outage::decode(record);
        if (!outage.to || *outage.to > from) outages_[outage.from] = std::move(outage);
        return true;
    });
    std::vector<CellWindows> counted;
    std::optional<Seconds> reading;
    const Period first = ledger::cell_at(grid_, from);
    store.scan(ledger::Table::slots, ledger::UnitName::prefix(first.start),
               [&](std::string_view key, std::string_view record) {
                   ledger::SlotKey name = ledger::SlotKey::decode(key);
                   if (reading && *reading != name.cell) count_all(*reading, counted);
                   reading = name.cell;
                   (*cell_of(name.cell))[std::move(name.node)].insert_or_assign(
                       {std::move(name.app), std::move(name.agent)}, slot_of(record));
                   return true;
               });
    if (reading) count_all(*reading, counted);
    return counted;
}

std::vector<CellWindows> WindowCounts::apply(const ledger::Changes& changes) {
    std::set<std::pair<Seconds, std::string>> changed;
    for (const auto& [key, record] : changes.of(ledger::Table::outages)) {
        if (!record) continue;  // Outages are never erased.
        const Outage outage = Outage::decode(*record);
        outages_[outage.from] = outage;
        for (const auto& [start, nodes] : recent_) {
            const Period cell = cell_from(start);
            if (outage.from >= cell.end || (outage.to && *outage.to <= cell.start)) continue;
            for (const auto& [node, slots] : nodes) changed.emplace(start, node);
        }
    }
    for (const auto& [key, record] : changes.of(ledger::Table::slots)) {
        if (!record) continue;
        ledger::SlotKey name = ledger::SlotKey::decode(key);
        CellSlots* cell = cell_of(name.cell);
        if (cell == nullptr) continue;
        (*cell)[name.node].insert_or_assign({std::move(name.app), std::move(name.agent)}, slot_of(*record));
        changed.emplace(name.cell, std::move(name.node));
    }
    std::vector<CellWindows> counted;
    for (const auto& [start, node] : changed)
        if (const auto cell = recent_.find(start); cell != recent_.end())
            counted.push_back(count(start, node, cell->second.at(node)));
    if (!recent_.empty())
        std::erase_if(outages_, [&](const auto& known) {
            return known.second.to && *known.second.to <= recent_.begin()->first;
        });
    return counted;
}

}  // namespace ee::control_plane

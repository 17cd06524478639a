#include "registry/node_windows.h"

#include <algorithm>

namespace ee::registry {

void NodeWindows::forget_until(WallTime horizon) {
    auto first = cells_.begin();
    for (; first != cells_.end() && first->start < horizon; ++first) {
        sum_.expected -= first->expected;
        sum_.passed -= first->passed;
    }
    cells_.erase(cells_.begin(), first);
}

void NodeWindows::set(WallTime start, std::uint32_t expected, std::uint32_t passed, WallTime lived) {
    forget_until(lived - counts_for);
    if (start < lived - counts_for) return;
    auto place = std::lower_bound(cells_.begin(), cells_.end(), start,
                                  [](const Cell& cell, WallTime at) { return cell.start < at; });
    if (place == cells_.end() || place->start != start) place = cells_.insert(place, {.start = start});
    sum_.expected += expected;
    sum_.expected -= place->expected;
    sum_.passed += passed;
    sum_.passed -= place->passed;
    place->expected = expected;
    place->passed = passed;
}

// What has grown too old since the last set() is taken off again.
NodeWindows::Sum NodeWindows::sum_at(WallTime lived) const {
    Sum sum = sum_;
    for (const Cell& cell : cells_) {
        if (cell.start >= lived - counts_for) break;
        sum.expected -= cell.expected;
        sum.passed -= cell.passed;
    }
    return sum;
}

WallTime NodeWindows::holds_until(WallTime lived) const {
    const auto oldest = std::lower_bound(cells_.begin(), cells_.end(), lived - counts_for,
                                         [](const Cell& cell, WallTime at) { return cell.start < at; });
    if (oldest == cells_.end()) return WallTime::max();
    return oldest->start + counts_for + WallTime::duration{1};
}

}  // namespace ee::registry

#pragma once
// How many windows a node was expected in, and passed, in the last 30 days: counted by cells as they come,
// so that nobody has to add them up for a request.

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace ee::registry {

class NodeWindows {
public:
    // A cell counts for so long after its start.
    static constexpr std::chrono::days counts_for{30};

    // Of the cell that starts at `start`, instead of what was known of it. `lived`: see NodeTime.
    void set(WallTime start, std::uint32_t expected, std::uint32_t passed, WallTime lived);

    struct Sum {
        std::uint64_t expected = 0;
        std::uint64_t passed = 0;
    };
    Sum sum_at(WallTime lived) const;
    // Until when (excluded) it stays so by time alone.
    WallTime holds_until(WallTime lived) const;

private:
    struct Cell {
        WallTime start{};
        std::uint32_t expected = 0;
        std::uint32_t passed = 0;
    };
    void forget_until(WallTime horizon);

    std::vector<Cell> cells_;  // by start
    Sum sum_;                  // of all of them
};

}  // namespace ee::registry

#pragma once
// How often an address block may cause a look-up. No clock: times are arguments.

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"

namespace ee::attestation {

// The block that an address belongs to: /24 of IPv4, /56 of IPv6, written "192.0.2.0/24"; "" for what is no
// address.
std::string address_block(std::string_view address);

class RequesterLimit {
public:
    RequesterLimit(std::size_t uses_max, std::chrono::milliseconds window, std::size_t blocks_max)
        : uses_max_(uses_max), window_(window), blocks_max_(blocks_max) {}

    // Takes one use, of at most `uses_max` in any `window`; false: none is left. When more blocks than
    // `blocks_max` have been active within the window, those beyond share one allowance.
    bool take(std::string_view address, WallTime now);
    std::size_t size() const { return uses_.size(); }

private:
    std::deque<WallTime>& uses_of(std::string block, WallTime now);

    const std::size_t uses_max_;
    const std::chrono::milliseconds window_;
    const std::size_t blocks_max_;
    std::unordered_map<std::string, std::deque<WallTime>> uses_;  // oldest first
};

}  // namespace ee::attestation

#pragma once
// Which streams are ended when the memory for bodies is full. Does no I/O.

#include <cstddef>
#include <vector>

#include "tunnel/multiplexer.h"

namespace ee::tunnel {

// What one stream holds for a peer that has not taken it.
struct Holder {
    std::uint64_t tunnel = 0;
    StreamId stream = 0;
    std::size_t bytes = 0;
    MonoTime last_active{};  // When a byte came or went.
};

// Where nothing has moved for so long is no reader that is merely slower than others.
constexpr std::chrono::seconds stalled_time{1};
// What reads steadily has moved in this time, even where a memory filled before anybody was stalled.
constexpr std::chrono::milliseconds paused_time{100};

// Those whose end gives back `bytes`, or all: first the stalled, then the paused; of each kind first those
// that hold most.
std::vector<Holder> first_to_go(std::vector<Holder> holders, std::size_t bytes, MonoTime now);

}  // namespace ee::tunnel

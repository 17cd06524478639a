#include "tunnel/shedding.h"

#include <algorithm>
#include <utility>

namespace ee::tunnel {

std::vector<Holder> first_to_go(std::vector<Holder> holders, std::size_t bytes, MonoTime now) {
    std::erase_if(holders, [](const Holder& holder) { return holder.bytes == 0; });
    std::ranges::sort(holders, [stalled_since = now - stalled_time](const Holder& a, const Holder& b) {
        return std::pair(a.last_active <= stalled_since, a.bytes) >
               std::pair(b.last_active <= stalled_since, b.bytes);
    });
    auto end = holders.begin();
    for (; end != holders.end() && bytes > 0; ++end) bytes -= std::min(bytes, end->bytes);
    holders.erase(end, holders.end());
    return holders;
}

}  // namespace ee::tunnel

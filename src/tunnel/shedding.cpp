#include "tunnel/shedding.h"

#include <algorithm>
#include <utility>

namespace ee::tunnel {

namespace {

int stillness(const Holder& holder, MonoTime now) {
    const auto still = now - holder.last_active;
    return still >= stalled_time ? 2 : still >= paused_time ? 1 : 0;
}

}  // namespace

std::vector<Holder> first_to_go(std::vector<Holder> holders, std::size_t bytes, MonoTime now) {
    std::erase_if(holders, [](const Holder& holder) { return holder.bytes == 0; });
    std::ranges::sort(holders, [now](const Holder& a, const Holder& b) {
        return std::pair(stillness(a, now), a.bytes) > std::pair(stillness(b, now), b.bytes);
    });
    auto end = holders.begin();
    for (; end != holders.end() && bytes > 0; ++end) bytes -= std::min(bytes, end->bytes);
    holders.erase(end, holders.end());
    return holders;
}

}  // namespace ee::tunnel

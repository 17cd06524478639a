#include "attestation/remote/requester_limit.h"

#include <algorithm>

#include "base/ip_address.h"

namespace ee::attestation {
namespace {

constexpr std::string_view all_others = "others";

}  // namespace

std::string address_block(std::string_view address) {
    const auto ip = IpAddress::parse(address);
    if (!ip) return {};
    const ByteArray<16>& bytes = ip->bytes();
    std::string text;
    if (ip->is_v4()) {  // Held as ::ffff:a.b.c.d.
        for (std::size_t i = 12; i < 15; ++i) text += std::to_string(bytes[i]) + ".";
        return text + "0/24";
    }
    constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < 8; ++i) {
        const unsigned byte = i < 7 ? bytes[i] : 0u;
        if (i > 0 && i % 2 == 0) text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 15u];
    }
    return text + "::/56";
}

bool RequesterLimit::take(std::string_view address, WallTime now) {
    std::deque<WallTime>& uses = uses_of(address_block(address), now);
    // Times of a clock that was set back are as good as over.
    while (!uses.empty() && (uses.front() + window_ <= now || uses.front() > now + window_)) uses.pop_front();
    if (uses.size() >= uses_max_) return false;
    uses.push_back(now);
    return true;
}

std::deque<WallTime>& RequesterLimit::uses_of(std::string block, WallTime now) {
    if (const auto known = uses_.find(block); known != uses_.end()) return known->second;
    if (uses_.size() >= blocks_max_)
        std::erase_if(uses_, [&](const auto& entry) {
            return entry.second.empty() || entry.second.back() + window_ <= now;
        });
    if (uses_.size() >= blocks_max_) return uses_[std::string(all_others)];
    return uses_[std::move(block)];
}

}  // namespace ee::attestation

#include "base/bytes.h"

namespace ee {

bool constant_time_equal(ByteSpan a, ByteSpan b) {
    if (a.size() != b.size()) return false;
    volatile std::uint8_t difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference = difference | static_cast<std::uint8_t>(a[i] ^ b[i]);
    return difference == 0;
}

}  // namespace ee

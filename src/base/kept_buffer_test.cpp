#include "base/kept_buffer.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

std::string filled(std::size_t size) {
    std::string buffer;
    buffer.append(size, 'x');
    return buffer;
}

TEST(KeptBuffer, WhatGrewForSomethingLargeIsGivenBack) {
    std::string large = filled(kept_capacity + 1);
    empty_buffer(large);
    EXPECT_TRUE(large.empty());
    EXPECT_LE(large.capacity(), kept_capacity);
    std::string released = filled(100);
    release_buffer(released);
    EXPECT_EQ(released.capacity(), std::string().capacity());
}

TEST(KeptBuffer, WhatIsSmallIsUsedAgain) {
    std::string small = filled(kept_capacity);
    const char* const memory = small.data();
    empty_buffer(small);
    EXPECT_TRUE(small.empty());
    small.append(kept_capacity, 'y');
    EXPECT_EQ(small.data(), memory);
}

TEST(KeptBuffer, WhatHasBeenTakenLeavesOnceItIsHalf) {
    std::string buffer = filled(4 * kept_capacity);
    std::size_t taken = 2 * kept_capacity - 1;
    drop_taken(buffer, taken);
    EXPECT_EQ(taken, 2 * kept_capacity - 1);
    ++taken;
    drop_taken(buffer, taken);
    EXPECT_EQ(taken, 0u);
    EXPECT_EQ(buffer.size(), 2 * kept_capacity);
}

TEST(KeptBuffer, BetweenPiecesItsMemoryIsKeptUnlessItIsVeryLarge) {
    for (const bool is_kept : {true, false}) {
        std::string buffer = filled(busy_capacity + (is_kept ? 0 : 1));
        const std::size_t capacity = buffer.capacity();
        std::size_t taken = buffer.size();
        drop_taken(buffer, taken);
        EXPECT_EQ(taken, 0u);
        EXPECT_TRUE(buffer.empty());
        EXPECT_EQ(buffer.capacity() == capacity, is_kept);
    }
}

}  // namespace
}  // namespace ee

#include "base/body_memory.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

TEST(BodyMemory, IsPressedFromHalfOnUntilAQuarterAndFullBeyondAll) {
    BodyMemory memory(1000);
    HeldBytes held(&memory);
    struct Row {
        std::size_t bytes;
        bool is_pressed, is_full;
    };
    const Row rows[] = {
        {0, false, false},   {500, false, false}, {501, true, false}, {1000, true, false},
        {1001, true, true},  {1000, true, false}, {251, true, false}, {250, false, false},
        {500, false, false}, {2000, true, true},  {0, false, false},
    };
    for (const Row& row : rows) {
        held.set(row.bytes);
        EXPECT_EQ(memory.held(), row.bytes);
        EXPECT_EQ(memory.is_pressed(), row.is_pressed) << row.bytes;
        EXPECT_EQ(memory.is_full(), row.is_full) << row.bytes;
    }
}

TEST(BodyMemory, CountsWhatEveryBufferHoldsUntilItIsGone) {
    BodyMemory memory(1000);
    HeldBytes one(&memory), alone;
    one += 300;
    alone += 5000;
    {
        HeldBytes other(&memory);
        other.set(400);
        EXPECT_EQ(memory.held(), 700u);
        HeldBytes moved = std::move(other);
        EXPECT_EQ(memory.held(), 700u);
        one = std::move(moved);
        EXPECT_EQ(one.bytes(), 400u);
    }
    EXPECT_EQ(memory.held(), 400u);
    one -= 100;
    EXPECT_EQ(memory.held(), 300u);
    EXPECT_EQ(alone.bytes(), 5000u);
}

TEST(BodyMemory, AsksForReliefOnceUntilItIsArmedAgain) {
    BodyMemory memory(1000);
    int asked = 0;
    memory.on_full([&] { ++asked; });
    HeldBytes held(&memory);
    held.set(1000);
    EXPECT_EQ(asked, 0);
    held.set(1001);
    held.set(2000);
    EXPECT_EQ(asked, 1);
    memory.rearm();
    EXPECT_EQ(asked, 1);
    held.set(1500);
    EXPECT_EQ(asked, 2);
    memory.rearm();
    held.set(900);
    EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace ee

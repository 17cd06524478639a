#include "base/siphash.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

// The reference implementation's vectors: key 00 01 … 0f, inputs 00 01 … of growing length.
TEST(SipHash, AgreesWithItsVectors) {
    ByteArray<16> key;
    Bytes input;
    for (std::uint8_t i = 0; i < 16; ++i) key[i] = i;
    struct Row {
        std::size_t size;
        std::uint64_t hash;
    };
    const Row rows[] = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5},
    };
    for (std::uint8_t i = 0; i < 16; ++i) input.push_back(i);
    for (const Row& row : rows)
        EXPECT_EQ(siphash(key, ByteSpan(input).first(row.size)), row.hash) << row.size;
}

TEST(SipHash, DependsOnItsKey) {
    const ByteArray<16> one{1}, other{2};
    EXPECT_NE(siphash(one, as_bytes("app")), siphash(other, as_bytes("app")));
}

}  // namespace
}  // namespace ee

#include "ledger/leaf.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::ledger {
namespace {

Leaf grid_leaf() {
    return {.kind = LeafKind::grid, .seq = 7, .time_us = -1, .fields = {field("hour")}};
}

Leaf entry_leaf() {
    return {.kind = LeafKind::entry,
            .seq = 42,
            .time_us = 1'767'225'600'000'000,
            .fields = {field(std::uint64_t{9}), field("alice"), field("purchase"), field("@issued"),
                       field(std::int64_t{12'500'000}), field(std::int64_t{0}),
                       field(std::int64_t{12'500'000}), field(std::int64_t{-1}), field("inv-1"), field("")}};
}

std::string code_of(const Bytes& bytes) {
    const auto leaf = decode_leaf(bytes);
    return leaf ? "ok" : leaf.error().code;
}

TEST(Leaf, IsEncodedAsThePageSays) {
    EXPECT_EQ(to_hex(encode_leaf(grid_leaf()).value()),
              "01"                // version
              "0a"                // kind 10, grid
              "0000000000000007"  // seq
              "ffffffffffffffff"  // time_us: -1
              "00000004"
              "686f7572");  // "hour"
}

TEST(Leaf, IsReadByTheNamesOfItsFields) {
    const Leaf leaf = decode_leaf(encode_leaf(entry_leaf()).value()).value();
    EXPECT_EQ(leaf, entry_leaf());
    EXPECT_EQ(leaf.u64("transfer"), 9U);
    EXPECT_EQ(leaf.text("account"), "alice");
    EXPECT_EQ(leaf.i64("available_delta"), 12'500'000);
    EXPECT_EQ(leaf.i64("locked_after"), -1);
    EXPECT_EQ(leaf.text("memo"), "");
}

TEST(Leaf, KindsHaveTheirNumbersAndNoOthersAre) {
    ASSERT_EQ(leaf_kinds().size(), 13U);
    for (std::size_t i = 0; i < leaf_kinds().size(); ++i)
        EXPECT_EQ(static_cast<std::size_t>(leaf_kinds()[i].kind), i + 1);
    EXPECT_EQ(find_leaf_kind(0), nullptr);
    EXPECT_EQ(find_leaf_kind(14), nullptr);
    EXPECT_EQ(to_string(LeafKind::log_key), "log_key");
}

struct Mutation {
    const char* name;
    void (*change)(Bytes& bytes);
    const char* code;
};

TEST(Leaf, RefusesWhatIsNotItsOneEncoding) {
    // Of the grid leaf: header 0..17, length 18..21, text 22..25.
    const std::vector<Mutation> cases = {
        {"another version", [](Bytes& b) { b[0] = 2; }, "leaf_version_unsupported"},
        {"kind 0", [](Bytes& b) { b[1] = 0; }, "leaf_kind_unknown"},
        {"kind 14", [](Bytes& b) { b[1] = 14; }, "leaf_kind_unknown"},
        {"a kind with other fields", [](Bytes& b) { b[1] = 9; }, "leaf_malformed:fields"},
        {"nothing", [](Bytes& b) { b.clear(); }, "leaf_malformed:header"},
        {"a short header", [](Bytes& b) { b.resize(17); }, "leaf_malformed:header"},
        {"no field", [](Bytes& b) { b.resize(18); }, "leaf_malformed:fields"},
        {"half a length", [](Bytes& b) { b.resize(20); }, "leaf_malformed:field_length"},
        {"a cut field", [](Bytes& b) { b.pop_back(); }, "leaf_malformed:field_length"},
        {"a longer length", [](Bytes& b) { b[21] = 5; }, "leaf_malformed:field_length"},
        {"a huge length", [](Bytes& b) { b[18] = 0xff; }, "leaf_malformed:field_length"},
        {"a trailing byte", [](Bytes& b) { b.push_back(0); }, "leaf_malformed:field_length"},
        {"a trailing field", [](Bytes& b) { b.insert(b.end(), 4, 0); }, "leaf_malformed:fields"},
        {"too many fields", [](Bytes& b) { b.insert(b.end(), 4 * 64, 0); }, "leaf_malformed:fields"},
        {"no UTF-8", [](Bytes& b) { b[22] = 0xff; }, "leaf_malformed:settle_period"},
        {"too large", [](Bytes& b) { b.resize(leaf_bytes_max + 1); }, "leaf_too_large"},
    };
    const Bytes good = encode_leaf(grid_leaf()).value();
    EXPECT_EQ(code_of(good), "ok");
    for (const Mutation& mutation : cases) {
        Bytes bytes = good;
        mutation.change(bytes);
        EXPECT_EQ(code_of(bytes), mutation.code) << mutation.name;
    }
}

TEST(Leaf, RefusesToEncodeWhatWouldNotDecode) {
    const auto code = [](const Leaf& leaf) {
        const auto bytes = encode_leaf(leaf);
        return bytes ? std::string("ok") : bytes.error().code;
    };
    Leaf leaf = entry_leaf();
    leaf.fields[0].push_back(0);
    EXPECT_EQ(code(leaf), "leaf_malformed:transfer");
    leaf = entry_leaf();
    leaf.fields[9] = {0xc0, 0x80};
    EXPECT_EQ(code(leaf), "leaf_malformed:memo");
    leaf = entry_leaf();
    leaf.fields.pop_back();
    EXPECT_EQ(code(leaf), "leaf_malformed:fields");
    leaf = entry_leaf();
    leaf.kind = static_cast<LeafKind>(14);
    EXPECT_EQ(code(leaf), "leaf_kind_unknown");
    leaf = entry_leaf();
    leaf.fields[9].assign(leaf_bytes_max, 'x');
    EXPECT_EQ(code(leaf), "leaf_too_large");
    leaf = grid_leaf();
    leaf.fields[0].assign(leaf_bytes_max - leaf_header_bytes - 4, 'x');
    ASSERT_EQ(code(leaf), "ok");
    EXPECT_EQ(decode_leaf(encode_leaf(leaf).value()).value(), leaf);
    leaf.fields[0].push_back('x');
    EXPECT_EQ(code(leaf), "leaf_too_large");
}

// Small alphabets, so that moving a byte from one field to the next is likely.
Leaf random_leaf(std::mt19937_64& random) {
    const KindRule& rule = leaf_kinds()[random() % leaf_kinds().size()];
    Leaf leaf{.kind = rule.kind,
              .seq = random() % 2,
              .time_us = static_cast<std::int64_t>(random() % 2),
              .fields = {}};
    for (const FieldRule& expected : rule.fields) {
        Bytes content;
        switch (expected.type) {
            case FieldType::u64:
            case FieldType::i64: content = field(std::uint64_t{random() % 2}); break;
            case FieldType::digest: content.assign(32, static_cast<std::uint8_t>(random() % 2)); break;
            case FieldType::digest_or_empty: content.assign(random() % 2 * 32, 0); break;
            case FieldType::text:
            case FieldType::bytes:
                content.assign(random() % 6, static_cast<std::uint8_t>(random() % 2 * 4));
                break;
        }
        leaf.fields.push_back(std::move(content));
    }
    return leaf;
}

// H4: distinct leaves have distinct bytes, and bytes that decode are the encoding of what they decode to.
TEST(Leaf, EncodingIsInjective) {
    std::mt19937_64 random(3);
    std::map<Bytes, Leaf> seen;
    for (int i = 0; i < 20'000; ++i) {
        const Leaf leaf = random_leaf(random);
        const Bytes bytes = encode_leaf(leaf).value();
        const auto [known, is_new] = seen.emplace(bytes, leaf);
        ASSERT_EQ(known->second, leaf);
        ASSERT_EQ(decode_leaf(bytes).value(), leaf);
        Bytes changed = bytes;
        changed[random() % changed.size()] ^= static_cast<std::uint8_t>(1U << random() % 8);
        if (const auto other = decode_leaf(changed)) {
            ASSERT_NE(*other, leaf);
            ASSERT_EQ(encode_leaf(*other).value(), changed);
        }
    }
    EXPECT_GT(seen.size(), 2000U);
}

}  // namespace
}  // namespace ee::ledger

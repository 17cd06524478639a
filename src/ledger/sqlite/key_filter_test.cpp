#include "ledger/sqlite/key_filter.h"

#include <random>
#include <set>
#include <stdexcept>

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

using Keys = std::set<std::string>;

// As a table shows them; counts how often it is asked.
struct Table {
    void operator()(std::string_view from, const auto& visit) const {
        ++scans;
        for (auto key = keys.lower_bound(std::string(from)); key != keys.end(); ++key)
            if (!visit(std::string_view(*key))) return;
    }

    Keys keys{};
    mutable int scans = 0;
};

std::string random_key(std::mt19937_64& random) {
    std::string key(random() % 20 == 0 ? random() % 4 : 16, '\0');
    for (char& byte : key) byte = static_cast<char>(random() % 7 == 0 ? 0 : random());
    return key;
}

class KeyFilterOf : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Bits, KeyFilterOf, testing::Values(8u, 12u, 16u));

// What there is, from before or added since, may always be there; what is not, seldom.
TEST_P(KeyFilterOf, MissesNoKey) {
    std::mt19937_64 random(5);
    Table table;
    while (table.keys.size() < 20'000) table.keys.insert(random_key(random));
    KeyFilter filter(GetParam());
    int wrong = 0, asked = 0;
    for (int i = 0; i < 60'000; ++i) {
        const std::string key = random_key(random);
        const bool may = filter.may_have(key, table);
        if (table.keys.contains(key)) {
            ASSERT_TRUE(may);
            continue;
        }
        ++asked;
        wrong += may ? 1 : 0;
        table.keys.insert(key);
        filter.add(key);
        ASSERT_TRUE(filter.may_have(key, table));
    }
    for (const std::string& key : table.keys) ASSERT_TRUE(filter.may_have(key, table));
    EXPECT_GT(asked, 50'000);
    EXPECT_LT(wrong, asked / 50);
}

TEST(KeyFilter, TheTableIsAskedOnceForABeginningUntilItHasTwiceTheKeys) {
    Table table;
    for (int i = 0; i < 200; ++i) table.keys.insert("aa" + std::to_string(1000 + i));
    KeyFilter filter(12);
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(filter.may_have("aa" + std::to_string(i), table));
    EXPECT_EQ(table.scans, 1);
    EXPECT_FALSE(filter.may_have("ba", table));
    EXPECT_EQ(table.scans, 2);
    int added = 0;
    for (; table.scans == 2; ++added) {
        const std::string key = "aa" + std::to_string(2000 + added);
        table.keys.insert(key);
        filter.add(key);
        ASSERT_TRUE(filter.may_have(key, table));
    }
    EXPECT_GE(added, 200);
    EXPECT_LT(added, 300);
}

TEST(KeyFilter, KeysOfEachLengthHaveTheirBeginning) {
    Table table;
    using namespace std::string_literals;
    table.keys = {"",      "\0"s,      "\0\0"s,    "\0\x01"s,  "\x10"s,        "\x10\0"s, "\x10\0\0"s,
                  "\x11"s, "\x11\x0f", "\xff\xf0", "\xff\xff", "\xff\xff\xff", "\xf0"s};
    for (const unsigned bits : {8u, 12u, 16u}) {
        KeyFilter filter(bits);
        for (const std::string& key : table.keys) EXPECT_TRUE(filter.may_have(key, table)) << bits;
        EXPECT_FALSE(filter.may_have("\x20", table));
    }
}

TEST(KeyFilter, BeyondItsMemoryEveryKeyMayBeThere) {
    Table table;
    KeyFilter filter(12, 64 * 64);
    std::mt19937_64 random(7);
    bool was_off = false;
    for (int i = 0; i < 100; ++i) {
        was_off = filter.may_have(random_key(random), table);
        EXPECT_LE(filter.bytes(), 64u * 64u);
    }
    EXPECT_TRUE(was_off);
    EXPECT_EQ(filter.bytes(), 0u);
    filter.clear();
    EXPECT_FALSE(filter.may_have("another", table));
}

TEST(KeyFilter, ATableThatCannotBeReadIsAskedAgain) {
    Table table;
    table.keys = {"a", "ab"};
    KeyFilter filter(12);
    const auto broken = [](std::string_view, const auto& visit) {
        visit(std::string_view("a"));
        throw std::runtime_error("disk");
    };
    EXPECT_THROW(filter.may_have("a", broken), std::runtime_error);
    EXPECT_TRUE(filter.may_have("ab", table));
}

TEST(KeyFilter, WhatIsForgottenIsAskedForAnew) {
    Table table;
    KeyFilter filter(12);
    EXPECT_FALSE(filter.may_have("a", table));
    table.keys.insert("a");
    filter.clear();
    EXPECT_TRUE(filter.may_have("a", table));
}

}  // namespace
}  // namespace ee::ledger

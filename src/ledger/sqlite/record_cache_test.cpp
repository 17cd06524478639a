#include "ledger/sqlite/record_cache.h"

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

const std::string record(1000, 'r');

std::string found(RecordCache& cache, std::string_view key) {
    const std::string* known = cache.find(key);
    return known == nullptr ? "unknown" : *known;
}

TEST(RecordCache, KnowsWhatWasAddedAsTheLastChangeMadeIt) {
    RecordCache cache(1 << 20);
    EXPECT_EQ(found(cache, "a"), "unknown");
    EXPECT_EQ(cache.add("a", "1"), "1");
    EXPECT_EQ(found(cache, "a"), "1");
    cache.changed("a", "2");
    EXPECT_EQ(found(cache, "a"), "2");
    cache.changed("a", std::nullopt);
    EXPECT_EQ(found(cache, "a"), "unknown");
    cache.changed("b", "3");
    EXPECT_EQ(found(cache, "b"), "unknown");
    cache.add("a", "4");
    cache.clear();
    EXPECT_EQ(found(cache, "a"), "unknown");
}

TEST(RecordCache, WhatIsNotAskedForGoesAndTheRestStays) {
    RecordCache cache(20 * record.size());
    cache.add("asked for", record);
    cache.add("not", record);
    for (int i = 0; i < 100; ++i) {
        cache.add(std::to_string(i), record);
        EXPECT_EQ(found(cache, "asked for"), record);
    }
    EXPECT_EQ(found(cache, "not"), "unknown");
    EXPECT_EQ(found(cache, "0"), "unknown");
    EXPECT_EQ(found(cache, "99"), record);
}

TEST(RecordCache, AChangeReachesWhatHasNotBeenAskedForLately) {
    RecordCache cache(20 * record.size());
    cache.add("a", "1");
    cache.add("b", "1");
    int added = 0;
    while (cache.generations() == 1) cache.add(std::to_string(added++), record);
    cache.changed("a", "2");
    cache.changed("b", std::nullopt);
    EXPECT_EQ(found(cache, "a"), "2");
    EXPECT_EQ(found(cache, "b"), "unknown");
}

// However often a record changes and grows, what it takes is counted once.
TEST(RecordCache, AChangeIsCountedByWhatItAdds) {
    RecordCache cache(20 * record.size());
    cache.add("other", record);
    cache.add("a", "1");
    for (int i = 0; i < 1000; ++i) cache.changed("a", record);
    cache.add("b", record);
    EXPECT_EQ(cache.generations(), 1);
    EXPECT_EQ(found(cache, "other"), record);
}

}  // namespace
}  // namespace ee::ledger

#include "ledger/batch.h"

#include <random>

#include <gtest/gtest.h>

#include "ledger/memory_store.h"

namespace ee::ledger {
namespace {

using Records = std::map<std::string, std::string>;

Records all(const Batch& batch, std::string_view prefix = "") {
    Records out;
    std::string last;
    batch.scan(Table::locks, prefix, [&](std::string_view key, std::string_view record) {
        EXPECT_TRUE(out.empty() || last < key);
        last = key;
        out.emplace(key, record);
        return true;
    });
    return out;
}

TEST(Batch, ReadsThroughToTheStore) {
    MemoryStore store;
    Changes changes;
    changes.of(Table::locks) = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
    store.commit(changes);
    Batch batch(store);
    batch.put(Table::locks, "b", "20");
    batch.erase(Table::locks, "c");
    batch.put(Table::locks, "d", "4");
    EXPECT_EQ(all(batch), (Records{{"a", "1"}, {"b", "20"}, {"d", "4"}}));
    EXPECT_EQ(batch.get(Table::locks, "c"), std::nullopt);
    EXPECT_EQ(batch.get(Table::locks, "a"), "1");
    EXPECT_EQ(store.get(Table::locks, "b"), "2") << "nothing is changed before the commit";
    store.commit(batch.take());
    EXPECT_EQ(all(Batch(store)), (Records{{"a", "1"}, {"b", "20"}, {"d", "4"}}));
}

TEST(Batch, ItsLeavesFollowThoseOfTheStore) {
    MemoryStore store;
    Changes changes;
    changes.leaves = {"0", "1"};
    store.commit(changes);
    Batch batch(store);
    EXPECT_TRUE(batch.is_empty());
    batch.append_leaf("2");
    EXPECT_FALSE(batch.is_empty());
    for (std::uint64_t index = 0; index < 3; ++index) EXPECT_EQ(batch.leaf(index), std::to_string(index));
    EXPECT_EQ(batch.leaf(3), std::nullopt);
}

TEST(Batch, AScanEndsWhenItIsTold) {
    MemoryStore store;
    Changes changes;
    changes.of(Table::locks) = {{"a", ""}, {"c", ""}, {"e", ""}};
    store.commit(changes);
    Batch batch(store);
    for (const char* key : {"b", "d", "f"}) batch.put(Table::locks, key, "");
    for (std::size_t stop = 1; stop <= 6; ++stop) {
        std::string seen;
        batch.scan(Table::locks, "", [&](std::string_view key, std::string_view) {
            seen += key;
            return seen.size() < stop;
        });
        EXPECT_EQ(seen, std::string("abcdef").substr(0, stop));
    }
}

// Against a plain map, with commands that are undone in between.
TEST(Batch, AgreesWithAPlainMap) {
    for (unsigned seed = 1; seed <= 200; ++seed) {
        std::mt19937 random(seed);
        MemoryStore store;
        Records model;
        for (int round = 0; round < 4; ++round) {
            Batch batch(store);
            for (int command = 0; command < 8; ++command) {
                const Batch::Mark mark = batch.mark();
                const Records before = model;
                for (unsigned step = random() % 6; step > 0; --step) {
                    const std::string key(1 + random() % 2, static_cast<char>('a' + random() % 4));
                    if (random() % 3 == 0) {
                        batch.erase(Table::locks, key);
                        model.erase(key);
                    } else {
                        const std::string record = std::to_string(random());
                        batch.put(Table::locks, key, record);
                        model[key] = record;
                    }
                    batch.append_leaf(key);
                }
                if (random() % 2 == 0) {
                    batch.undo_to(mark);
                    model = before;
                    ASSERT_EQ(batch.leaves().size(), mark.leaves);
                }
                ASSERT_EQ(all(batch), model) << "seed " << seed;
            }
            store.commit(batch.take());
            ASSERT_EQ(all(Batch(store)), model) << "seed " << seed;
        }
    }
}

}  // namespace
}  // namespace ee::ledger

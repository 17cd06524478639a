#include "events/sqlite/event_store.h"

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "sqlite/database.h"

namespace ee::events {
namespace {

using namespace std::chrono_literals;

SharedEvent event(std::uint64_t seq, const std::string& kind = "attested") {
    return std::make_shared<const Event>(Event{.seq = seq,
                                               .at = WallTime{std::chrono::milliseconds{1000 + seq}},
                                               .kind = kind,
                                               .app_name = "app",
                                               .agent_id = "agent",
                                               .node_id = "node",
                                               .code = "code",
                                               .detail = "detail",
                                               .data = "{}"});
}

// Hears what the store tells, and waits for it.
class Heard {
public:
    explicit Heard(EventStore& store) {
        store.on_written([this](const EventStore::Written& what) {
            // Under the lock: whoever waits may destroy this as soon as it is released.
            const std::lock_guard guard(mutex_);
            told_.push_back(what);
            changed_.notify_all();
        });
    }
    EventStore::Written wait_for(std::uint64_t through) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(
            changed_.wait_for(lock, 20s, [&] { return !told_.empty() && told_.back().through >= through; }));
        return told_.back();
    }
    std::size_t count() {
        const std::lock_guard guard(mutex_);
        return told_.size();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<EventStore::Written> told_;
};

struct EventStoreTest : testing::Test {
    EventStoreTest() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-events-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~EventStoreTest() override { std::filesystem::remove_all(folder); }

    std::filesystem::path file() const { return folder / "control.db"; }
    std::unique_ptr<EventStore> open(std::size_t kept_max = 100) const {
        return EventStore::open(file(), nullptr,
                                {.kept_max = kept_max, .gather_time = 5ms, .reserved_ahead = 10})
            .value();
    }
    Loaded load(std::size_t kept_max = 100) const { return open(kept_max)->take_loaded(); }
    // In a process that ends without a word, once all of them are on disk.
    void keep_and_be_killed(std::uint64_t first, std::uint64_t last) const {
        const pid_t child = ::fork();
        if (child == 0) {
            const auto store = open();
            Heard heard(*store);
            for (std::uint64_t seq = first; seq <= last; ++seq) store->keep(event(seq), 0);
            heard.wait_for(last);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_EQ(status, 0);
    }

    std::filesystem::path folder;
};

TEST_F(EventStoreTest, BeginsWithOne) {
    const Loaded loaded = load();
    EXPECT_TRUE(loaded.events.empty());
    EXPECT_EQ(loaded.next_seq, 1u);
    EXPECT_EQ(loaded.reserved_seq, 10u);
}

TEST_F(EventStoreTest, EventsAreThereAgainWithNumbersThatGoOn) {
    {
        const auto store = open();
        for (std::uint64_t seq = 1; seq <= 3; ++seq) store->keep(event(seq), 0);
    }
    const Loaded loaded = load();
    ASSERT_EQ(loaded.events.size(), 3u);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) EXPECT_EQ(loaded.events[seq - 1], *event(seq));
    EXPECT_EQ(loaded.next_seq, 4u);
    // Nothing was given by the run in between.
    EXPECT_EQ(load().next_seq, 4u);
}

TEST_F(EventStoreTest, AfterAKillNoNumberComesAgain) {
    keep_and_be_killed(1, 3);
    const Loaded loaded = load();
    EXPECT_EQ(loaded.events.size(), 3u);
    // Up to 10 were reserved, and may have been given.
    EXPECT_EQ(loaded.next_seq, 11u);
    EXPECT_EQ(loaded.reserved_seq, 20u);
    keep_and_be_killed(11, 40);
    EXPECT_GT(load().next_seq, 40u);
}

TEST_F(EventStoreTest, WhatComesTogetherIsWrittenTogether) {
    const auto store =
        EventStore::open(file(), nullptr, {.gather_time = 1500ms, .reserved_ahead = 1000}).value();
    Heard heard(*store);
    for (std::uint64_t seq = 1; seq <= 500; ++seq) store->keep(event(seq), 0);
    const EventStore::Written written = heard.wait_for(500);
    EXPECT_FALSE(written.failure);
    EXPECT_GE(written.reserved, 500u);
    EXPECT_EQ(heard.count(), 1u);
}

TEST_F(EventStoreTest, OldOnesAreDropped) {
    {
        const auto store = open();
        for (std::uint64_t seq = 1; seq <= 5; ++seq) store->keep(event(seq), seq > 3 ? seq - 3 : 0);
    }
    Loaded loaded = load();
    ASSERT_EQ(loaded.events.size(), 3u);
    EXPECT_EQ(loaded.events.front().seq, 3u);
    // The newest, where fewer are wanted.
    loaded = load(2);
    ASSERT_EQ(loaded.events.size(), 2u);
    EXPECT_EQ(loaded.events.front().seq, 4u);
}

TEST_F(EventStoreTest, ADiskThatRefusesIsToldOf) {
    const auto store = open();
    Heard heard(*store);
    store->keep(event(1), 0);
    heard.wait_for(1);
    auto other = sqlite::Database::open(file()).value();
    ASSERT_TRUE(other.execute("ALTER TABLE events RENAME TO elsewhere"));
    store->keep(event(2), 0);
    const EventStore::Written refused = heard.wait_for(2);
    ASSERT_TRUE(refused.failure);
    EXPECT_EQ(refused.failure->code, "store_unavailable");
    EXPECT_EQ(refused.reserved, 10u);
    ASSERT_TRUE(other.execute("ALTER TABLE elsewhere RENAME TO events"));
    store->keep(event(3), 0);
    EXPECT_FALSE(heard.wait_for(3).failure);
}

TEST_F(EventStoreTest, RemembersWhatWasDelivered) {
    EXPECT_EQ(open()->delivered(), std::nullopt);
    open()->set_delivered(5);
    EXPECT_EQ(open()->delivered(), 5u);
    {
        const auto store = open();
        for (std::uint64_t seq = 6; seq < 9; ++seq) store->set_delivered(seq);
    }
    EXPECT_EQ(open()->delivered(), 8u);
}

}  // namespace
}  // namespace ee::events

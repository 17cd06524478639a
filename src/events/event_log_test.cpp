#include "events/event_log.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace ee::events {
namespace {

struct TestStore final : Store {
    void keep(SharedEvent event, std::uint64_t drop) override {
        kept.push_back(std::move(event));
        drop_through = drop;
    }
    std::vector<SharedEvent> kept;
    std::uint64_t drop_through = 0;
};

struct Reader final : EventLog::Follower {
    explicit Reader(EventLog& followed, std::uint64_t from = 0, Filter wanted = {})
        : log(followed), position(from), filter(std::move(wanted)) {
        log.follow(*this);
    }
    ~Reader() { log.unfollow(*this); }

    void on_events() override {
        for (;;) {
            const EventLog::Next next = log.next(position, filter);
            position = next.position;
            if (next.lost)
                read += "lost<" + std::to_string(position + 1) + " ";
            else if (next.event)
                read += std::to_string(next.event->seq) + " ";
            else
                return;
        }
    }
    EventLog& log;
    std::uint64_t position;
    Filter filter;
    std::string read;
};

Event event(const std::string& app = "a", const std::string& kind = "attested") {
    return {.kind = kind, .app_name = app};
}

Loaded loaded(std::initializer_list<std::uint64_t> numbers, std::uint64_t next) {
    Loaded out{.next_seq = next, .reserved_seq = next + 9};
    for (const std::uint64_t seq : numbers) out.events.push_back({.seq = seq, .kind = "attested"});
    return out;
}

void write_all(EventLog& log, const TestStore& store) {
    log.written(store.kept.back()->seq, store.kept.back()->seq + 10, true);
}

TEST(EventLog, NumbersGrowFromWhereTheyWere) {
    TestStore store;
    EventLog log(store, loaded({5, 9}, 12));
    EXPECT_EQ(log.newest(), 11u);
    EXPECT_EQ(log.oldest(), 5u);
    EXPECT_EQ(log.add(event()), 12u);
    EXPECT_EQ(log.add(event()), 13u);
    ASSERT_EQ(store.kept.size(), 2u);
    EXPECT_EQ(store.kept[1]->seq, 13u);
}

TEST(EventLog, AnEventIsShownOnceItIsWritten) {
    TestStore store;
    EventLog log(store, loaded({}, 1));
    Reader reader(log);
    log.add(event());
    log.add(event());
    reader.on_events();
    EXPECT_EQ(reader.read, "");
    log.written(1, 10, true);
    EXPECT_EQ(reader.read, "1 ");
    log.written(2, 10, true);
    log.written(2, 10, true);
    EXPECT_EQ(reader.read, "1 2 ");
}

TEST(EventLog, AReaderGoesOnExactlyAfterItsNumber) {
    TestStore store;
    EventLog log(store, loaded({3, 4, 8, 9}, 10));
    struct Row {
        std::uint64_t after;
        const char* read;
    };
    const Row rows[] = {
        {2, "3 4 8 9 "},
        {3, "4 8 9 "},
        {4, "8 9 "},
        {5, "8 9 "},
        {8, "9 "},
        {9, ""},
        // What was before 3 is not known here.
        {1, "lost<3 3 4 8 9 "},
        {0, "lost<3 3 4 8 9 "},
        // Numbers that were never given.
        {10, "lost<3 3 4 8 9 "},
        {~std::uint64_t{0}, "lost<3 3 4 8 9 "},
    };
    for (const Row& row : rows) {
        Reader reader(log, row.after);
        reader.on_events();
        EXPECT_EQ(reader.read, row.read) << row.after;
    }
}

TEST(EventLog, NothingIsLostBeforeTheFirst) {
    TestStore store;
    EventLog log(store, loaded({}, 1));
    Reader reader(log);
    reader.on_events();
    EXPECT_EQ(reader.read, "");
    EXPECT_EQ(log.newest(), 0u);
}

TEST(EventLog, KeepsTheNewestAndSaysWhatASlowReaderMissed) {
    TestStore store;
    EventLog log(store, loaded({}, 1), 3);
    Reader slow(log);
    log.unfollow(slow);
    for (int i = 0; i < 5; ++i) {
        log.add(event());
        write_all(log, store);
    }
    EXPECT_EQ(store.drop_through, 2u);
    EXPECT_EQ(log.oldest(), 3u);
    slow.on_events();
    EXPECT_EQ(slow.read, "lost<3 3 4 5 ");
}

TEST(EventLog, EventsThatNeverReachedTheDiskInTimeAreLostLikeOthers) {
    TestStore store;
    EventLog log(store, loaded({}, 1), 2);
    Reader reader(log);
    for (int i = 0; i < 4; ++i) log.add(event());
    log.written(4, 10, true);
    EXPECT_EQ(reader.read, "lost<3 3 4 ");
}

TEST(EventLog, ADiskThatFailsCostsNoEventWhoseNumberIsReserved) {
    TestStore store;
    EventLog log(store, {.next_seq = 1, .reserved_seq = 2});
    Reader reader(log);
    for (int i = 0; i < 4; ++i) log.add(event());
    log.written(3, 2, false);
    // Number 3 might be given again after a restart: nobody may see it.
    EXPECT_EQ(reader.read, "1 2 ");
    EXPECT_EQ(log.lost(), 1u);
    log.written(4, 20, true);
    EXPECT_EQ(reader.read, "1 2 4 ");
    log.add(event());
    log.written(5, 20, false);
    EXPECT_EQ(reader.read, "1 2 4 5 ");
    EXPECT_EQ(log.lost(), 1u);
}

TEST(EventLog, FiltersByAppAndKind) {
    TestStore store;
    EventLog log(store, loaded({}, 1));
    Reader app(log, 0, {"b", ""}), kind(log, 0, {"", "draining"}), both(log, 0, {"b", "draining"});
    log.add(event("a"));
    log.add(event("b"));
    log.add(event("a", "draining"));
    log.add(event("b", "draining"));
    log.add(event("a"));
    write_all(log, store);
    EXPECT_EQ(app.read, "2 4 ");
    EXPECT_EQ(kind.read, "3 4 ");
    EXPECT_EQ(both.read, "4 ");
    // What it was not shown is behind it as well.
    EXPECT_EQ(both.position, 5u);
}

TEST(EventLog, CutsTextsBetweenCharacters) {
    TestStore store;
    EventLog log(store, loaded({}, 1));
    log.add({.kind = "attested",
             .detail = std::string(detail_bytes_max - 1, 'x') + "\xc3\xa9",
             .data = "{\"a\":\"" + std::string(data_bytes_max, 'x') + "\"}"});
    EXPECT_EQ(store.kept[0]->detail, std::string(detail_bytes_max - 1, 'x'));
    EXPECT_EQ(store.kept[0]->data, "");
}

TEST(Event, IsOneLineOfJson) {
    std::string out;
    append_json(out, {.seq = 7,
                      .at = from_rfc3339("2026-01-15T10:30:00.123Z").value(),
                      .kind = "backend_fail",
                      .app_name = "myapp",
                      .agent_id = "a1",
                      .code = "c",
                      .detail = "two\nlines"});
    EXPECT_EQ(out, R"({"seq":7,"at":"2026-01-15T10:30:00.123Z","kind":"backend_fail","app_name":"myapp",)"
                   R"("agent_id":"a1","node_id":null,"code":"c","detail":"two\nlines","data":{}})");
    out.clear();
    append_json(out, {.kind = "node_stake", .node_id = "n1", .data = R"({"stake_usd":"10"})"});
    EXPECT_NE(out.find(R"("node_id":"n1","code":"","detail":"","data":{"stake_usd":"10"}})"),
              std::string::npos);
}

// The page, the API's document and the table of kinds say the same.
TEST(Event, EveryKindIsDocumented) {
    const auto read = [](const char* name) {
        std::ifstream file(std::string(EE_SOURCE_DIR) + name);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    };
    const std::string page = read("/docs/events.md"), document = read("/src/api/openapi.yaml");
    for (const Kind& kind : kinds()) {
        const std::string name(kind.name);
        EXPECT_TRUE(is_kind(name));
        EXPECT_NE(page.find("| `" + name + "` | " + std::string(kind.means)), std::string::npos) << name;
        EXPECT_NE(document.find("            - " + name + "\n"), std::string::npos) << name;
    }
    EXPECT_FALSE(is_kind("events_lost"));
}

}  // namespace
}  // namespace ee::events

#include "ledger/leaf_check.h"

#include <functional>

#include <fmt/format.h>

#include "ledger/ledger_check.h"
#include "ledger/test_damaged_store.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

using Key = std::pair<Table, std::string>;

constexpr std::size_t available_after = 6;  // the field of an entry

void other_root(SignedHead& head) {
    head.head.root[5] ^= 1;
}

// alice and bob, who pay each other; the check begins between two of their entries and ends at the newest.
class LeafCheckTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(worker_.admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "a"));
        ASSERT_TRUE(worker_.admin(OpenAccount{.account = "bob", .token = token_of("bob")}, "b"));
        worker_.buy(40);
        pay(90);
        from_ = store_.leaf_count();
        pay(300);
    }
    void pay(int times) {
        for (const int end = paid_ + times; paid_ < end; ++paid_) {
            const bool back = paid_ % 3 == 2;
            const std::string from = back ? "bob" : "alice";
            ASSERT_TRUE(worker_.as(
                {.role = Role::holder, .token = token_of(from)},
                Transfer{.from = from, .to = back ? "alice" : "bob", .amount = Money(back ? 2 : 1)},
                "pay " + std::to_string(paid_)));
        }
    }
    Account alice() const { return find_account(Batch(store_), "alice").value(); }
    // The leaf of alice's first entry that is checked, of the one in the middle, and of the last one.
    std::uint64_t leaf_of(std::uint64_t line) const {
        return line_of(Batch(store_), alice(), line).leaf_index;
    }
    std::uint64_t first_line() const {
        std::uint64_t line = 0;
        while (leaf_of(line) < from_) ++line;
        return line;
    }
    void change_leaf(std::uint64_t index, const std::function<void(Leaf&)>& change) {
        Leaf leaf = decode_leaf(as_bytes(store_.leaf(index).value())).value();
        change(leaf);
        store_.leaves[index] = std::string(as_text(encode_leaf(leaf).value()));
    }
    void change_alice(const std::function<void(Account&)>& change) {
        Account account = alice();
        change(account);
        store_.records[{Table::accounts, "alice"}] = account.encode();
    }
    // One more of alice's, of which no entry is.
    void add_line(std::uint64_t leaf) {
        change_alice([&](Account& one) {
            EntryLine& more = one.newest[one.entries % lines_in_record];
            more = one.newest[(one.entries - 1) % lines_in_record];
            more.leaf_index = leaf;
            ++one.entries;
        });
    }
    // Wherever the line lies.
    void change_line(std::uint64_t number, const std::function<void(EntryLine&)>& change) {
        const Account account = alice();
        if (number / lines_in_record == account.entries / lines_in_record)
            return change_alice([&](Account& one) { change(one.newest[number % lines_in_record]); });
        const std::string key = entry_lines_key(account.number, number / lines_in_record);
        EntryLines lines = decode_lines(store_.get(Table::entries, key).value());
        change(lines[number % lines_in_record]);
        store_.records[{Table::entries, key}] = encode(lines);
    }
    static std::string checkpoint(std::uint64_t size) { return KeyWriter().number(size); }
    void change_checkpoint(std::uint64_t size, const std::function<void(SignedHead&)>& change) {
        SignedHead head = SignedHead::decode(store_.get(Table::checkpoints, checkpoint(size)).value());
        change(head);
        store_.records[{Table::checkpoints, checkpoint(size)}] = head.encode();
    }
    std::string check(std::uint64_t count, std::size_t row_max, const std::function<void(int)>& between) {
        LeafCheck leaves(from_, row_max);
        CheckReport report;
        int steps = 0;
        try {
            while (leaves.step(store_, count, report)) between(++steps);
        } catch (const DamagedRecord& damage) {
            report.find("records", damage.what());
        }
        std::string all;
        for (const std::string& finding : report.findings) all += finding + "\n";
        return all;
    }

    TestWorker worker_;
    DamagedStore store_{worker_.memory};
    std::uint64_t from_ = 0;
    int paid_ = 0;
};

// Nor do leaves that are damaged meanwhile keep it from what all others say.
TEST_F(LeafCheckTest, ATreeThatIsFarBehindCatchesUpWithoutTheLeavesSince) {
    LogReader reader(store_);
    LogTree tree = reader.load().value();
    const std::uint64_t before = tree.size();
    pay(300);
    ASSERT_GT(store_.leaf_count(), before + 2 * tile_hashes);
    store_.leaves[before] = std::nullopt;
    store_.leaves_read = 0;
    const auto caught_up = reader.catch_up(tree);
    ASSERT_TRUE(caught_up) << caught_up.error().detail;
    EXPECT_EQ(tree.head(), newest_head(store_)->head);
    EXPECT_LT(store_.leaves_read, tile_hashes);
}

// Whose hash is in a tile, so that the tree does not need it.
TEST_F(LeafCheckTest, ADamagedNewestLeafHaltsAStartAlsoWhereItIsTheLastOfATile) {
    int opened = 0;
    while (const std::uint64_t rest = store_.leaf_count() % tile_hashes)
        if (rest % 2 == 0)
            worker_.buy();
        else
            ASSERT_TRUE(worker_.admin(OpenAccount{.account = fmt::format("other{}", ++opened)},
                                      fmt::format("open {}", opened)));
    for (const auto& damaged : {std::optional<std::string>{}, std::optional<std::string>("leaf")}) {
        auto store = std::make_unique<DamagedStore>(worker_.memory);
        store->leaves[store_.leaf_count() - 1] = damaged;
        const auto started = LedgerWorker::start(
            std::move(store),
            [&](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return worker_.make_key(); },
            worker_.settings());
        ASSERT_TRUE(started) << started.error().detail;
        ASSERT_TRUE((*started)->standstill());
        EXPECT_EQ((*started)->standstill()->code, "ledger_halted");
        const std::string detail = (*started)->standstill()->detail;
        EXPECT_EQ(detail.ends_with(", the newest one, is missing"), !damaged) << detail;
    }
}

TEST_F(LeafCheckTest, ALogIsReadAsItsNewestCheckpointHasItOrNotAtAll) {
    const Key head{Table::meta, "head"};
    SignedHead other = newest_head(store_).value();
    other_root(other);
    const std::uint64_t size = store_.leaf_count();
    const std::pair<const char*, std::function<void(DamagedStore&)>> damages[] = {
        {"have another root", [&](DamagedStore& store) { store.records[head] = other.encode(); }},
        {"have another root", [&](DamagedStore& store) { store.leaves[size - 1] = "leaf"; }},
        {"have another root", [&](DamagedStore& store) { store.damaged_tile = {0, 0}; }},
        {"is missing", [&](DamagedStore& store) { store.leaves[size - 1] = std::nullopt; }},
        {"the newest checkpoint has", [&](DamagedStore& store) { store.records[head] = std::nullopt; }},
        {"no log id", [&](DamagedStore& store) { store.records[{Table::meta, "identity"}] = std::nullopt; }},
    };
    ASSERT_NE(size % tile_hashes, 0U) << "its last leaf is in no tile";
    for (const auto& [what, damage] : damages) {
        DamagedStore store(worker_.memory);
        damage(store);
        const auto tree = LogReader(store).load();
        ASSERT_FALSE(tree) << what;
        EXPECT_EQ(tree.error().code, "ledger_damaged") << what;
        EXPECT_NE(tree.error().detail.find(what), std::string::npos) << tree.error().detail;
    }
    // A tile of another size.
    const auto copy = copy_of(store_);
    Changes changes;
    changes.first_leaf = size;
    changes.tiles.push_back({.level = 0, .index = 0, .hashes = "hashes"});
    copy->commit(changes);
    EXPECT_EQ(LogReader(*copy).load().error().code, "ledger_damaged");
    EXPECT_EQ(Log::open(store_, {.log_id = std::string(32, 'b')}).error().code, "ledger_foreign");
}

TEST_F(LeafCheckTest, AnOlderSizeIsReadAsTheTreeHasIt) {
    LogReader reader(store_);
    const LogTree tree = reader.load().value();
    const std::uint64_t older = tree.size() - tree.size() % tile_hashes - 1;  // Its leaves are in a tile.
    EXPECT_TRUE(reader.load_at(tree, older));
    store_.leaves[older - 1] = "leaf";
    const auto other = reader.load_at(tree, older);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, "ledger_damaged");
    EXPECT_NE(other.error().detail.find("another root than the tree had then"), std::string::npos);
    std::string receipt = "{}";
    const auto beyond = reader.add_receipt(receipt, tree, tree.size(), newest_head(store_).value());
    ASSERT_FALSE(beyond) << "no tree has its own size as a leaf";
    EXPECT_EQ(beyond.error().code, "log_range");
    EXPECT_EQ(receipt, "{}");
}

TEST_F(LeafCheckTest, FindsNothingInAGoodLedgerHoweverSmallItsStepsAre) {
    for (const std::uint64_t count : {1, 7, 256, 100'000})
        for (const std::size_t row : {1, 5, 1000}) {
            const std::uint64_t end = store_.leaf_count();
            LeafCheck leaves(from_, row);
            CheckReport report;
            // The server goes on meanwhile: each step sees more than the one before.
            for (int steps = 0; leaves.step(store_, count, report); ++steps)
                if (steps < 5) pay(2);
            EXPECT_TRUE(report.is_good()) << count << ' ' << row << ' ' << report.findings.front();
            EXPECT_EQ(leaves.size(), end) << "it does not run after what is written";
            EXPECT_EQ(report.leaves, end - from_);
        }
    EXPECT_TRUE(check_ledger(store_, from_).is_good());
    EXPECT_TRUE(check_ledger(store_, 0).is_good());
}

TEST_F(LeafCheckTest, HasNothingToDoAtTheNewestCheckpoint) {
    from_ = store_.leaf_count();
    LeafCheck leaves(from_);
    CheckReport report;
    EXPECT_FALSE(leaves.step(store_, 1, report));
    EXPECT_TRUE(report.is_good());
    EXPECT_EQ(leaves.size(), from_);
}

TEST_F(LeafCheckTest, NamesWhatIsDamagedAsAStartDoes) {
    const std::uint64_t first = first_line(), last = alice().entries - 1, middle = (first + last) / 2;
    const std::uint64_t size = store_.leaf_count();
    struct Damage {
        const char* name;
        std::function<void()> make;
        const char* finding;
    };
    const Damage damages[] = {
        {"a leaf is gone", [&] { store_.leaves[leaf_of(middle)] = std::nullopt; }, "leaves: leaf "},
        {"a leaf is cut off", [&] { store_.leaves[leaf_of(middle)] = "\1"; }, "bytes, the header has"},
        {"a leaf has another number", [&] { change_leaf(leaf_of(middle), [](Leaf& leaf) { ++leaf.seq; }); },
         "seq_is_dense"},
        {"a leaf is earlier", [&] { change_leaf(leaf_of(middle), [](Leaf& leaf) { --leaf.time_us; }); },
         "time_goes_on"},
        {"a leaf has another memo",
         [&] { change_leaf(leaf_of(middle), [](Leaf& leaf) { leaf.fields[9] = {'x'}; }); },
         "has another root than they"},
        {"an entry has another balance",
         [&] { change_leaf(leaf_of(middle), [](Leaf& leaf) { leaf.fields[available_after][7] ^= 1; }); },
         "does not continue leaf"},
        {"a checkpoint has another root",
         [&] { change_checkpoint(head_with(store_, leaf_of(middle))->head.size, other_root); },
         "another root than they"},
        {"the checkpoint where it begins has another root", [&] { change_checkpoint(from_, other_root); },
         "another root than they"},
        {"a checkpoint has a note of another size",
         [&] {
             change_checkpoint(head_with(store_, leaf_of(middle))->head.size,
                               [&](SignedHead& head) { head.note = head_with(store_, from_)->note; });
         },
         "notes: the checkpoint of "},
        {"the checkpoint where it begins has a note of another log",
         [&] {
             change_checkpoint(from_, [](SignedHead& head) {
                 char& digit = head.note[head.note.find('/') + 1];
                 digit = digit == '0' ? '1' : '0';
             });
         },
         "notes: the checkpoint of "},
        {"a checkpoint's note is cut off",
         [&] {
             change_checkpoint(head_with(store_, leaf_of(middle))->head.size,
                               [](SignedHead& head) { head.note.resize(head.note.find("\n\n") + 2); });
         },
         "no signature"},
        {"the newest checkpoint is gone",
         [&] { store_.records[{Table::checkpoints, checkpoint(size)}] = std::nullopt; }, "the newest one"},
        {"the newest checkpoint is of another time",
         [&] { change_checkpoint(size, [](SignedHead& head) { ++head.time_us; }); },
         "is not what is kept as it"},
        {"a tile is damaged", [&] { store_.damaged_tile = {0, 1}; }, "root: "},
        {"an account is gone", [&] { store_.records[{Table::accounts, "alice"}] = std::nullopt; },
         "which is no account"},
        {"an account has more than its journal says",
         [&] { change_alice([](Account& a) { a.available = Money(9); }); },
         "alice has 0.000009 USD available"},
        {"an account has more locked", [&] { change_alice([](Account& a) { a.locked = Money(9); }); },
         "and 0.000009 locked"},
        {"an account and its last line have more",
         [&] {
             change_alice([&](Account& a) {
                 a.available = Money(9);
                 a.newest[last % lines_in_record].available = Money(9);
             });
         },
         "by its journal"},
        {"an account has lost its last line", [&] { change_alice([](Account& a) { --a.entries; }); },
         "of the journal of alice"},
        {"an account has a line too much", [&] { add_line(leaf_of(last)); }, "is no entry of it"},
        {"an account has a line of a leaf that is not there yet", [&] { add_line(size); },
         "is no entry of it"},
        {"its first line is of another leaf",
         [&] { change_line(first, [](EntryLine& line) { --line.leaf_index; }); }, "of the journal of alice"},
        {"a line in the middle has another balance",
         [&] { change_line(middle, [](EntryLine& line) { line.available = Money(9); }); }, "by its journal"},
        {"a line in the middle is of another time",
         [&] { change_line(middle, [](EntryLine& line) { line.at += std::chrono::seconds(1); }); },
         "its line in the journal of alice of"},
        {"the line before has another balance",
         [&] { change_line(first - 1, [](EntryLine& line) { line.available = Money(9); }); },
         "does not continue what alice had before"},
        {"the lines before are gone",
         [&] {
             store_
                 .records[{Table::entries, entry_lines_key(alice().number, (first - 1) / lines_in_record)}] =
                 std::nullopt;
         },
         "records: "},
    };
    ASSERT_NE(alice().entries % lines_in_record, 0U) << "its last line lies with it";
    ASSERT_NE(alice().entries % lines_in_record, lines_in_record - 1) << "one more does, too";
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.name);
        damage.make();
        const std::string found = check(100'000, 100, [](int) {});
        EXPECT_NE(found.find(damage.finding), std::string::npos) << found;
        EXPECT_NE(check(3, 1, [](int) {}), "");
        const CheckReport at_start = check_ledger(store_, from_);
        EXPECT_FALSE(at_start.is_good()) << "at a start";
        EXPECT_FALSE(check_ledger(store_, 0).is_good()) << "of all";
        store_.records.clear();
        store_.leaves.clear();
        store_.damaged_tile.reset();
        ASSERT_EQ(check(100'000, 100, [](int) {}), "");
    }
}

// A start has no time for them.
TEST_F(LeafCheckTest, TheFullCheckVerifiesEachCheckpointsSignature) {
    worker_.start();  // with another key
    pay(3);
    ASSERT_TRUE(check_ledger(store_, 0).is_good());
    const std::uint64_t size = head_with(store_, leaf_of(first_line()))->head.size;
    const std::pair<const char*, std::function<void(SignedHead&)>> damages[] = {
        {"does not hold",
         [](SignedHead& head) {
             char& letter = head.note[head.note.size() - 10];
             letter = letter == 'A' ? 'B' : 'A';
         }},
        {"is no key before it", [](SignedHead& head) { ++head.log_key_index; }},
    };
    for (const auto& [finding, damage] : damages) {
        change_checkpoint(size, damage);
        const CheckReport report = check_ledger(store_, 0);
        ASSERT_EQ(report.findings.size(), 1U) << finding;
        EXPECT_TRUE(
            report.findings[0].starts_with(fmt::format("notes: the checkpoint of {} leaves: ", size)));
        EXPECT_NE(report.findings[0].find(finding), std::string::npos) << report.findings[0];
        EXPECT_TRUE(check_ledger(store_, from_).is_good());
        store_.records.clear();
    }
}

TEST_F(LeafCheckTest, FindsATileThatIsDamagedWhileItReads) {
    const std::string found = check(10, 100, [&](int step) {
        if (step == 2) store_.damaged_tile = {0, 1};
    });
    EXPECT_NE(found.find("tiles: tile 1 of level 0"), std::string::npos) << found;
}

// Sums over accounts are the whole check's, and so are accounts that nothing was appended for.
TEST_F(LeafCheckTest, AStartChecksAccountsWithoutNewEntriesToo) {
    from_ = store_.leaf_count();
    change_alice([](Account& account) { account.available = Money(account.available.micro() - 1); });
    auto bob = find_account(Batch(store_), "bob").value();
    bob.available = Money(bob.available.micro() + 1);
    store_.records[{Table::accounts, "bob"}] = bob.encode();
    EXPECT_EQ(check(1000, 100, [](int) {}), "");
    const CheckReport report = check_ledger(store_, from_);
    ASSERT_EQ(report.findings.size(), 2U) << "the sums are what they were";
    EXPECT_NE(report.findings[0].find("balance_is_its_entries: alice"), std::string::npos);
}

// A line that no entry is of, in a journal that was not appended to.
TEST_F(LeafCheckTest, TheFullCheckCountsTheLinesOfAllJournals) {
    ASSERT_TRUE(worker_.admin(OpenAccount{.account = "carol", .token = token_of("carol")}, "c"));
    Account carol = find_account(Batch(store_), "carol").value();
    carol.entries = 1;
    carol.newest[0] = {
        .leaf_index = store_.leaf_count() - 1, .at = worker_.now, .available = {}, .locked = {}};
    store_.records[{Table::accounts, "carol"}] = carol.encode();
    const CheckReport report = check_ledger(store_, 0);
    ASSERT_EQ(report.findings.size(), 1U);
    EXPECT_NE(report.findings[0].find("lines are in the accounts' journals"), std::string::npos);
}

// ---- What the worker does with it ----

TEST_F(LeafCheckTest, AStartReadsOnlyWhatCameAfterTheMarkThatMoved) {
    const std::uint64_t end = store_.leaf_count();
    worker_.worker->checked(end);
    pay(3);  // answered after it
    EXPECT_EQ(verified_size(store_), end);
    const std::uint64_t appended = store_.leaf_count() - end;
    store_.leaves_read = 0;
    EXPECT_EQ(check_ledger(store_, verified_size(store_)).leaves, appended);
    // And what the tree's right edge takes: twice a tile at most, of where it begins and where it ends.
    EXPECT_LE(store_.leaves_read, appended + 2 * tile_hashes + 1);
    worker_.start();
    EXPECT_FALSE(worker_.worker->standstill());
    EXPECT_GE(verified_size(store_), end + appended);
}

TEST_F(LeafCheckTest, WhatACheckFoundEndsWritingAsAStartThatFindsItDoes) {
    const std::uint64_t mark = verified_size(store_);
    worker_.worker->checked(fail("ledger_halted", "leaves: leaf 7 is missing"));
    worker_.worker->checked(store_.leaf_count());  // Nothing good comes after it.
    const auto refused = worker_.admin(Purchase{.account = "alice", .amount = Money(1)}, "after");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "ledger_halted");
    EXPECT_EQ(worker_.worker->standstill()->detail, "leaves: leaf 7 is missing");
    EXPECT_FALSE(worker_.worker->head());
    worker_.worker.reset();
    EXPECT_EQ(verified_size(store_), mark);
}

TEST_F(LeafCheckTest, AMarkThatCantBeKeptEndsWritingAndTheNextStartChecksItAll) {
    const std::uint64_t mark = verified_size(store_);
    worker_.faults->disk_fails = true;
    worker_.worker->checked(store_.leaf_count());
    EXPECT_EQ(worker_.admin(Purchase{.account = "alice", .amount = Money(1)}, "after").error().code,
              "store_unavailable");
    worker_.worker.reset();
    worker_.faults->disk_fails = false;
    EXPECT_EQ(verified_size(store_), mark);
    worker_.start();
    EXPECT_FALSE(worker_.worker->standstill());
    EXPECT_GT(verified_size(store_), mark);
}

}  // namespace
}  // namespace ee::ledger

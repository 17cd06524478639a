#include "ledger/forks.h"

#include <gtest/gtest.h>

#include "ledger/test_damaged_store.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

using Finding = Witnessed::Finding;

Result<Witnessed> judge(const Store& store, const std::string& note) {
    LogReader reader(store);
    const LogTree tree = reader.load().value();
    LoggedKeys keys;
    keys.catch_up(store);
    return judge_witnessed(store, reader, tree, keys, note);
}

// A log whose key is in a file, as far as `witnessed`; and what an older copy of it has become.
class ForksTest : public testing::Test {
protected:
    ForksTest() {
        first.pem = crypto::SigningKey::generate(crypto::KeyKind::ed25519).to_pem().reveal();
        first.start();  // with that key
        EXPECT_TRUE(first.admin(OpenAccount{.account = "alice"}, "open"));
        first.buy(3);
        copy = copy_of(*first.memory);
        copied_size = copy->leaf_count();
        first.buy(4);
        witnessed = first.worker->head()->note;
        witnessed_size = first.worker->head()->head.size;
    }
    // The copy starts, and goes on by itself.
    TestWorker& restored(int buys) {
        second.emplace(copy, first.pem);
        EXPECT_TRUE(second->admin(OpenAccount{.account = "bob"}, "bob"));
        for (int i = 0; i < buys; ++i)
            EXPECT_TRUE(second->admin(Purchase{.account = "bob", .amount = Money(2)}, std::to_string(i)));
        return *second;
    }
    // What the worker says once it has looked at `what`.
    static std::string code_after(TestWorker& worker, Witnessed what) {
        worker.worker->witnessed(std::move(what));
        const auto reply = worker.admin(OpenAccount{.account = "carol"}, "carol");
        return reply ? "" : reply.error().code;
    }
    static void accept(TestWorker& worker, std::optional<std::uint64_t> lost_to) {
        worker.worker.reset();
        const auto loss = accepted_loss(*worker.memory, lost_to);
        ASSERT_TRUE(loss) << loss.error().detail;
        worker.memory->commit(accept_loss(*worker.memory, *loss, {9}));
        worker.start();
    }

    TestWorker first;
    std::shared_ptr<MemoryStore> copy;
    std::uint64_t copied_size = 0;
    std::string witnessed;
    std::uint64_t witnessed_size = 0;
    std::optional<TestWorker> second;
};

TEST_F(ForksTest, EveryCheckpointOfTheLogItselfIsConsistent) {
    int count = 0;
    first.memory->scan(Table::checkpoints, "", [&](std::string_view, std::string_view record) {
        const auto found = judge(*first.memory, SignedHead::decode(record).note);
        EXPECT_TRUE(found && found->finding == Finding::consistent);
        return ++count < 100;
    });
    EXPECT_GE(count, 9);
}

// H3: an older file than the last checkpoint that somebody has seen.
TEST_F(ForksTest, ALargerCheckpointStopsAnOlderCopyForGood) {
    TestWorker& worker = restored(0);
    const auto found = judge(*worker.memory, witnessed);
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->finding, Finding::newer);
    EXPECT_EQ(code_after(worker, *found), "ledger_forked");
    const auto why = worker.worker->standstill();
    ASSERT_TRUE(why);
    EXPECT_NE(why->detail.find("size " + std::to_string(witnessed_size)), std::string::npos) << why->detail;
    EXPECT_NE(why->detail.find("size " + std::to_string(found->here.size)), std::string::npos) << why->detail;
    EXPECT_EQ(worker.worker->head(), nullptr);

    const std::uint64_t leaves = worker.memory->leaf_count();
    worker.start();
    EXPECT_EQ(worker.admin(OpenAccount{.account = "dave"}, "dave").error().code, "ledger_forked");
    EXPECT_EQ(worker.memory->leaf_count(), leaves) << "a forked log is not written to, not even at its start";
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
}

// H3: two signed checkpoints of one size with different roots.
TEST_F(ForksTest, ACheckpointWithAnotherRootStopsALogThatIsLongerByNow) {
    TestWorker& worker = restored(20);
    const auto found = judge(*worker.memory, witnessed);
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->finding, Finding::differs);
    EXPECT_EQ(found->here.size, witnessed_size);
    EXPECT_EQ(code_after(worker, *found), "ledger_forked");
}

// Of two that run from one copy each shows the other.
TEST_F(ForksTest, BothHistoriesOfOneCopyStopEachOther) {
    TestWorker& worker = restored(2);
    const auto here = judge(*first.memory, worker.worker->head()->note);
    ASSERT_TRUE(here) << here.error().detail;
    EXPECT_TRUE(here->is_fork());
    EXPECT_EQ(code_after(first, *here), "ledger_forked");
    EXPECT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
}

TEST_F(ForksTest, WhatNoKeyOfThisLogSignedCountsForNothing) {
    const auto stranger = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    const auto own = crypto::SigningKey::from_pem(first.pem).value();
    const std::string id = first.worker->identity().log_id;
    const Checkpoint made_up{.log_id = id, .head = {.size = 1'000, .root = {1}}};
    std::string forged = sign_checkpoint(made_up, own);
    forged.replace(forged.find("\n1000\n"), 6, "\n1001\n");
    // The signature is a stranger's, under the name of the log's own key.
    std::string disguised = sign_checkpoint(made_up, own);
    const std::string strange = sign_checkpoint(made_up, stranger);
    disguised.replace(disguised.size() - 40, 40, strange, strange.size() - 40, 40);
    const struct {
        std::string note;
        const char* code;
    } cases[] = {
        {"", "checkpoint_malformed"},
        {"nonsense", "checkpoint_malformed"},
        {std::string(20'000, 'x'), "checkpoint_too_large"},
        {strange, "checkpoint_unsigned"},
        {forged, "checkpoint_signature_invalid"},
        {disguised, "checkpoint_signature_invalid"},
        {sign_checkpoint({.log_id = std::string(32, 'b'), .head = made_up.head}, own),
         "checkpoint_other_log"},
    };
    for (const auto& [note, code] : cases) {
        const auto found = judge(*first.memory, note);
        ASSERT_FALSE(found) << code;
        EXPECT_EQ(found.error().code, code);
    }
    EXPECT_EQ(judge(*first.memory, sign_checkpoint(made_up, own))->finding, Finding::newer);
    Witnessed harmless = judge(*first.memory, witnessed).value();
    EXPECT_EQ(code_after(first, harmless), "");
}

TEST_F(ForksTest, AnAcceptedLossIsInTheLogAndIsNoForkAnyMore) {
    TestWorker& worker = restored(3);
    ASSERT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
    accept(worker, std::nullopt);
    EXPECT_FALSE(worker.worker->standstill());
    const auto loss = loss_of(*worker.memory, witnessed_size);
    ASSERT_TRUE(loss);
    const auto leaf = decode_leaf(as_bytes(*worker.memory->leaf(loss->leaf_index)));
    ASSERT_TRUE(leaf);
    EXPECT_EQ(leaf->kind, LeafKind::restored);
    EXPECT_EQ(leaf->u64("size"), copied_size) << "where the copy's first start found it";
    EXPECT_EQ(leaf->u64("lost_size"), witnessed_size - copied_size);
    EXPECT_EQ(judge(*worker.memory, witnessed)->finding, Finding::lost);
    EXPECT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "");
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());

    // It is said once.
    const std::uint64_t leaves = worker.memory->leaf_count();
    worker.start();
    EXPECT_EQ(worker.memory->leaf_count(), leaves + 1) << "the key's";
    EXPECT_EQ(judge(*worker.memory, witnessed)->finding, Finding::lost);
}

TEST_F(ForksTest, MoreThanWasAcceptedIsAForkAgain) {
    first.buy(2);
    const std::string later = first.worker->head()->note;
    TestWorker& worker = restored(0);
    ASSERT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
    accept(worker, std::nullopt);
    const auto found = judge(*worker.memory, later);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->is_fork());
    EXPECT_EQ(code_after(worker, *found), "ledger_forked");
}

// What the log goes on with after an accepted loss is no part of it, though it has sizes of the lost range.
class AfterALossTest : public ForksTest {
protected:
    // `fresh_key`: as in a TEE. The worker that has accepted it.
    TestWorker& with_loss(bool fresh_key) {
        first.buy(20);
        witnessed = first.worker->head()->note;
        TestWorker& worker = restored(0);
        EXPECT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
        if (fresh_key) worker.pem.clear();
        accept(worker, std::nullopt);
        return worker;
    }
    static std::string goes_on(TestWorker& worker, int& number) {
        EXPECT_TRUE(worker.admin(Purchase{.account = "bob", .amount = Money(2)},
                                 "later " + std::to_string(++number)));
        return worker.worker->head()->note;
    }
    static std::string without_mark(const std::string& note) {
        return note.substr(0, note.rfind('\n', note.size() - 2) + 1);
    }

    int number = 0;
};

TEST_F(AfterALossTest, ARollbackIsFoundOutAtEverySize) {
    for (const bool fresh_key : {false, true}) {
        SCOPED_TRACE(fresh_key);
        TestWorker& worker = with_loss(fresh_key);
        const auto again = copy_of(*worker.memory);
        for (int i = 0; i < 5; ++i) {
            const auto found = judge(*again, goes_on(worker, number));
            ASSERT_TRUE(found) << found.error().detail;
            ASSERT_TRUE(loss_of(*again, found->checkpoint.head.size)) << "of a size that was lost";
            EXPECT_EQ(found->finding, Finding::newer);
        }
        // Also once it is longer, and after a start: outside a TEE the key is the same.
        if (!fresh_key) worker.start();
        const std::string note = goes_on(worker, number);
        TestWorker rolled_back(again, first.pem);
        EXPECT_TRUE(rolled_back.admin(OpenAccount{.account = "erin"}, "erin"));
        for (int i = 0; i < 12; ++i)
            EXPECT_TRUE(
                rolled_back.admin(Purchase{.account = "erin", .amount = Money(3)}, std::to_string(i)));
        const auto found = judge(*again, fresh_key ? without_mark(note) : note);
        ASSERT_TRUE(found) << found.error().detail;
        EXPECT_EQ(found->finding, Finding::differs);
        EXPECT_EQ(code_after(rolled_back, *found), "ledger_forked");
        EXPECT_EQ(judge(*again, witnessed)->finding, Finding::lost);
    }
}

TEST_F(AfterALossTest, NobodyElseCanSayThatALostCheckpointCameAfterIt) {
    TestWorker& worker = with_loss(false);
    const auto parsed = parse_checkpoint(worker.worker->head()->note);
    const auto named = losses_named(*parsed);
    ASSERT_EQ(named.size(), 1u);
    const std::string made_up = loss_mark(parse_checkpoint(witnessed)->checkpoint, named, {8});
    EXPECT_EQ(judge(*worker.memory, witnessed + made_up)->finding, Finding::lost);
    const std::string own = worker.worker->head()->note;
    EXPECT_EQ(judge(*worker.memory, witnessed + own.substr(without_mark(own).size()))->finding,
              Finding::lost);
}

// A copy that has the first loss only.
TEST_F(AfterALossTest, EachLossExplainsOnlyWhatHasNotGoneThroughIt) {
    TestWorker& worker = with_loss(false);
    const auto again = copy_of(*worker.memory);
    const std::string between = goes_on(worker, number);
    TestWorker rolled_back(again, first.pem);
    ASSERT_EQ(code_after(rolled_back, judge(*again, between).value()), "ledger_forked");
    const auto once = copy_of(*again);
    accept(rolled_back, std::nullopt);
    EXPECT_EQ(losses_named(*parse_checkpoint(rolled_back.worker->head()->note)).size(), 2u);
    EXPECT_EQ(judge(*again, between)->finding, Finding::lost) << "by the second";
    EXPECT_EQ(judge(*again, witnessed)->finding, Finding::lost) << "by the first";
    EXPECT_TRUE(judge(*once, rolled_back.worker->head()->note)->is_fork());
    EXPECT_TRUE(check_ledger(*again, 0).is_good());
}

TEST_F(ForksTest, NoMoreIsAcceptedThanSomebodyHasSeen) {
    EXPECT_EQ(accepted_loss(*copy, copied_size + unseen_lost_max + 1).error().code, "size_too_large");
    EXPECT_TRUE(accepted_loss(*copy, copied_size + unseen_lost_max));
    TestWorker& worker = restored(0);
    ASSERT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
    worker.worker.reset();
    EXPECT_EQ(accepted_loss(*worker.memory, witnessed_size + 1).error().code, "size_too_large");
    EXPECT_TRUE(accepted_loss(*worker.memory, witnessed_size));
}

TEST_F(ForksTest, EveryWitnessThatComesMeanwhileAddsToWhatIsToBeAccepted) {
    first.buy(2);
    const std::string later = first.worker->head()->note;
    TestWorker& worker = restored(0);
    ASSERT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
    ASSERT_EQ(code_after(worker, judge(*worker.memory, later).value()), "ledger_forked");
    worker.worker.reset();  // It has stored both by then.
    EXPECT_EQ(accepted_loss(*worker.memory, witnessed_size).error().code, "size_too_small");
    accept(worker, std::nullopt);
    for (const std::string& note : {witnessed, later})
        EXPECT_EQ(judge(*worker.memory, note)->finding, Finding::lost);
}

TEST_F(ForksTest, BeforeAnybodyShowsALossItsSizeHasToBeSaid) {
    EXPECT_EQ(accepted_loss(*copy, std::nullopt).error().code, "size_missing");
    EXPECT_EQ(accepted_loss(*copy, copied_size).error().code, "size_too_small");
    const auto loss = accepted_loss(*copy, witnessed_size);
    ASSERT_TRUE(loss);
    EXPECT_EQ(loss->size, copied_size);
    copy->commit(accept_loss(*copy, *loss, {8}));
    TestWorker& worker = restored(1);
    EXPECT_EQ(judge(*worker.memory, witnessed)->finding, Finding::lost);
}

// Or whoever has a receipt of what was lost could try out what took its place.
TEST_F(ForksTest, WhatComesInThePlaceOfLostLeavesHasOtherSalts) {
    const LogIdentity before = identity_of(*copy).value();
    const auto accept_in_copy = [&](std::uint64_t lost_to, std::uint8_t secret) {
        copy->commit(accept_loss(*copy, accepted_loss(*copy, lost_to).value(), {secret}));
    };
    accept_in_copy(witnessed_size + 1, 7);
    accept_in_copy(witnessed_size, 8);  // The operator thinks again; 7 is the log's first.
    TestWorker& worker = restored(3);
    const auto differ_from = [&](std::uint64_t size, const LogIdentity& then, const LogIdentity& now) {
        for (std::uint64_t leaf = 0; leaf < size + 3; ++leaf)
            EXPECT_EQ(salt_of(then, leaf) == salt_of(now, leaf), leaf < size) << leaf;
    };
    const LogIdentity once = identity_of(*worker.memory).value();
    EXPECT_EQ(once.later_secrets.size(), 1u);
    EXPECT_EQ(once.salt_secret, before.salt_secret) << "it proves marks of before";
    differ_from(copied_size, before, once);
    const std::uint64_t size = worker.memory->leaf_count();
    ASSERT_GT(size, copied_size + 3);
    accept(worker, size + 1);
    const LogIdentity twice = identity_of(*worker.memory).value();
    differ_from(copied_size, before, twice);
    differ_from(size, once, twice);
    EXPECT_FALSE(worker.worker->standstill());
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
    EXPECT_EQ(LogIdentity::decode(twice.encode()), twice);
    EXPECT_EQ(before.encode(), RecordWriter().text(before.log_id).array(before.salt_secret).take());
}

TEST_F(ForksTest, ADiskThatFailsDoesNotHideAFork) {
    TestWorker& worker = restored(0);
    const Witnessed found = judge(*worker.memory, witnessed).value();
    worker.faults->disk_fails = true;
    EXPECT_EQ(code_after(worker, found), "ledger_forked");
    worker.faults->disk_fails = false;
    worker.start();
    EXPECT_FALSE(worker.worker->standstill()) << "it could not be kept";
    EXPECT_EQ(code_after(worker, judge(*worker.memory, witnessed).value()), "ledger_forked");
}

TEST_F(ForksTest, AKeyThatWasLoggedAfterTheCopyIsNotKnownThere) {
    TestWorker& worker = restored(0);
    first.pem.clear();
    first.start();  // a fresh key, as in a TEE
    EXPECT_EQ(judge(*worker.memory, first.worker->head()->note).error().code, "checkpoint_unsigned");
}

TEST_F(ForksTest, ALogKeyThatIsNoneIsDamage) {
    const std::uint64_t key = newest_head(*first.memory)->log_key_index;
    for (const auto& damaged : {std::optional<std::string>{}, first.memory->leaf(key + 1)}) {
        DamagedStore store(first.memory);
        store.leaves[key] = damaged;
        LoggedKeys keys;
        EXPECT_THROW(keys.catch_up(store), DamagedRecord);
    }
}

// Once its leaves were in the tree, nobody would look at its root again.
TEST_F(ForksTest, ATreeThatTheLogDoesNotContinueIsRefusedEachTime) {
    LogTree tree = LogReader(*restored(0).memory).load().value();
    const TreeHead before = tree.head();
    ASSERT_LT(before.size, witnessed_size);
    LogReader reader(*first.memory);
    for (int times = 0; times < 4; ++times) {
        if (times == 2) first.buy(static_cast<int>(tile_hashes));  // then it is far behind
        const auto caught_up = reader.catch_up(tree);
        ASSERT_FALSE(caught_up);
        EXPECT_EQ(caught_up.error().code, "ledger_damaged");
        EXPECT_EQ(tree.size(), before.size);
        EXPECT_EQ(tree.root(), before.root);
    }
}

}  // namespace
}  // namespace ee::ledger

#include "ledger/ledger_worker.h"

#include <atomic>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/kept_evidence.h"
#include "ledger/locks.h"
#include "ledger/outcome.h"
#include "ledger/test_worker.h"

namespace ee::ledger {
namespace {

TEST(LedgerWorker, TellsWhatACommitChangedBeforeItsCommandsAreAnswered) {
    TestWorker worker;
    std::vector<std::string> nodes;
    worker.worker->listen([&](const Changes& changes) {
        for (const auto& [id, record] : changes.of(Table::nodes))
            nodes.push_back(id + (Node::decode(record.value()).banned ? " banned" : ""));
    });
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "k1"));
    EXPECT_EQ(nodes, (std::vector<std::string>{"n1"}));
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "k2"));
    ASSERT_TRUE(worker.admin(Ban{.node = "n1", .reason = "r"}, "k3"));
    EXPECT_EQ(nodes, (std::vector<std::string>{"n1", "n1 banned"}));
    worker.faults->disk_fails = true;  // What is not on disk is not told.
    EXPECT_FALSE(worker.admin(TestLedger::node("n2"), "k4"));
    EXPECT_EQ(nodes.size(), 2u);
}

Receipt receipt_in(const std::string& body) {
    const std::size_t at = body.find(R"("receipt":)");
    EXPECT_NE(at, std::string::npos) << body;
    auto receipt = parse_receipt(body.substr(at + 10, body.size() - at - 11));
    EXPECT_TRUE(receipt) << receipt.error().detail;
    return receipt.value_or(Receipt{});
}

TEST(LedgerWorker, AnswersWithAReceiptThatProvesTheEntry) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    const auto bought = worker.admin(Purchase{.account = "alice", .amount = Money(5'000'000)}, "2");
    ASSERT_TRUE(bought) << bought.error().detail;
    const auto verified = verify_receipt(receipt_in(bought->body));
    ASSERT_TRUE(verified) << verified.error().detail;
    EXPECT_EQ(verified->leaf().text("account"), "alice");
    EXPECT_EQ(verified->leaf().i64("available_after"), 5'000'000);
}

TEST(LedgerWorker, AKeyThatIsInFlightIsNotTakenTwice) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "1"));
    std::promise<void> entered, released;
    auto is_released = released.get_future().share();
    std::once_flag once;
    worker.worker->listen([&](const Changes&) {
        std::call_once(once, [&] {
            entered.set_value();
            is_released.wait();
        });
    });
    const auto buy = [&](std::string key, Role role = Role::admin) {
        auto promise = std::make_shared<std::promise<Result<Reply>>>();
        Request request{.caller = {.role = role}, .idempotency_key = std::move(key), .method = "POST"};
        request.command = Purchase{.account = "alice", .amount = Money(1)};
        worker.worker->run(std::move(request),
                           [promise](Result<Reply> reply) { promise->set_value(std::move(reply)); });
        return promise->get_future();
    };
    auto first = buy("k");
    entered.get_future().wait();  // It is on disk, and not answered.
    auto second = buy("k");
    ASSERT_EQ(second.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(second.get().error().code, "idempotency_in_flight");
    auto other_key = buy("l"), other_caller = buy("k", Role::auditor), without = buy("");
    released.set_value();
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(other_key.get());
    EXPECT_EQ(other_caller.get().error().code, "forbidden");
    EXPECT_EQ(without.get().error().code, "idempotency_key_required");
    const auto again = buy("k").get();
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_TRUE(again->replayed);
    // A refusal ends its flight, too.
    EXPECT_EQ(buy("k", Role::auditor).get().error().code, "forbidden");
}

// Of an outage there is one command only, and nodes would fail for what it does not say.
TEST(LedgerWorker, WhenTooManyWaitAnOutageIsRecordedYet) {
    TestWorker worker;
    worker.waiting_max = 2;
    worker.start();
    std::promise<void> entered, released;
    std::once_flag once;
    worker.worker->listen([&](const Changes&) {
        std::call_once(once, [&] {
            entered.set_value();
            released.get_future().wait();
        });
    });
    const auto ask = [&](Role role, Command command) {
        auto promise = std::make_shared<std::promise<Result<Reply>>>();
        Request request{.caller = {.role = role}, .method = "POST"};
        request.command = std::move(command);
        worker.worker->run(std::move(request),
                           [promise](Result<Reply> reply) { promise->set_value(std::move(reply)); });
        return promise->get_future();
    };
    const auto open = [&](std::string name) {
        return ask(Role::admin, OpenAccount{.account = std::move(name)});
    };
    auto running = open("running");
    entered.get_future().wait();
    auto first = open("first"), second = open("second");
    auto refused = open("third");
    ASSERT_EQ(refused.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(refused.get().error(), (Error{"ledger_busy", "2 commands wait already"}));
    auto outage = ask(Role::server, RecordOutage{.outage = {.from = worker.now - std::chrono::minutes(1),
                                                            .to = worker.now,
                                                            .cause = "unavailable"}});
    released.set_value();
    EXPECT_TRUE(running.get());
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(outage.get());
    EXPECT_TRUE(open("third").get());
}

// Its steps are commits of their own, before the command itself.
TEST(LedgerWorker, WhoAskedForASettlementIsAnsweredWhenAStepOfItFails) {
    TestWorker worker;
    const Period cell = cell_at(Grid::hour, worker.now);
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9)}, "2"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
    ASSERT_TRUE(
        worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "4"));
    worker.now += std::chrono::hours(1);
    worker.faults->disk_fails = true;
    const auto refused = worker.admin(Finalize{.period = cell}, "5");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "store_unavailable");
}

TEST(LedgerWorker, ABundleNamesPricesAbuseAndTheLogBeforeIt) {
    TestWorker worker;
    const Period cell = cell_at(Grid::hour, worker.now);
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9'000'000)}, "2"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
    TakeLock lock{.account = "alice", .node = "n1", .period = cell};
    lock.amount = Money(1'000'000);
    ASSERT_TRUE(worker.admin(lock, "4"));
    for (const auto* reason : {"spam", "fraud"})
        ASSERT_TRUE(worker.as({.role = Role::launcher}, FileAbuse{.node = "n1", .reason = reason}, reason));
    std::uint64_t first_report = 0;
    worker.memory->scan(Table::abuse, "", [&](std::string_view key, std::string_view) {
        first_report = number_at(key, 0);
        return false;
    });
    ASSERT_TRUE(worker.admin(DecideAbuse{.report = first_report, .decided_by = "carol"}, "5"));
    worker.now += std::chrono::hours(1);
    const auto refused = worker.admin(Finalize{.period = cell}, "6");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "abuse_pending");
    ASSERT_TRUE(worker.admin(Finalize{.period = cell, .allow_pending = true}, "7"));

    const Unit unit = find_unit(Batch(*worker.memory), {.cell = cell, .node = "n1"}).value();
    const std::string bundle = evidence_json(Batch(*worker.memory), unit);
    const auto evidence = evidence_from_json(bundle);
    ASSERT_TRUE(evidence) << evidence.error().code << bundle;
    ASSERT_EQ(evidence->prices.size(), 1u);
    EXPECT_EQ(evidence->prices[0].terms.price, Money(50'000));
    ASSERT_EQ(evidence->abuse.size(), 2u);
    EXPECT_EQ(evidence->abuse[0].state, AbuseState::denied);
    EXPECT_EQ(evidence->abuse[0].decided_by, "carol");
    EXPECT_EQ(evidence->abuse[1].state, AbuseState::pending);
    EXPECT_FALSE(evidence->abuse[1].decided_at);
    const auto note = parse_checkpoint(evidence->checkpoint);
    ASSERT_TRUE(note) << evidence->checkpoint;
    EXPECT_EQ(note->checkpoint.head.size, evidence->log_size);
    EXPECT_EQ(unit.settlement_leaf, evidence->log_size);
}

// What a key was refused is told again as it was, and that it is not new; other refusals are always new.
TEST(LedgerWorker, ARememberedRefusalSaysThatItIs) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    const Redeem too_much{.account = "alice", .amount = Money(5)};
    const auto first = worker.admin(too_much, "2");
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().code, "insufficient_credit");
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9)}, "3"));
    worker.start();
    const auto second = worker.admin(too_much, "2");
    ASSERT_TRUE(second) << second.error().code << second.error().detail;
    ASSERT_TRUE(second->refusal) << second->body;
    EXPECT_TRUE(second->replayed);
    EXPECT_EQ(second->refusal->code, first.error().code);
    EXPECT_EQ(second->refusal->detail, first.error().detail);
    EXPECT_EQ(worker.as({.role = Role::uptime}, too_much, "2").error().code, "forbidden");
    EXPECT_EQ(worker.admin(too_much, "").error().code, "idempotency_key_required");
    const Finalize open{.period = *parse_period("2026-01-09T13")};
    EXPECT_EQ(worker.admin(open, "4").error().code, "period_open");
    EXPECT_EQ(worker.admin(open, "4")->refusal->code, "period_open");
    EXPECT_FALSE(worker.admin(Redeem{.account = "alice", .amount = Money(5)}, "5")->refusal);
}

TEST(LedgerWorker, DoesNotStartOnAnothersLogOrWithoutAKey) {
    TestWorker worker;
    worker.worker.reset();
    const auto start = [&](const LedgerWorker::Settings& settings, Result<LogKey> key) {
        auto started = LedgerWorker::start(
            std::make_unique<SharedStore>(worker.memory, worker.faults),
            [&](const LogIdentity&, const TreeHead&) { return std::move(key); }, settings);
        return started ? "" : started.error().code;
    };
    LedgerWorker::Settings other = worker.settings();
    other.if_new.log_id = std::string(32, 'b');
    const std::uint64_t leaves = worker.memory->leaf_count();
    EXPECT_EQ(start(other, worker.make_key()), "ledger_foreign");
    EXPECT_EQ(start(worker.settings(), fail("no_key")), "no_key");
    EXPECT_EQ(worker.memory->leaf_count(), leaves);
    EXPECT_EQ(start(worker.settings(), worker.make_key()), "");
}

// I1: byte for byte, also when the tree has grown and the key that signed is gone.
TEST(LedgerWorker, I1AReplayIsTheSameAfterARestart) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    const auto first = worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2");
    for (int i = 0; i < 300; ++i)
        ASSERT_TRUE(
            worker.admin(Purchase{.account = "alice", .amount = Money(1)}, "more" + std::to_string(i)));
    worker.start();
    const auto second = worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2");
    ASSERT_TRUE(second) << second.error().detail;
    EXPECT_TRUE(second->replayed);
    EXPECT_EQ(first->body, second->body);
    EXPECT_TRUE(verify_receipt(receipt_in(second->body)));
    const auto after = worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "3");
    EXPECT_TRUE(verify_receipt(receipt_in(after->body)));
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
}

TEST(LedgerWorker, L7TimeDoesNotGoBackWithTheClock) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    worker.now -= std::chrono::hours{1};
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2"));
    worker.start();
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "3"));
    const CheckReport report = check_ledger(*worker.memory, 0);
    EXPECT_TRUE(report.is_good()) << report.findings.front();
}

TEST(LedgerWorker, ADiskThatFailsEndsWritingAndKeepsWhatWasAnswered) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    worker.faults->disk_fails = true;
    EXPECT_EQ(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2").error().code,
              "store_unavailable");
    worker.faults->disk_fails = false;
    EXPECT_EQ(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2").error().code,
              "store_unavailable")
        << "nobody knows what the disk holds: not before a restart";
    worker.start();
    EXPECT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2"));
}

// I5: the same may be asked again, under the same key.
TEST(LedgerWorker, I5ADatabaseThatIsLockedIsWrittenToOnceItIsNot) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    worker.faults->busy_commits = 2;
    const Purchase purchase{.account = "alice", .amount = Money(5)};
    for (int i = 0; i < 2; ++i)
        EXPECT_EQ(worker.admin(purchase, "2").error(), (Error{"ledger_busy", "locked"}));
    EXPECT_FALSE(worker.worker->standstill());
    const auto bought = worker.admin(purchase, "2");
    ASSERT_TRUE(bought);
    EXPECT_FALSE(bought->replayed);
    EXPECT_EQ(find_account(Batch(*worker.memory), "alice")->available, Money(5));
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
}

// Whichever of its commits finds the database locked.
TEST(LedgerWorker, I5ASettlementIsMadeOnceWhereverTheDatabaseWasLocked) {
    bool was_refused = true;
    for (int commits = 0; was_refused; ++commits) {
        ASSERT_LT(commits, 20);
        TestWorker worker;
        const Period cell = cell_at(Grid::hour, worker.now);
        ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
        ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9)}, "2"));
        ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
        for (const char* key : {"4", "5", "6"})
            ASSERT_TRUE(worker.admin(
                TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(2)}, key));
        worker.now += std::chrono::hours(1);
        worker.faults->busy_after = commits;
        worker.faults->busy_commits = 1;
        const auto first = worker.admin(Finalize{.period = cell}, "7");
        was_refused = !first;
        if (was_refused) {
            EXPECT_EQ(first.error().code, "ledger_busy");
            ASSERT_TRUE(worker.admin(Finalize{.period = cell}, "7"));
        }
        worker.worker.reset();
        const auto alice = find_account(Batch(*worker.memory), "alice");
        EXPECT_EQ(alice->available, Money(9)) << commits;
        EXPECT_EQ(alice->locked, Money(0)) << commits;
        EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good()) << commits;
    }
}

TEST(LedgerWorker, ABalanceThatIsNotItsEntriesStopsWritingAtTheStart) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "2"));
    worker.worker.reset();
    Account account = find_account(Batch(*worker.memory), "alice").value();
    account.available = Money(6);
    Changes forged;
    forged.of(Table::accounts).emplace_back("alice", account.encode());
    worker.memory->commit(forged);
    worker.start();
    const auto refused = worker.admin(Purchase{.account = "alice", .amount = Money(5)}, "3");
    EXPECT_EQ(refused.error().code, "ledger_halted");
    ASSERT_TRUE(worker.worker->standstill());
    EXPECT_NE(worker.worker->standstill()->detail.find("sum"), std::string::npos);
}

TEST(LedgerWorker, ALeafUnderNoCheckpointStopsWritingAtTheStartAndTheLogKeepsItsName) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    const LogIdentity identity = worker.worker->identity();
    worker.worker.reset();
    Changes stray;
    stray.first_leaf = worker.memory->leaf_count();
    stray.leaves.emplace_back("stray");
    worker.memory->commit(stray);
    worker.start();
    ASSERT_TRUE(worker.worker->standstill());
    EXPECT_EQ(worker.worker->standstill()->code, "ledger_halted");
    EXPECT_EQ(worker.worker->identity(), identity);
}

TEST(LedgerWorker, SettlesStepByStepAndAnswersAtTheEnd) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(1'000'000)}, "2"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
    const Period cell = cell_at(Grid::hour, worker.now);
    for (int i = 0; i < 1000; ++i)
        ASSERT_TRUE(
            worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)},
                         "lock" + std::to_string(i)));
    EXPECT_EQ(worker.admin(Finalize{.period = cell}, "4").error().code, "period_open");
    worker.now += std::chrono::hours{1};
    const auto settled = worker.admin(Finalize{.period = cell}, "5");
    ASSERT_TRUE(settled) << settled.error().detail;
    EXPECT_NE(settled->body.find(R"("outcome":"fail","reasons":["no_evidence"])"), std::string::npos)
        << settled->body;
    const Account alice = find_account(Batch(*worker.memory), "alice").value();
    EXPECT_EQ(to_usd(alice.available), "1");
    EXPECT_EQ(alice.held_locks, 0U);
    EXPECT_TRUE(check_ledger(*worker.memory, 0).is_good());
}

// One that comes with each step, before those that are to be judged; and many more than are judged at the
// end, while many locks are moved.
TEST(LedgerWorker, AFinalizeAnswersForUnitsThatCameWhileItWentOn) {
    for (const auto& [at_once, locks] : {std::pair(1, 0), std::pair(40, 0), std::pair(40, 2000)}) {
        TestWorker worker;
        const Period cell = cell_at(Grid::hour, worker.now);
        ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
        ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "2"));
        ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(1'000'000)}, "buy"));
        ASSERT_TRUE(worker.admin(OpenAccount{.account = "bob", .token = token_of("bob")}, "bob"));
        ASSERT_TRUE(worker.admin(Purchase{.account = "bob", .amount = Money(1'000'000)}, "bob buys"));
        for (int i = 0; i < locks; ++i)
            ASSERT_TRUE(worker.admin(TakeLock{.account = i % 2 == 0 ? "alice" : "bob",
                                              .node = "n1",
                                              .period = cell,
                                              .amount = Money(7)},
                                     fmt::format("lock{}", i)));
        int reports = 0;
        const auto report = [&](std::string_view app) {
            return ReportUsage{.account = "alice",
                               .node = "n1",
                               .app = fmt::format("{}{}", app, reports),
                               .period = cell,
                               .hours = Hours(10'000),
                               .report_id = fmt::format("r{}", ++reports)};
        };
        for (int i = 0; i < 40; ++i) ASSERT_TRUE(worker.admin(report("m"), fmt::format("m{}", i)));
        worker.now += std::chrono::hours(1);
        std::atomic<int> refused = 0;
        LedgerWorker& ledger = *worker.worker;
        ledger.listen([&](const Changes&) {
            for (int i = 0; i < at_once && reports < 240; ++i) {
                Request request{.caller = {.role = Role::admin},
                                .idempotency_key = fmt::format("a{}", reports)};
                request.command = report("a");
                ledger.run(std::move(request), [&](const Result<Reply>& reply) { refused += !reply; });
            }
        });
        const auto answer = worker.admin(Finalize{.period = cell, .node = "n1"}, "3");
        ledger.listen([](const Changes&) {});
        ASSERT_TRUE(answer) << answer.error().detail;
        EXPECT_NE(answer->body.find(R"("outcome":"fail")"), std::string::npos) << answer->body;
        EXPECT_EQ(answer->body.find(R"("outcome":"open")"), std::string::npos) << reports;
        EXPECT_EQ(refused, 0);
        worker.worker.reset();
    }
}

// What happened to a cell may be recorded after it is due: an outage that a start, or a clock's step, shows.
TEST(LedgerWorker, SettlesByItselfOnlyAsFarAsAllIsSaidToBeRecorded) {
    TestWorker worker;
    worker.settle_auto = true;
    worker.start();
    const Period cell = cell_at(Grid::hour, worker.now);
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice", .token = token_of("alice")}, "1"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9)}, "2"));
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
    ASSERT_TRUE(
        worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "4"));
    const LedgerTime due = LedgerTime{cell.end} + std::chrono::hours(1);
    worker.now = due + std::chrono::hours(5);
    worker.start();
    // Each commit is a look at what is due; a settlement takes a few.
    const auto outcome = [&] {
        worker.buy(5);
        return find_unit(Batch(*worker.memory), {.cell = cell, .node = "n1"}).value().outcome;
    };
    EXPECT_EQ(outcome(), Outcome::open) << "nobody has said anything";
    worker.worker->recorded_until(due - std::chrono::microseconds(1));
    EXPECT_EQ(outcome(), Outcome::open) << "of this cell not all is recorded";
    ASSERT_TRUE(worker.as(
        {.role = Role::server},
        RecordOutage{.outage = {.from = LedgerTime{cell.start}, .to = worker.now, .cause = "not_running"}},
        ""));
    worker.worker->recorded_until(due);
    EXPECT_EQ(outcome(), Outcome::inconclusive);
}

// The last window of a cell, and the verdict on its last challenge, come after its end.
TEST(LedgerWorker, SettlesByHandOnceTheEvidenceIsRecordedOrAfterMinutes) {
    for (const bool is_recorded : {true, false}) {
        TestWorker worker;
        worker.awaits_evidence = true;
        worker.start();
        const Period cell = cell_at(Grid::hour, worker.now);
        ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
        ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(9)}, "2"));
        ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "3"));
        ASSERT_TRUE(worker.admin(
            TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "4"));
        int asked = 0;
        const auto refused_for = [&]() -> std::string {
            const auto settled = worker.admin(Finalize{.period = cell}, fmt::format("ask {}", ++asked));
            return settled ? "" : settled.error().code + ": " + settled.error().detail;
        };
        worker.worker->recorded_until(LedgerTime{cell.start});
        worker.now = LedgerTime{cell.end} - std::chrono::seconds(1);
        EXPECT_EQ(refused_for(), "period_open: 2026-01-09T13 ends at 2026-01-09T14:00:00Z");
        worker.now = LedgerTime{cell.end} + std::chrono::seconds(119);
        EXPECT_EQ(
            refused_for(),
            "period_open: 2026-01-09T13 is over, and its evidence is still being recorded: ask again in "
            "some seconds, under another key");
        if (is_recorded) {
            worker.worker->recorded_until(LedgerTime{cell.end} - std::chrono::microseconds(1));
            EXPECT_NE(refused_for(), "");
            worker.worker->recorded_until(LedgerTime{cell.end});
        } else {
            worker.now += std::chrono::seconds(1);
        }
        EXPECT_EQ(refused_for(), "") << is_recorded;
    }
}

// How a start with that grid is refused; empty: it is not.
std::string start_by(TestWorker& worker, Grid grid) {
    worker.worker.reset();
    auto settings = worker.settings();
    settings.rules.grid = grid;
    auto started = LedgerWorker::start(
        std::make_unique<SharedStore>(worker.memory, worker.faults),
        [&](const LogIdentity&, const TreeHead&) -> Result<LogKey> { return worker.make_key(); },
        std::move(settings));
    if (!started) return started.error().code + ": " + started.error().detail;
    worker.worker = std::move(*started);
    return "";
}

// What its keys say of a cell is when it starts.
TEST(LedgerWorker, TheGridStaysOnceThereIsACellOfItAlsoWhenAllIsSettled) {
    TestWorker worker;
    EXPECT_EQ(start_by(worker, Grid::day), "") << "nothing is named by it yet";
    EXPECT_EQ(start_by(worker, Grid::hour), "");
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "1"));
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "2"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(50'000'000)}, "3"));
    const Period cell = cell_at(Grid::hour, worker.now);
    const auto locked =
        worker.admin(TakeLock{.account = "alice", .node = "n1", .period = cell, .amount = Money(7)}, "4");
    ASSERT_TRUE(locked) << locked.error().detail;
    const std::string refused = "settle_period_in_use: EE_SETTLE_PERIOD is hour in this ledger";
    EXPECT_TRUE(start_by(worker, Grid::day).starts_with(refused));
    EXPECT_EQ(start_by(worker, Grid::hour), "");
    worker.now = LedgerTime{cell.end} + std::chrono::seconds{1};
    const auto settled = worker.admin(Finalize{.period = cell}, "5");
    ASSERT_TRUE(settled) << settled.error().detail;
    EXPECT_TRUE(start_by(worker, Grid::day).starts_with(refused));
    EXPECT_EQ(start_by(worker, Grid::hour), "");
}

TEST(LedgerWorker, TheGridStaysOnceALockWasTakenAlsoWhenItIsReleased) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(TestLedger::node("n1"), "1"));
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "2"));
    ASSERT_TRUE(worker.admin(Purchase{.account = "alice", .amount = Money(50'000'000)}, "3"));
    EXPECT_EQ(start_by(worker, Grid::day), "");
    EXPECT_EQ(start_by(worker, Grid::hour), "");
    const Period next = cell_at(Grid::hour, worker.now + std::chrono::hours{1});
    TakeLock command{.account = "alice", .node = "n1", .period = next, .amount = Money(7)};
    ASSERT_TRUE(worker.admin(command, "4"));
    std::uint64_t lock = 0;
    worker.memory->scan(Table::held_locks, "", [&](std::string_view key, std::string_view) {
        lock = lock_id_of(key);
        return false;
    });
    ASSERT_TRUE(worker.admin(ReleaseLock{.lock = lock}, "5"));
    EXPECT_TRUE(start_by(worker, Grid::day).starts_with("settle_period_in_use: "));
    EXPECT_EQ(start_by(worker, Grid::hour), "");
}

TEST(LedgerWorker, ManyCallersShareCommits) {
    TestWorker worker;
    ASSERT_TRUE(worker.admin(OpenAccount{.account = "alice"}, "1"));
    std::atomic<int> done = 0;
    std::promise<void> all;
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) {
        Request request{.caller = {.role = Role::admin}, .idempotency_key = "k" + std::to_string(i)};
        request.command = Purchase{.account = "alice", .amount = Money(1)};
        worker.worker->run(std::move(request), [&](Result<Reply> reply) {
            EXPECT_TRUE(reply);
            if (++done == count) all.set_value();
        });
    }
    all.get_future().wait();
    EXPECT_EQ(to_usd(find_account(Batch(*worker.memory), "alice")->available), "0.002");
    EXPECT_LT(worker.worker->commits(), 2000U);
}

}  // namespace
}  // namespace ee::ledger

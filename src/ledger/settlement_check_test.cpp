#include "ledger/settlement_check.h"

#include "ledger/kept_evidence.h"
#include "ledger/ledger_check.h"
#include "ledger/locks.h"
#include "ledger/test_ledger.h"

namespace ee::ledger {
namespace {

// n1's cell is settled: `shop` with a list of observations that `bar` has, too, and that is kept apart;
// `foo`, of which nobody can say, is not.
struct World {
    World() {
        ledger.open_everything();
        cell = ledger.cell();
        for (const char* app : {"shop", "bar", "foo"}) {
            TakeLock lock{.account = "alice", .node = "n1", .app = app, .period = cell};
            lock.amount = Money(1'000'000);
            EXPECT_TRUE(ledger.holder("alice", lock));
        }
        EXPECT_TRUE(ledger.server(ledger.passing("n1", "shop", "a")));
        RecordSlots slots = ledger.passing("n1", "foo", "b");
        slots.seen[0].slot.challenges_inconclusive = 1;
        EXPECT_TRUE(ledger.server(slots));
        const Observation seen{.type = ObservationType::health_pass,
                               .from = LedgerTime{cell.start},
                               .to = LedgerTime{cell.start} + std::chrono::minutes(4),
                               .evidence_url = "https://" + std::string(400, 'x')};
        EXPECT_TRUE(
            ledger.as({.role = Role::uptime}, Observe{.node = "n1", .event_id = "e", .observation = seen}));
        ledger.now = LedgerTime{cell.end};
        EXPECT_TRUE(ledger.admin(Finalize{.period = cell}));
        ledger.settle_all();
    }
    UnitName name(std::string app) const { return {.cell = cell, .node = "n1", .app = std::move(app)}; }
    Unit unit(const std::string& app) const { return find_unit(Batch(ledger.store), name(app)).value(); }
    template <class Change>
    void change(const std::string& app, Change how) {
        Unit changed = unit(app);
        how(changed);
        ledger.put(Table::units, name(app).key(), changed.encode());
    }
    std::string check() const {
        CheckReport report;
        std::uint64_t in_the_log = 0;
        for (std::uint64_t index = 0; index < ledger.store.leaf_count(); ++index)
            if (decode_leaf(as_bytes(*ledger.store.leaf(index)))->kind == LeafKind::settlement) ++in_the_log;
        try {
            compare_settlements(ledger.store, in_the_log, report);
        } catch (const DamagedRecord& damage) {
            report.find("records", damage.what());
        }
        std::string out;
        for (const std::string& finding : report.findings) out += finding + '\n';
        return out;
    }

    TestLedger ledger;
    Period cell{};
};

TEST(SettlementCheck, FindsNothingWhereNothingIsChanged) {
    const World world;
    EXPECT_EQ(world.check(), "");
    EXPECT_EQ(world.unit("shop").outcome, Outcome::pass);
    EXPECT_EQ(world.unit("bar").outcome, Outcome::fail);
    EXPECT_EQ(world.unit("foo").outcome, Outcome::inconclusive);
    EXPECT_TRUE(world.unit("bar").observation_list);
}

TEST(SettlementCheck, NamesWhatIsNotAsTheLogSays) {
    struct Row {
        const char* what;
        std::function<void(World&)> make;
        const char* finding;
    };
    const Row rows[] = {
        {"its outcome", [](World& w) { w.change("bar", [](Unit& u) { u.outcome = Outcome::pass; }); },
         "node=n1 app=bar cell=2026-01-09T13 is not what leaf"},
        {"that it is settled", [](World& w) { w.change("bar", [](Unit& u) { u.outcome = Outcome::open; }); },
         "the log has 2 settlements, 1 are kept"},
        {"its reasons", [](World& w) { w.change("bar", [](Unit& u) { u.reasons = {"attest_miss"}; }); },
         "is not what leaf"},
        {"what it paid", [](World& w) { w.change("shop", [](Unit& u) { u.paid = Money(1); }); },
         "is not what leaf"},
        {"what it returned", [](World& w) { w.change("shop", [](Unit& u) { u.returned = Money(1); }); },
         "is not what leaf"},
        {"its leaf", [](World& w) { w.change("shop", [](Unit& u) { ++u.settlement_leaf; }); },
         "is not what leaf"},
        {"a leaf that is not there",
         [](World& w) { w.change("shop", [](Unit& u) { u.settlement_leaf = 1u << 30; }); },
         "is not what leaf"},
        {"another's leaf", [](World& w) { w.change("shop", [&](Unit& u) { u = w.unit("bar"); }); },
         "is not what leaf"},
        {"its evidence",
         [](World& w) {
             w.change("shop",
                      [](Unit& u) { u.own_evidence.replace(u.own_evidence.find("true"), 4, "null"); });
         },
         "the evidence of"},
        {"the digest of its evidence",
         [](World& w) { w.change("shop", [](Unit& u) { (*u.evidence_sha256)[0] ^= 1; }); },
         "the evidence of"},
        {"evidence and digest",
         [](World& w) {
             w.change("shop", [](Unit& u) {
                 u.observation_list.reset();
                 u.evidence_sha256 = crypto::sha256(as_bytes(u.own_evidence));
             });
         },
         "is not that of leaf"},
        {"that it has evidence",
         [](World& w) {
             w.change("shop", [](Unit& u) {
                 u.own_evidence.clear();
                 u.evidence_sha256.reset();
             });
         },
         "is not that of leaf"},
        {"the evidence of what is not decided",
         [](World& w) { w.change("foo", [](Unit& u) { (*u.evidence_sha256)[0] ^= 1; }); },
         "the evidence of node=n1 app=foo cell=2026-01-09T13 is not that of its digest"},
        {"a list of observations",
         [](World& w) {
             w.ledger.put(Table::observation_lists, std::string(as_text(*w.unit("bar").observation_list)),
                          "[]");
         },
         "is not that of its digest"},
        {"that there is one",
         [](World& w) {
             w.ledger.put(Table::observation_lists, std::string(as_text(*w.unit("bar").observation_list)),
                          std::nullopt);
         },
         "a list of observations that a unit names is missing"},
        {"a unit", [](World& w) { w.ledger.put(Table::units, w.name("bar").key(), std::nullopt); },
         "the log has 2 settlements, 1 are kept"},
        {"a unit that can't be read",
         [](World& w) { w.ledger.put(Table::units, w.name("bar").key(), "\x7f"); }, "records: "},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        World world;
        row.make(world);
        EXPECT_NE(world.check().find(row.finding), std::string::npos) << world.check();
    }
}

}  // namespace
}  // namespace ee::ledger

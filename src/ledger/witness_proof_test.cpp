#include "ledger/witness_proof.h"

#include <gtest/gtest.h>

#include "ledger/test_log.h"

namespace ee::ledger {
namespace {

using test::SaltedLog;

// A log of twenty leaves; the last says that after 12 leaves 5 were lost.
class WitnessProofTest : public testing::Test {
protected:
    WitnessProofTest() {
        for (int i = 0; i < 19; ++i) log.append(test::grid_leaf());
        log.append(
            {.kind = LeafKind::restored, .fields = {field(std::uint64_t{12}), field(std::uint64_t{5})}});
    }
    Checkpoint at(std::uint64_t size) const {
        return {.log_id = log.log_id, .head = {.size = size, .root = log.root_at(size)}};
    }
    Checkpoint lost(std::uint64_t size) const {
        return {.log_id = log.log_id, .head = {.size = size, .root = {9}}};
    }
    std::string proof(std::uint64_t older, std::uint64_t newer) const {
        TileCache cache(log.tiles);
        return write_consistency(older, log.tree.consistency_proof(older, newer, cache).value());
    }
    std::string loss() const { return write_loss(log.proven(19)); }

    SaltedLog log;
};

TEST_F(WitnessProofTest, AWitnessGoesOnToWhatIsProven) {
    for (std::uint64_t older = 1; older < 20; ++older) {
        const auto next = check_continuation(at(older), at(20), proof(older, 20));
        ASSERT_TRUE(next) << older << ": " << next.error().detail;
        EXPECT_EQ(*next, Continuation::appended);
    }
    EXPECT_EQ(check_continuation(at(20), at(20), "").value(), Continuation::same);
    for (const std::uint64_t size : {13U, 15U, 17U})
        EXPECT_EQ(check_continuation(lost(size), at(20), loss()).value(), Continuation::restored);
}

TEST_F(WitnessProofTest, AWitnessGoesOnWithALossOnce) {
    const LossId id = loss_id(log.leaf_hashes[19]), other = {1};
    EXPECT_EQ(check_continuation(lost(15), at(20), loss(), {other}).value(), Continuation::restored);
    const auto again = check_continuation(lost(15), at(20), loss(), {other, id});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, "witness_loss_before");
}

TEST_F(WitnessProofTest, AWitnessStaysWhereNothingLeadsOn) {
    Checkpoint other_log = at(20);
    other_log.log_id = std::string(32, 'b');
    std::string longer = proof(7, 20), endless = "old 7\n";
    longer.append(longer.substr(longer.size() - 45));
    for (int i = 0; i < 65; ++i) endless.append(longer.substr(longer.size() - 45));
    ProvenLeaf other_kind = log.proven(18), other_place = log.proven(19);
    other_place.index = 18;
    const struct {
        const char* name;
        Checkpoint held, told;
        std::string proof;
        const char* code;
    } cases[] = {
        {"another log", at(7), other_log, proof(7, 20), "witness_other_log"},
        {"a smaller one", at(20), at(7), proof(7, 20), "witness_went_back"},
        {"another root", at(20), lost(20), "", "witness_other_root"},
        {"no proof", at(7), at(20), "", "witness_unproven"},
        {"from elsewhere", at(7), at(20), proof(6, 20), "witness_unproven"},
        {"of another held one", lost(7), at(20), proof(7, 20), "consistency_invalid:older_root"},
        {"to elsewhere", at(7), at(20), proof(7, 19), "consistency_invalid:newer_root"},
        {"too long", at(7), at(20), longer, "consistency_invalid:path_length"},
        {"without end", at(7), at(20), endless, "witness_proof_malformed"},
        {"no word", at(7), at(20), "new 7\n", "witness_proof_malformed"},
        {"no number", at(7), at(20), "old x7\n", "witness_proof_malformed"},
        {"more than a number", at(7), at(20), "old 7x\n", "witness_proof_malformed"},
        {"a number too large", at(7), at(20), "old 99999999999999999999\n", "witness_proof_malformed"},
        {"no hash", at(7), at(20), "old 7\nAAAA\n", "witness_proof_malformed"},
        {"no last line feed", at(7), at(20), proof(7, 20) + "A", "witness_proof_malformed"},
        {"a kept one", lost(12), at(20), loss(), "witness_loss_not_said"},
        {"one beyond the loss", lost(18), at(20), loss(), "witness_loss_not_said"},
        {"a leaf that says something else", lost(13), at(20), write_loss(other_kind),
         "witness_proof_malformed"},
        {"a leaf elsewhere", lost(13), at(20), write_loss(other_place), "inclusion_invalid:root"},
        {"a leaf of another tree", lost(13), lost(20), loss(), "inclusion_invalid:root"},
        {"no salt", lost(13), at(20), loss().substr(0, loss().find('\n', 9) + 1), "witness_proof_malformed"},
    };
    for (const auto& one : cases) {
        const auto next = check_continuation(one.held, one.told, one.proof);
        ASSERT_FALSE(next) << one.name;
        EXPECT_EQ(next.error().code, one.code) << one.name << ": " << next.error().detail;
    }
}

}  // namespace
}  // namespace ee::ledger

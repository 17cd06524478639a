#include "control_plane/evidence_reader.h"

#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/evidence_fixture.h"
#include "control_plane/evidence_recorder.h"
#include "net/test_peer.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using attestation::JudgedAgent;

const std::string log_id(attestation::test_log_id);

attestation::NetworkPolicy private_policy() {
    attestation::NetworkPolicy policy = attestation::sandbox_1_policy(true);
    policy.name = "private-1";
    policy.evidence = attestation::EvidenceVisibility::private_;
    return policy;
}

struct EvidenceReaderTest : testing::Test {
    EvidenceReaderTest() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-reader-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        store = registry::EvidenceStore::open(folder / "control.db", [](const Error& why) {
                    ADD_FAILURE() << why.detail;
                }).value();
        reader.emplace(loop, *store, log_id, appraiser);
    }
    ~EvidenceReaderTest() override {
        reader.reset();
        store.reset();
        std::filesystem::remove_all(folder);
    }

    // Judges an answer of the agent to a nonce of its own, and keeps it.
    attestation::Evidence keep(const std::string& agent_id, std::uint8_t nonce) {
        agent.challenge.identity.agent_id = agent_id;
        agent.challenge.nonce.fill(nonce);
        agent.judge();
        EXPECT_TRUE(agent.verdict.ok) << agent.verdict.refusal.detail;
        EvidenceRecorder recorder(*store, log_id);
        recorder.keep(recorder.prepare(agent.challenge, agent.answer, agent.verdict));
        return agent.evidence();
    }
    Result<api::EvidenceAnswer> ask(api::EvidenceQuestion question) {
        question.app_name = "myapp";
        question.now = agent.at;
        if (question.limit == 0) question.limit = 50;
        std::optional<Result<api::EvidenceAnswer>> heard;
        EXPECT_TRUE(reader->ask(std::move(question), [&](const auto& answer) { heard = answer; }));
        EXPECT_TRUE(net::run_until(loop, [&] { return heard.has_value(); }, 20s));
        return *heard;
    }
    attestation::EvidenceFile page(api::EvidenceQuestion question) {
        return attestation::parse_evidence_file(ask(std::move(question)).value().body).value();
    }

    JudgedAgent agent;
    std::filesystem::path folder;
    net::Loop loop;
    attestation::FixedCollateral collateral{attestation::Collateral{}};
    attestation::FixedRelease release{nullptr};
    attestation::Appraiser appraiser{
        attestation::NetworkPolicies({attestation::sandbox_1_policy(true), private_policy()}),
        attestation::TrustAnchors(), collateral, release};
    std::unique_ptr<registry::EvidenceStore> store;
    std::optional<EvidenceReader> reader;
};

TEST_F(EvidenceReaderTest, AnswersWithTheNewestOfEachAgentAskedFor) {
    keep("a1", 1);
    agent.at += 1s;
    const auto newer = keep("a1", 2), other = keep("a2", 3);
    keep("a3", 4);
    const auto answer = page({.agent_ids = {"a1", "a2", "unknown"}});
    std::set<std::string> ids;
    for (const attestation::Evidence& evidence : answer.items) ids.insert(evidence.id);
    EXPECT_EQ(ids, (std::set<std::string>{newer.id, other.id}));
    EXPECT_EQ(answer.log_id, log_id);
    EXPECT_EQ(answer.next_cursor, "");
    EXPECT_EQ(answer.contents.size(), 1u) << "the policy";
}

TEST_F(EvidenceReaderTest, PutsInTheContentsThatAreAskedForOnce) {
    keep("a1", 1);
    keep("a2", 2);
    const auto answer = page({.agent_ids = {"a1", "a2"}, .with_collateral = true, .with_allowlist = true});
    EXPECT_EQ(answer.items.size(), 2u);
    EXPECT_EQ(answer.contents.size(), agent.contents().size());
    EXPECT_TRUE(attestation::collateral_of(answer.items[0], answer.contents));
    EXPECT_TRUE(attestation::allowlist_of(answer.items[1], answer.contents));
}

TEST_F(EvidenceReaderTest, PagesFollowEachOtherWithoutGapOrRepetition) {
    for (int i = 0; i < 7; ++i) keep("a" + std::to_string(i), static_cast<std::uint8_t>(i));
    api::EvidenceQuestion question{.limit = 3};
    for (int i = 0; i < 7; ++i) question.agent_ids.push_back("a" + std::to_string(i));
    std::vector<std::string> names;
    std::vector<std::size_t> sizes;
    for (;;) {
        const auto answer = page(question);
        sizes.push_back(answer.items.size());
        for (const attestation::Evidence& evidence : answer.items) names.push_back(evidence.agent);
        if (answer.next_cursor.empty()) break;
        question.after.clear();
        ASSERT_TRUE(append_from_base64(question.after, answer.next_cursor));
    }
    EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1}));
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 7u);
}

TEST_F(EvidenceReaderTest, FindsOnePieceByItsId) {
    const auto kept = keep("a1", 1);
    keep("a1", 2);
    EXPECT_EQ(page({.id = kept.id}).items.at(0).id, kept.id);
    EXPECT_EQ(ask({.id = std::string(64, '0')}).error().code, "unknown_evidence");
}

TEST_F(EvidenceReaderTest, ServesCollateralAndNothingElseByItsDigest) {
    const auto kept = keep("a1", 1);
    const auto ask_content = [&](const std::string& digest) {
        std::optional<Result<api::EvidenceAnswer>> heard;
        EXPECT_TRUE(reader->ask_collateral(digest, [&](const auto& answer) { heard = answer; }));
        EXPECT_TRUE(net::run_until(loop, [&] { return heard.has_value(); }, 20s));
        return *heard;
    };
    const auto served = ask_content(kept.verdict.collateral_sha256.at("tcb_info")).value();
    EXPECT_EQ(served.media_type, "application/json");
    EXPECT_EQ(to_hex(crypto::sha256(as_bytes(served.body))), kept.verdict.collateral_sha256.at("tcb_info"));
    for (const std::string& digest : {kept.policy_sha256, kept.verdict.allowlist_sha256, kept.id})
        EXPECT_EQ(ask_content(digest).error().code, "unknown_collateral");
}

TEST_F(EvidenceReaderTest, OnlyWhatIsPublicByPolicyIsPublic) {
    EXPECT_TRUE(reader->is_public("sandbox-1"));
    EXPECT_FALSE(reader->is_public("private-1"));
    EXPECT_FALSE(reader->is_public("gone-1")) << "a network that is not configured any more";
}

TEST_F(EvidenceReaderTest, TooManyQuestionsAreNotTaken) {
    bool taken = true;
    std::size_t asked = 0, answered = 0;
    while (taken && asked < 100000) {
        taken = reader->ask_collateral(std::string(64, '0'), [&](const auto&) { ++answered; });
        if (taken) ++asked;
    }
    EXPECT_FALSE(taken);
    EXPECT_TRUE(net::run_until(loop, [&] { return answered == asked; }, 20s));
}

}  // namespace
}  // namespace ee::control_plane

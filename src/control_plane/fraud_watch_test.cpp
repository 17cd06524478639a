#include "control_plane/fraud_watch.h"

#include "control_plane/test_admission.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

class FraudTest : public AdmissionTest {
protected:
    void begin(std::chrono::milliseconds answer_time = 1h) {
        open();
        frauds.emplace(loop, door, *evidence_store, log, answer_time);
        admission->watch_fraud(*frauds);
        door.books.open_everything();
        put_node("n1");
        for (const char* id : {"n2", "n3"}) {
            ASSERT_TRUE(door.books.admin(ledger::TestLedger::node(id)));
            put_node(id);
        }
    }
    void TearDown() override {
        frauds.reset();
        AdmissionTest::TearDown();
    }
    std::vector<ledger::Slashing> slashings() const {
        std::vector<ledger::Slashing> out;
        door.books.store.scan(ledger::Table::slashings, "", [&](std::string_view, std::string_view record) {
            out.push_back(ledger::Slashing::decode(record));
            return true;
        });
        return out;
    }
    // The nodes, as they were proposed.
    std::vector<std::string> proposed() const {
        std::vector<std::string> out;
        for (const ledger::Slashing& slashing : slashings()) {
            EXPECT_EQ(slashing.cause, "attestation_fraud");
            EXPECT_EQ(slashing.state, ledger::SlashingState::proposed);
            out.push_back(slashing.node);
        }
        return out;
    }
    void remember(std::uint8_t number, const registry::ChallengeRecord& of) {
        registry::EvidenceRecord record{.app_name = of.app_name,
                                        .id = std::to_string(number),
                                        .agent = of.agent_id,
                                        .judged_at = wall_now(),
                                        .json = "{}",
                                        .contents = {}};
        record.challenge = of;
        record.challenge->report_data_sha256 = {number};
        record.challenge->at = wall_now();
        evidence_store->keep(std::move(record));
    }
    void show(std::uint8_t number, registry::ChallengeRecord by) {
        by.report_data_sha256 = {number};
        by.at = wall_now();
        frauds->shown({.answered = std::move(by)});
    }
    // Whoever was looked up before has been, then.
    void propose_n3() {
        remember(200, {.agent_id = "x", .app_name = "x", .node_id = "n2"});
        show(200, {.agent_id = "a3", .app_name = "myapp", .node_id = "n3"});
        EXPECT_TRUE(until([&] {
            const auto known = proposed();
            return !known.empty() && known.back() == "n3";
        }));
    }

    std::optional<FraudWatch> frauds;
};

TEST_F(FraudTest, AQuoteOfAnotherAgentIsProposedWithItsEvidenceOnce) {
    begin();
    const auto honest = serve_on("n2", "b1");
    for (int times = 0; times < 2; ++times) {
        const auto cheat = come("a1", "n1");
        cheat->node_token = Secret("token of n1");
        cheat->attest(honest->shown);
        ASSERT_TRUE(until([&] { return cheat->wire->has_heard("status invalid report_data_mismatch"); }));
        ASSERT_TRUE(until([&] { return slashings().size() == 1; }));
        cheat->wire->stream.abort();
        ASSERT_TRUE(until([&] { return tunnels->size() == 1; }));
    }
    propose_n3();
    ASSERT_EQ(proposed(), (std::vector<std::string>{"n1", "n3"})) << "and nobody for the second sighting";
    const std::string said = slashings()[0].evidence;
    for (const std::string& part : {std::string(R"("kind":"foreign_quote")"),
                                    std::string(R"("agent_id":"a1","app_name":"myapp","node_id":"n1")"),
                                    std::string(R"("agent_id":"b1","app_name":"myapp","node_id":"n2")"),
                                    R"("report_data_sha256":")" + to_hex(crypto::sha256(honest->shown)),
                                    std::string(R"("nonce":")"), std::string(R"("quote_sha256":")")})
        EXPECT_NE(said.find(part), std::string::npos) << part << " in " << said;
    EXPECT_NE(registry.tunnel_of("myapp", "b1"), registry::no_tunnel) << "it serves on";
}

// Each case differs from fraud by one thing.
TEST_F(FraudTest, WhatIsNotFraudProposesNothing) {
    struct Case {
        const char* why;
        std::function<void(SimulatedAgent&, const ByteArray<64>& of_other)> answer;
        std::optional<std::string> node = "n1";
        std::string heard = "status invalid report_data_mismatch";
    };
    const Case cases[] = {
        {"unknown report data", [](auto& agent, const auto&) { agent.attest(ByteArray<64>{1}); }},
        {"its own earlier answer",
         [this](auto& agent, const auto&) {
             agent.attest();
             ASSERT_TRUE(until([&] { return agent.wire->has_heard("status ok attested"); }));
             tunnels->find(registry.tunnel_of("myapp", "a1"))
                 ->challenge(protocol::ChallengeReason::operator_request);
             ASSERT_TRUE(until([&] { return agent.wire->has_heard("challenge operator"); }));
             agent.attest(agent.shown);
         }},
        {"the quote is bad otherwise",
         [](auto& agent, const auto& other) {
             agent.faults = {attestation::SimulatedFault::quote_signature};
             agent.attest(other);
         }},
        {"the token of another node",
         [](auto& agent, const auto& other) {
             agent.node_token = Secret("token of n2");
             agent.attest(other);
         }},
        {"no token",
         [](auto& agent, const auto& other) {
             agent.node_token.reset();
             agent.attest(other);
         }},
        {"no node", [](auto& agent, const auto& other) { agent.attest(other); }, std::nullopt},
    };
    begin();
    const auto honest = serve_on("n2", "b1");
    for (const Case& c : cases) {
        const auto agent = come("a1", c.node);
        agent->node_token = Secret("token of n1");
        c.answer(*agent, honest->shown);
        ASSERT_TRUE(until([&] { return agent->wire->has_heard(c.heard); })) << c.why;
        agent->wire->stream.abort();
        ASSERT_TRUE(until([&] { return tunnels->size() == 1; })) << c.why;
    }
    propose_n3();
    EXPECT_EQ(proposed(), (std::vector<std::string>{"n3"}));
}

TEST_F(FraudTest, AnotherAgentAppOrNodeIsAnother) {
    begin();
    const registry::ChallengeRecord self{.agent_id = "a1", .app_name = "myapp", .node_id = "n1"};
    remember(1, self);
    show(1, self);
    propose_n3();
    ASSERT_EQ(proposed().size(), 1u);
    remember(2, {.agent_id = "a2", .app_name = "myapp", .node_id = "n1"});
    remember(3, {.agent_id = "a1", .app_name = "other", .node_id = "n1"});
    remember(4, {.agent_id = "a1", .app_name = "myapp", .node_id = "n2"});
    remember(5, {.agent_id = "a1", .app_name = "myapp", .node_id = ""});
    for (const std::uint8_t number : {2, 3, 4, 5}) show(number, self);
    EXPECT_TRUE(until([&] { return proposed().size() == 5; }));
}

TEST_F(FraudTest, AnAnswerThatIsHeldBackIsLookedForOnceMore) {
    begin(3s);
    const registry::ChallengeRecord self{.agent_id = "a1", .app_name = "myapp", .node_id = "n1"};
    show(1, self);
    propose_n3();
    ASSERT_EQ(proposed().size(), 1u);
    remember(1, {.agent_id = "a2", .app_name = "myapp", .node_id = "n2"});
    EXPECT_TRUE(until([&] { return proposed() == std::vector<std::string>{"n3", "n1"}; }));
}

TEST_F(FraudTest, AKeyThatWasAttestedUnderTwoNodesProposesBoth) {
    begin();
    const auto first = serve_on("n1", "a1");
    const auto second = come("a2", "n2");
    second->node_token = Secret("token of n2");
    second->key = std::move(first->key);
    second->attest();
    ASSERT_TRUE(until([&] { return second->wire->has_heard("status ok attested"); }));
    ASSERT_TRUE(until([&] { return slashings().size() == 2; }));
    EXPECT_EQ(proposed(), (std::vector<std::string>{"n1", "n2"}));
    EXPECT_EQ(slashings()[0].event_ids, slashings()[1].event_ids);
    for (const char* part : {R"("kind":"shared_agent_key")", R"("node_id":"n1")", R"("node_id":"n2")"})
        EXPECT_NE(slashings()[0].evidence.find(part), std::string::npos) << part;
}

// An agent's key is public: without a session signed by it, or a token, or a verdict, it says nothing.
TEST_F(FraudTest, AKeyThatIsOnlyNamedProposesNobody) {
    begin();
    const auto first = serve_on("n1", "a1");
    struct Case {
        const char* why;
        std::function<void(SimulatedAgent&)> change;
        std::string heard;
    };
    const Case cases[] = {
        {"named", [](auto& agent) { agent.signs = false; }, "status ok attested"},
        {"token", [](auto& agent) { agent.node_token = Secret("token of n1"); },
         "status invalid node_token_invalid"},
        {"quote", [](auto& agent) { agent.faults = {attestation::SimulatedFault::quote_signature}; },
         "status invalid quote_signature_invalid"},
        {"same node",
         [](auto& agent) {
             agent.registration.node_id = "n1";
             agent.node_token = Secret("token of n1");
         },
         "status ok attested"},
    };
    for (const Case& c : cases) {
        const bool same = std::string_view(c.why) == "same node";
        const auto second = come(std::string("b-") + c.why[0], same ? "n1" : "n2");
        second->node_token = Secret("token of n2");
        std::swap(second->key, first->key);
        c.change(*second);
        second->attest();
        EXPECT_TRUE(until([&] { return second->wire->has_heard(c.heard); })) << c.why;
        std::swap(second->key, first->key);
    }
    propose_n3();
    EXPECT_EQ(proposed(), (std::vector<std::string>{"n3"}));
}

TEST_F(FraudTest, WhatTheLedgerHasNoTimeForIsProposedLater) {
    begin();
    door.busy = true;
    remember(1, {.agent_id = "a2", .app_name = "myapp", .node_id = "n2"});
    show(1, {.agent_id = "a1", .app_name = "myapp", .node_id = "n1"});
    ASSERT_TRUE(until([&] { return door.refused == 1; }));
    door.busy = false;
    EXPECT_TRUE(until([&] { return proposed() == std::vector<std::string>{"n1"}; }));
}

TEST_F(FraudTest, SixteenProposalsOfANodeAreEnough) {
    begin();
    for (std::uint8_t number = 1; number <= 20; ++number) {
        remember(number, {.agent_id = "a2", .app_name = "myapp", .node_id = "n2"});
        show(number, {.agent_id = "a1", .app_name = "myapp", .node_id = "n1"});
    }
    propose_n3();
    EXPECT_EQ(proposed().size(), 17u);
}

}  // namespace
}  // namespace ee::control_plane

// Agents that say which node they are on.

#include "control_plane/test_admission.h"

namespace ee::control_plane {
namespace {

TEST_F(AdmissionTest, AnAgentIsOfANodeOnlyWithItsToken) {
    struct Case {
        std::string_view node;
        std::optional<std::string_view> token;
        std::string_view heard;
    };
    const Case cases[] = {
        {"n1", "token of n1", "status ok attested"},
        {"n1", std::nullopt, "status invalid node_token_invalid"},
        {"n1", "token of n2", "status invalid node_token_invalid"},
        {"n1", "token of n", "status invalid node_token_invalid"},
        {"n9", "token of n9", "status invalid node_token_invalid"},  // unknown to the ledger
        {"N1", "token of n1", "status invalid node_token_invalid"},
    };
    open();
    put_node("n1");
    put_node("n2");
    for (const Case& c : cases) {
        const auto agent = come("a1", std::string(c.node));
        if (c.token) agent->node_token = Secret(std::string(*c.token));
        agent->attest();
        EXPECT_TRUE(until([&] { return agent->wire->has_heard(c.heard); })) << c.node << " " << c.heard;
        agent->wire->stream.abort();
        ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    }
}

// It may have been made for another agent, and relayed.
TEST_F(AdmissionTest, AQuoteOfAnotherChallengeIsJudgedToItsEndOnANodeWithItsToken) {
    open();
    put_node("n1");
    for (const bool proven : {true, false}) {
        const auto agent = come("a1", "n1");
        agent->node_token = Secret(proven ? "token of n1" : "token of n2");
        agent->attest(ByteArray<64>{1});
        ASSERT_TRUE(until([&] { return agent->wire->has_heard("status invalid report_data_mismatch"); }));
        ASSERT_FALSE(registry.refusals().empty());
        const std::string& detail = registry.refusals().front().detail;
        EXPECT_EQ(detail.ends_with("; everything else about the quote holds"), proven) << detail;
        agent->wire->stream.abort();
        ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    }
}

TEST_F(AdmissionTest, ABannedNodeIsOutBeforeTheNextRequestAndDoesNotComeBack) {
    open();
    put_node("n1");
    const auto agent = serve_on("n1");
    const auto other = serve("a2");
    ASSERT_EQ(registry.status("myapp", now()), registry::AppStatus::active);
    put_node("n1", true);
    // Within the call: no request can come between.
    EXPECT_EQ(registry.tunnel_of("myapp", "a1"), registry::no_tunnel);
    EXPECT_NE(registry.tunnel_of("myapp", "a2"), registry::no_tunnel);
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status invalid node_banned"); }));
    const auto again = come("a1", "n1");
    EXPECT_TRUE(until([&] { return again->wire->has_heard("status invalid node_banned"); }));
}

TEST_F(AdmissionTest, ATokenThatIsNoLongerTheNodesOpensNothing) {
    open();
    put_node("n1");
    const auto agent = serve_on("n1");
    const auto early = come("a2", "n1");  // Challenged, not answered.
    put_node("n1", false, "another");
    EXPECT_EQ(registry.tunnel_of("myapp", "a1"), registry::no_tunnel);
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status invalid node_token_invalid"); }));
    early->node_token = Secret("another");
    early->attest();
    EXPECT_TRUE(until([&] { return early->wire->has_heard("status ok attested"); }));
}

TEST_F(AdmissionTest, ALaterAnswerNeedsTheTokenToo) {
    open();
    put_node("n1");
    const auto agent = serve_on("n1");
    tunnels->find(1)->challenge(protocol::ChallengeReason::operator_request);
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("challenge operator"); }));
    agent->node_token.reset();
    agent->attest();
    EXPECT_TRUE(until([&] { return agent->wire->has_heard("status invalid node_token_invalid"); }));
}

TEST_F(AdmissionTest, ChallengesOfANodesAgentsAreRecorded) {
    struct Case {
        const char* why;
        std::function<void(SimulatedAgent&)> answer;
        std::string_view challenges;
    };
    open();
    record_slots();
    put_node("n1");
    const Case cases[] = {
        {"good", [](SimulatedAgent& agent) { agent.attest(); }, "2 0 0, 2"},
        {"bad", [](SimulatedAgent& agent) { agent.attest(ByteArray<64>{1}); }, "1 1 0, 1"},
        {"token", [](SimulatedAgent& agent) { agent.node_token.reset(), agent.attest(); }, "1 1 0, 1"},
        {"nobody can judge", [this](SimulatedAgent& agent) { releases.unavailable = true, agent.attest(); },
         "1 0 1, 1"},
    };
    for (const Case& c : cases) {
        const std::string id = std::string("a-") + c.why[0];
        const auto agent = serve_on("n1", id);
        ASSERT_TRUE(until([&] { return challenges(id) == "1 0 0, 1"; })) << c.why;
        tunnels->find(registry.tunnel_of("myapp", id))
            ->challenge(protocol::ChallengeReason::operator_request);
        ASSERT_TRUE(until([&] { return agent->wire->has_heard("challenge operator"); })) << c.why;
        c.answer(*agent);
        EXPECT_TRUE(until([&] { return challenges(id) == c.challenges; })) << c.why << ": " << challenges(id);
    }
    // Who is of no node earns and owes nothing.
    releases.unavailable = false;
    const auto agent = serve("a-without");
    const auto on_node = serve_on("n1", "a-last");
    ASSERT_TRUE(until([&] { return challenges("a-last") == "1 0 0, 1"; }));
    EXPECT_EQ(challenges("a-without"), "none");
    // The release's allowlist came into force, once.
    EXPECT_EQ(door.books.store.leaf_count(), 1u);
}

TEST_F(AdmissionTest, HangingUpDoesNotEscapeAChallenge) {
    settings.attest_deadline = tunnel_settings.session.attestation.deadline = std::chrono::seconds(1);
    open();
    record_slots();
    put_node("n1");
    put_node("n2");
    const auto challenged = [&](const std::string& id, const std::string& node = "n1") {
        auto agent = serve_on(node, id);
        tunnels->find(registry.tunnel_of("myapp", id))
            ->challenge(protocol::ChallengeReason::operator_request);
        EXPECT_TRUE(until([&] { return agent->wire->has_heard("challenge operator"); }));
        return agent;
    };
    challenged("a-silent")->wire->stream.abort();
    EXPECT_TRUE(until([&] { return challenges("a-silent") == "1 1 0, 1"; })) << challenges("a-silent");

    // Answered, and gone before the verdict.
    const auto bad = challenged("a-bad");
    {
        const int arrived = releases.arrived;
        const std::lock_guard hold(releases.gate);
        bad->attest_legacy();
        ASSERT_TRUE(until([&] { return releases.arrived > arrived; }));
        bad->wire->stream.abort();
        ASSERT_TRUE(until([&] { return registry.tunnel_of("myapp", "a-bad") == registry::no_tunnel; }));
    }
    EXPECT_TRUE(until([&] { return challenges("a-bad") == "1 1 0, 1"; })) << challenges("a-bad");

    // The same with a quote of another TD while nobody can judge: also then it is none.
    const auto other = challenged("a-other");
    {
        const int arrived = releases.arrived;
        const std::lock_guard hold(releases.gate);
        releases.unavailable = true;
        other->attest(std::nullopt, true);
        ASSERT_TRUE(until([&] { return releases.arrived > arrived; }));
        other->wire->stream.abort();
        ASSERT_TRUE(until([&] { return registry.tunnel_of("myapp", "a-other") == registry::no_tunnel; }));
    }
    EXPECT_TRUE(until([&] { return challenges("a-other") == "1 1 0, 1"; })) << challenges("a-other");
    releases.unavailable = false;

    // One that is gone while what judges it is being fetched is judged all the same.
    const auto waiting = challenged("a-waiting");
    releases.pending = true;
    waiting->attest();
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    waiting->wire->stream.abort();
    ASSERT_TRUE(until([&] { return registry.tunnel_of("myapp", "a-waiting") == registry::no_tunnel; }));
    // Until then the ledger is told of nothing behind its deadline, a second from the challenge at most.
    const auto due = ledger_now() + std::chrono::seconds(1);
    ASSERT_TRUE(until([&] { return ledger_now() > due + std::chrono::milliseconds(1100); }));
    EXPECT_LE(*door.told, due);
    releases.pending = false;
    releases.settle();
    EXPECT_TRUE(until([&] { return challenges("a-waiting") == "2 0 0, 1"; })) << challenges("a-waiting");

    // Nor is one forgotten that another tunnel of the same agent has superseded meanwhile: its answer was one
    // of an agent that served.
    const auto superseded = challenged("a-superseded");
    tunnel::TestVisitor visitor;  // Whose answer does not come: the tunnel stays open, out of routing.
    ASSERT_TRUE(tunnels->find(registry.tunnel_of("myapp", "a-superseded"))
                    ->open_stream({.method = "GET", .target = "/"}, visitor, loop.now()));
    releases.pending = true;
    superseded->attest();
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    releases.pending = false;
    const auto successor = come("a-superseded", "n1");
    successor->node_token = Secret("token of n1");
    successor->key = std::move(superseded->key);
    successor->attest();
    ASSERT_TRUE(until([&] { return successor->wire->has_heard("status ok attested"); }));
    ASSERT_TRUE(until([&] { return superseded->wire->has_heard("status draining superseded"); }));
    EXPECT_EQ(superseded->wire->closed, "");
    releases.pending = true;
    releases.settle();
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    const std::size_t tunnels_before = tunnels->size();
    superseded->wire->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels->size() < tunnels_before; }));
    releases.pending = false;
    EXPECT_TRUE(until([&] { return challenges("a-superseded") == "2 0 0, 2"; }))
        << challenges("a-superseded");
    releases.settle();
    EXPECT_TRUE(until([&] { return challenges("a-superseded") == "3 0 0, 2"; }))
        << challenges("a-superseded");

    // Whom nobody wants any more owes nothing.
    const auto unwelcome = challenged("a-unwelcome");
    tunnels->find(registry.tunnel_of("myapp", "a-unwelcome"))->refuse({"app_forgotten", ""}, std::nullopt);
    const auto banned = challenged("a-banned", "n2");
    put_node("n2", true);
    // Nor does who was not asked.
    serve_on("n1", "a-leaving")->wire->stream.abort();
    ASSERT_TRUE(until([&] { return registry.tunnel_of("myapp", "a-leaving") == registry::no_tunnel; }));
    door.told.reset();
    const auto after = ledger_now() + std::chrono::milliseconds(1500);
    ASSERT_TRUE(until([&] { return door.told && *door.told > after; }));
    for (const char* id : {"a-unwelcome", "a-banned", "a-leaving"})
        EXPECT_EQ(challenges(id), "1 0 0, 1") << id;
}

}  // namespace
}  // namespace ee::control_plane

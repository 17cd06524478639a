// Tunnels that are drained or left, and what is owed of a challenge that was open then.

#include <gtest/gtest.h>

#include "tunnel/test_session_machine.h"

namespace ee::tunnel {
namespace {

using namespace std::chrono_literals;
using protocol::ChallengeReason;

TEST(SessionMachine, ADrainedTunnelFinishesItsStreams) {
    for (const char* reason : {"draining", "superseded"}) {
        Tunnel tunnel;
        tunnel.active();
        EXPECT_EQ(tunnel.drain(reason, 1500), (Did{fmt::format("status draining {} reconnect 1500", reason),
                                                   fmt::format("drain {}", reason)}));
        EXPECT_EQ(tunnel.machine.state(), SessionState::draining);
        EXPECT_EQ(tunnel.text(answer_7), Did{"answer 7"});
        EXPECT_EQ(tunnel.text(health_pass), Did{"health pass"});
        EXPECT_EQ(tunnel.drain("draining"), Did{});
        EXPECT_EQ(tunnel.challenge(ChallengeReason::operator_request), Did{});
        EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{fmt::format("close 1001 {}", reason)});
        EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{});
    }
}

TEST(SessionMachine, DrainingHasAnEnd) {
    Tunnel tunnel;
    tunnel.active();
    tunnel.drain("draining");
    EXPECT_EQ(tunnel.machine.next_deadline(), start + 20s);
    EXPECT_EQ(tunnel.pass(19s), Did{});
    EXPECT_EQ(tunnel.pass(1s), Did{"close 1001 draining"});
}

TEST(SessionMachine, AChallengeThatIsOpenWhenDrainingBeginsIsLetGo) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.drain("superseded");
    EXPECT_EQ(tunnel.answer(), Did{});
    EXPECT_EQ(tunnel.answer(), tolerated("unexpected_attestation"));
}

TEST(SessionMachine, AVerdictThatComesWhileDrainingStillCounts) {
    Tunnel good, bad, unclear;
    for (Tunnel* tunnel : {&good, &bad, &unclear}) {
        tunnel->active().pass(800s);
        tunnel->answer();
        tunnel->drain("draining");
    }
    EXPECT_EQ(good.judged(), Did{"renew"});
    EXPECT_EQ(bad.judged(fail("debug_td")), Did{"attest_miss debug_td"} + refusal("debug_td"));
    EXPECT_EQ(unclear.judged(fail("collateral_unavailable")), Did{"inconclusive collateral_unavailable"});
    EXPECT_EQ(unclear.machine.next_deadline(), unclear.now().mono + 20s);
}

TEST(SessionMachine, AnAgentThatLeavesAnswersWhatItWasAsked) {
    const Did leaving = {"status draining agent_stopping", "drain agent_stopping"};
    Tunnel unasked, good, bad, unclear, silent;
    EXPECT_EQ(unasked.active().leave(), leaving);
    EXPECT_EQ(unasked.machine.next_deadline(), start + 20s);
    EXPECT_EQ(unasked.call(&SessionMachine::streams_finished), Did{"close 1001 agent_stopping"});
    for (Tunnel* tunnel : {&good, &bad, &unclear, &silent}) {
        tunnel->active().pass(800s);
        tunnel->pass(15s);
        EXPECT_EQ(tunnel->leave(), leaving);
        EXPECT_EQ(tunnel->leave(), Did{});
        EXPECT_EQ(tunnel->call(&SessionMachine::streams_finished), Did{});
    }
    for (Tunnel* tunnel : {&good, &bad, &unclear}) EXPECT_EQ(tunnel->answer(), Did{"verify periodic"});
    EXPECT_EQ(good.judged(), (Did{"renew", "close 1001 agent_stopping"}));
    EXPECT_EQ(bad.judged(fail("debug_td")), Did{"attest_miss debug_td"} + refusal("debug_td"));
    EXPECT_EQ(unclear.judged(fail("collateral_unavailable")),
              (Did{"inconclusive collateral_unavailable", "close 1001 agent_stopping"}));
    EXPECT_EQ(silent.pass(15s), Did{"attest_miss attestation_timeout"} + refusal("attestation_timeout"));
    for (const Tunnel* tunnel : {&unasked, &good, &bad, &unclear, &silent})
        EXPECT_EQ(tunnel->machine.owed(), Owed::nothing);
}

TEST(SessionMachine, AnAgentThatLeavesWithStreamsOpenServesThemToTheirEnd) {
    Tunnel tunnel;
    tunnel.active().pass(800s);
    tunnel.leave();
    tunnel.answer();
    EXPECT_EQ(tunnel.judged(), Did{"renew"});
    EXPECT_EQ(tunnel.machine.state(), SessionState::draining);
    EXPECT_EQ(tunnel.call(&SessionMachine::streams_finished), Did{"close 1001 agent_stopping"});
}

TEST(SessionMachine, WhatAnAgentLeavesWithoutIsOwed) {
    Tunnel gone, late, unjudged, replaced;
    for (Tunnel* tunnel : {&gone, &late, &unjudged, &replaced}) tunnel->active().pass(800s);
    gone.leave();
    gone.machine.socket_closed();
    EXPECT_EQ(gone.machine.owed(), Owed::answer);
    late.leave();  // Draining would end before the challenge does.
    EXPECT_EQ(late.pass(20s), Did{});
    EXPECT_EQ(late.pass(10s), Did{"attest_miss attestation_timeout"} + refusal("attestation_timeout"));
    unjudged.answer();
    unjudged.leave();
    EXPECT_EQ(unjudged.call(&SessionMachine::streams_finished), Did{});
    EXPECT_EQ(unjudged.pass(20s), Did{"close 1001 agent_stopping"});
    EXPECT_EQ(unjudged.machine.owed(), Owed::verdict);
    replaced.answer();
    replaced.drain("superseded");
    replaced.machine.socket_closed();
    EXPECT_EQ(replaced.machine.owed(), Owed::verdict);
}

// Who has attested anew on another tunnel, or is let go by an operator, owes no answer on this one.
TEST(SessionMachine, WhoLeavesAndIsDrainedThenOwesNoAnswer) {
    Tunnel busy, idle, judged;
    for (Tunnel* tunnel : {&busy, &idle, &judged}) {
        tunnel->active().pass(800s);
        tunnel->leave();
    }
    EXPECT_EQ(busy.drain("superseded"), Did{});
    busy.machine.socket_closed();
    EXPECT_EQ(busy.machine.owed(), Owed::nothing);
    idle.call(&SessionMachine::streams_finished);
    EXPECT_EQ(idle.drain("superseded"), Did{"close 1001 agent_stopping"});
    EXPECT_EQ(idle.machine.owed(), Owed::nothing);
    judged.answer();
    judged.drain("superseded");
    judged.machine.socket_closed();
    EXPECT_EQ(judged.machine.owed(), Owed::verdict);  // The answer it gave counts.
}

TEST(SessionMachine, ATunnelThatDoesNotServeYetHasNothingToFinish) {
    Tunnel fresh, challenged;
    EXPECT_EQ(fresh.drain("draining"), (Did{"status draining draining", "close 1001 draining"}));
    EXPECT_EQ(challenged.challenged().drain("draining"),
              (Did{"status draining draining", "close 1001 draining"}));
}

TEST(SessionMachine, WhatAChallengeIsWithoutAtTheEndIsOwed) {
    Tunnel fresh, idle, asked, answered, missed, drained;
    fresh.machine.socket_closed();
    EXPECT_EQ(fresh.machine.owed(), Owed::nothing);
    idle.active().machine.socket_closed();
    EXPECT_EQ(idle.machine.owed(), Owed::nothing);
    for (Tunnel* tunnel : {&asked, &answered, &missed, &drained}) tunnel->active().pass(800s);
    asked.machine.socket_closed();
    EXPECT_EQ(asked.machine.owed(), Owed::answer);
    answered.answer();
    answered.machine.socket_closed();
    EXPECT_EQ(answered.machine.owed(), Owed::verdict);
    missed.pass(30s);
    ASSERT_EQ(missed.machine.state(), SessionState::closed);
    EXPECT_EQ(missed.machine.owed(), Owed::nothing);  // It is recorded already.
    drained.drain("draining");
    drained.machine.socket_closed();
    EXPECT_EQ(drained.machine.owed(), Owed::nothing);
}

}  // namespace
}  // namespace ee::tunnel

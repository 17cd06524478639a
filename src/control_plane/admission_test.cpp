#include <sys/mman.h>

#include "control_plane/test_admission.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

TEST_F(AdmissionTest, AdmitsAnAgentWhoseQuoteHoldsAndKeepsItsEvidence) {
    open();
    const auto agent = serve();
    EXPECT_EQ(status(), "active");
    const registry::AppDetail detail = registry.detail("myapp", now()).value();
    ASSERT_EQ(detail.agents.size(), 1u);
    EXPECT_EQ(detail.agents[0].agent.verdict.binding, "key");
    EXPECT_EQ(detail.agents[0].agent.verdict.agent_key, agent->key.spki());
    EXPECT_NE(newest_evidence("a1"), "none");
    EXPECT_EQ(tunnels->unattested(), 0u);
    EXPECT_FALSE(admission->store_failed());
    agent->wire->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    EXPECT_EQ(status(), "offline");
}

// Whoever reads it could pass for the agent: the quote has no nonce.
TEST_F(AdmissionTest, KeepsNothingOfALegacyAnswerThatCouldBeShown) {
    open();
    const auto agent = come();
    agent->attest_legacy();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
    const registry::AppDetail detail = registry.detail("myapp", now()).value();
    ASSERT_EQ(detail.agents.size(), 1u);
    const registry::AttestedVerdict& verdict = detail.agents[0].agent.verdict;
    EXPECT_EQ(verdict.binding, "none");
    EXPECT_TRUE(verdict.report_data.empty());
}

class UnboundAdmission : public AdmissionTest, public testing::WithParamInterface<const char*> {
protected:
    UnboundAdmission() {
        attestation::NetworkPolicy sandbox = attestation::sandbox_1_policy(true);
        sandbox.legacy_cidrs = {Cidr::parse("192.0.2.0/24").value(), Cidr::parse(GetParam()).value()};
        policies = attestation::NetworkPolicies({sandbox});
    }
};
INSTANTIATE_TEST_SUITE_P(Addresses, UnboundAdmission, testing::Values("127.0.0.0/8", "127.0.0.2"));

TEST_P(UnboundAdmission, IsForTheNetworksAddressesOnly) {
    open();
    const auto legacy = come("a1");
    legacy->attest_legacy();
    const bool admitted = std::string(GetParam()) == "127.0.0.0/8";
    ASSERT_TRUE(until([&] {
        return legacy->wire->has_heard(admitted ? "status ok attested" : "status invalid binding_too_weak");
    }));
    serve("a2");  // What is bound may come from anywhere.
}

TEST_F(AdmissionTest, BindsNothingBeforeTheQuoteHasHeld) {
    open();
    const auto agent = come();
    EXPECT_EQ(status(), "unknown");
    agent->attest(ByteArray<64>{1});
    ASSERT_TRUE(until([&] { return !agent->wire->closed.empty(); }));
    EXPECT_TRUE(agent->wire->has_heard("status invalid report_data_mismatch"));
    EXPECT_EQ(status(), "unknown");
    EXPECT_EQ(newest_evidence("a1"), "none");
    ASSERT_FALSE(registry.refusals().empty());
    EXPECT_EQ(registry.refusals().front().code, "report_data_mismatch");
}

TEST_F(AdmissionTest, RefusesAReleaseWithoutAnAllowlist) {
    releases.missing = true;
    open();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return !agent->wire->closed.empty(); }));
    EXPECT_TRUE(agent->wire->has_heard("status invalid allowlist_missing"));
    EXPECT_EQ(status(), "unknown");
}

TEST_F(AdmissionTest, JudgesTheSameAnswerAgainWhenWhatIsFetchedHasCome) {
    releases.pending = true;
    open();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    EXPECT_EQ(tunnels->find(1)->machine().state(), tunnel::SessionState::judging);
    EXPECT_EQ(status(), "unknown");
    releases.pending = false;
    releases.settle();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
    EXPECT_EQ(releases.asked, 2);
    EXPECT_EQ(status(), "active");
}

TEST_F(AdmissionTest, DoesNotWaitForAFetchForEver) {
    releases.pending = true;
    open();
    const auto agent = come();
    agent->attest();
    for (int waits = 0; waits < 4; ++waits) {
        ASSERT_TRUE(until([&] { return releases.waiters() == 1; })) << waits;
        releases.settle();
    }
    ASSERT_TRUE(until([&] { return !agent->wire->closed.empty(); }));
    EXPECT_TRUE(agent->wire->has_heard("status invalid allowlist_unavailable"));
    EXPECT_EQ(releases.asked, 5);
}

TEST_F(AdmissionTest, ACopyThatIsConfirmedLaterRenewsTheRegistration) {
    releases.stale = true;
    open();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    EXPECT_FALSE(registry.agent_of(1)->verdict.renews_registration);
    releases.stale = false;
    releases.settle();
    EXPECT_TRUE(until([&] { return registry.agent_of(1)->verdict.renews_registration; }));
}

TEST_F(AdmissionTest, ACopyThatIsNotConfirmedRenewsNothing) {
    open();
    for (const bool changed : {true, false}) {
        releases.stale = true;
        releases.changed = false;
        const auto agent = come(changed ? "a1" : "a2");
        agent->attest();
        ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
        // Another one was found, or nobody could be asked.
        releases.changed = changed;
        releases.stale = !changed;
        const int before = releases.asked;
        releases.settle();
        ASSERT_TRUE(until([&] { return releases.asked == before + 1; }));
        run_turns(loop, 5);
        const auto tunnel = registry.tunnel_of("myapp", agent->registration.agent_id);
        ASSERT_NE(registry.agent_of(tunnel), nullptr);
        EXPECT_FALSE(registry.agent_of(tunnel)->verdict.renews_registration);
    }
}

TEST_F(AdmissionTest, ATunnelThatIsGoneWhenItsFetchEndsIsNotJudged) {
    releases.pending = true;
    open();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return releases.waiters() == 1; }));
    agent->wire->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    releases.pending = false;
    releases.settle();
    run_turns(loop, 5);
    EXPECT_EQ(releases.asked, 1);
    EXPECT_EQ(status(), "unknown");
}

// Else an admitted agent could swap its TD while nobody can judge, or choose a quote that nobody ever can.
TEST_F(AdmissionTest, WhatCannotBeJudgedNowMustBeOfTheSameTd) {
    open();
    const auto same = serve("a1"), other = serve("a2");
    releases.unavailable = true;
    for (const tunnel::TunnelId id : {1, 2})
        tunnels->find(id)->challenge(protocol::ChallengeReason::operator_request);
    const auto asked = [](const SimulatedAgent& agent) {
        return agent.wire->challenge.reason == protocol::ChallengeReason::operator_request;
    };
    ASSERT_TRUE(until([&] { return asked(*same) && asked(*other); }));
    same->attest();
    other->attest(std::nullopt, true);
    ASSERT_TRUE(until([&] { return !other->wire->closed.empty(); }));
    EXPECT_TRUE(other->wire->has_heard("status invalid measurement_mismatch:subject"));
    ASSERT_TRUE(until([&] { return same->wire->has_heard("status warning allowlist_unavailable"); }));
    EXPECT_EQ(same->wire->closed, "");
    EXPECT_EQ(status(), "active");
}

TEST_F(AdmissionTest, AdmitsNoMoreASecondThanItsLimit) {
    settings.admissions_per_second_max = 1;
    open();
    const auto first = come("a1"), second = come("a2");
    EXPECT_TRUE(first->wire->has_heard("challenge register"));
    EXPECT_TRUE(second->wire->has_heard("status invalid rate_limited"));
}

TEST_F(AdmissionTest, WhoIsRefusedAtOnceDoesNotCountAgainstTheLimit) {
    settings.admissions_per_second_max = 1;
    open();
    put_node("banned-1", true);
    for (int i = 0; i < 3; ++i)
        EXPECT_TRUE(come("b1", "banned-1")->wire->has_heard("status invalid node_banned"));
    EXPECT_TRUE(come("a1")->wire->has_heard("challenge register"));
}

TEST_F(AdmissionTest, AnAgentWithTheSameKeyTakesItsPlaceBackAtOnce) {
    open();
    const auto first = serve();
    auto second = come();
    second->key = std::move(first->key);
    second->attest();
    ASSERT_TRUE(until([&] { return second->wire->has_heard("status ok attested"); }));
    EXPECT_TRUE(until([&] { return first->wire->has_heard("status draining superseded"); }));
    EXPECT_EQ(status(), "active");
}

TEST_F(AdmissionTest, AnotherAgentTakesThePlaceOnlyOfASilentOne) {
    tunnel_settings.keep_alive.probe_time = 2s;
    open();
    const auto first = serve();
    const std::string before = newest_evidence("a1");
    const auto second = come();
    second->attest();
    ASSERT_TRUE(until([&] { return !second->wire->closed.empty(); }));
    EXPECT_TRUE(second->wire->has_heard("status invalid agent_id_taken"));
    EXPECT_EQ(newest_evidence("a1"), before) << "the intruder's quote is not the agent's evidence";
    EXPECT_EQ(first->wire->closed, "");

    first->wire->answers_pings = false;
    const auto third = come();
    third->attest();
    ASSERT_TRUE(until([&] { return third->wire->has_heard("status ok attested"); }));
    EXPECT_TRUE(until([&] { return first->wire->has_heard("status draining superseded"); }));
    EXPECT_EQ(status(), "active");
}

TEST_F(AdmissionTest, ATunnelThatWasClosedWhileTheHolderWasProbedTakesNoPlace) {
    tunnel_settings.keep_alive.probe_time = 1s;
    open();
    const auto first = serve();
    first->wire->answers_pings = false;
    const auto second = come();
    second->attest();
    ASSERT_TRUE(until([&] { return first->wire->has_heard("ping"); }));
    second->wire->stream.pause_reading();  // It does not close its side, so the tunnel lingers.
    tunnels->find(2)->refuse({"app_forgotten", ""}, std::nullopt);
    net::run_for(loop, 1200ms);
    ASSERT_NE(tunnels->find(2), nullptr);
    EXPECT_FALSE(first->wire->has_heard("status draining superseded"));
    EXPECT_EQ(registry.tunnel_of("myapp", "a1"), 1u);
    EXPECT_EQ(status(), "active");
}

TEST_F(AdmissionTest, AVerdictOnATunnelThatWasClosedChangesNothing) {
    open();
    releases.gate.lock();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return tunnels->find(1)->machine().state() == tunnel::SessionState::judging; }));
    agent->wire->stream.pause_reading();
    tunnels->find(1)->refuse({"app_forgotten", ""}, std::nullopt);
    releases.gate.unlock();
    std::atomic<bool> judged = false;
    ASSERT_TRUE(workers->run([&] { judged = true; }));  // One worker: after the verdict.
    ASSERT_TRUE(until([&] { return judged.load(); }));
    run_turns(loop, 5);
    EXPECT_EQ(status(), "unknown");
}

TEST_F(AdmissionTest, AFloodOfAnswersPutsNobodyOutWhoServes) {
    open();
    record_slots();
    const auto serving = serve("a1");
    const auto newcomer = come("a2");
    std::unique_lock hold(releases.gate);
    std::atomic<int> held = 0;
    const auto hold_worker = [&] {
        const int before = held;
        ASSERT_TRUE(workers->run_ahead([&] {
            ++held;
            const std::lock_guard wait(releases.gate);
        }));
        ASSERT_TRUE(until([&] { return held > before; }));
    };
    const auto answer_again = [&] {
        serving->wire->challenge = {};
        tunnels->find(1)->challenge(protocol::ChallengeReason::operator_request);
        ASSERT_TRUE(until(
            [&] { return serving->wire->challenge.reason == protocol::ChallengeReason::operator_request; }));
        serving->attest();
    };
    hold_worker();
    while (workers->run([] {})) {
    }
    const Bytes judged_before = registry.agent_of(1)->verdict.nonce;
    answer_again();
    newcomer->attest();
    ASSERT_TRUE(until([&] { return !newcomer->wire->closed.empty(); }));
    EXPECT_TRUE(newcomer->wire->has_heard("status invalid rate_limited"));
    hold.unlock();
    ASSERT_TRUE(until([&] { return registry.agent_of(1)->verdict.nonce != judged_before; }));
    EXPECT_FALSE(serving->wire->has_heard("status warning collateral_unavailable"));

    // There may be as many of those who serve.
    hold.lock();
    hold_worker();
    while (workers->run_ahead([] {})) {
    }
    answer_again();
    ASSERT_TRUE(until([&] { return serving->wire->has_heard("status warning collateral_unavailable"); }));
    EXPECT_EQ(serving->wire->closed, "");
    EXPECT_EQ(status(), "active");
    hold.unlock();
    ASSERT_TRUE(until([&] { return workers->queued() == 0; }));
    serve("a3");
}

// What judging has taken is charged: a twelfth of a core is for newcomers then.
TEST_F(AdmissionTest, NewcomersWaitForWhatJudgingTookWhileVisitorsAreServed) {
    struct Newcomer final : net::Watcher {
        void on_ready(std::uint32_t) override { told = true; }
        bool told = false;
    };
    open();
    std::unique_lock hold(releases.gate);
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return releases.arrived > 0; }));
    loop.favor_foreground(std::chrono::hours(1));
    const MonoTime begin = std::chrono::steady_clock::now();
    net::Timer judged(loop, [&] { hold.unlock(); });
    judged.arm_at(begin + std::chrono::milliseconds(50));
    ASSERT_TRUE(until([&] { return tunnels->find(1)->machine().state() == tunnel::SessionState::active; }));
    Newcomer newcomer;
    const auto [near, far] = net::socket_pair();
    loop.watch(near.get(), newcomer, net::Urgency::background);
    ASSERT_TRUE(until([&] { return newcomer.told; }));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50 + 12 * 50));
    loop.unwatch(near.get(), newcomer, net::Urgency::background);
}

TEST_F(AdmissionTest, MayDieWhileAQuoteIsJudged) {
    open();
    releases.gate.lock();
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return tunnels->find(1)->machine().state() == tunnel::SessionState::judging; }));
    server.reset();
    tunnels.reset();
    admission.reset();
    releases.gate.unlock();
    workers.reset();  // Ends the job.
}

TEST_F(AdmissionTest, DrainsEveryTunnel) {
    open();
    const auto first = serve("a1"), second = serve("a2");
    admission->drain_all();
    ASSERT_TRUE(until([&] { return tunnels->size() == 0; }));
    EXPECT_TRUE(first->wire->has_heard("status draining draining"));
    EXPECT_TRUE(second->wire->has_heard("status draining draining"));
    EXPECT_EQ(status(), "offline");
}

// ---- Policies that change ----

attestation::NetworkPolicies policies_asking_for(attestation::Binding binding) {
    attestation::NetworkPolicy policy = attestation::sandbox_1_policy(true);
    policy.binding_min = binding;
    return attestation::NetworkPolicies({policy});
}

TEST_F(AdmissionTest, JudgesAnewWhatThePolicyBeforeHasLetIn) {
    open();
    std::unique_lock hold(releases.gate);
    const auto agent = come();
    agent->attest();
    // It is being judged: a worker waits for the allowlist.
    ASSERT_TRUE(until([&] { return tunnels->find(1)->machine().state() == tunnel::SessionState::judging; }));
    ASSERT_TRUE(until([&] { return releases.arrived > 0; }));
    appraiser->set_policies(policies_asking_for(attestation::Binding::channel));
    hold.unlock();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status invalid binding_too_weak"); }));
    EXPECT_EQ(status(), "unknown");
}

TEST_F(AdmissionTest, AdmitsWhatAnUnrelatedChangeHasOvertaken) {
    open();
    std::unique_lock hold(releases.gate);
    const auto agent = come();
    agent->attest();
    ASSERT_TRUE(until([&] { return releases.arrived > 0; }));
    appraiser->set_policies(attestation::NetworkPolicies({attestation::sandbox_1_policy(true)}));
    hold.unlock();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
    EXPECT_EQ(releases.asked, 1);
}

TEST_F(AdmissionTest, ChallengesTheAgentsOfAChangedNetworkAtABoundedRate) {
    challenges_per_second_max = 20;
    open();
    std::vector<std::unique_ptr<SimulatedAgent>> agents;
    for (int i = 0; i < 6; ++i) agents.push_back(serve("a" + std::to_string(i)));
    const auto before = appraiser->policies();
    appraiser->set_policies(policies_asking_for(attestation::Binding::channel));
    const auto challenged = [&] {
        return std::count_if(agents.begin(), agents.end(), [](const auto& agent) {
            return agent->wire->challenge.reason == protocol::ChallengeReason::operator_request;
        });
    };
    round->begin({.added = {}, .changed = {"other"}, .removed = {}}, *appraiser->policies());
    EXPECT_EQ(round->waiting(), 0u);
    const MonoTime start = std::chrono::steady_clock::now();
    const NetworkChanges changes = changes_between(*before, *appraiser->policies());
    EXPECT_TRUE(changes.concern("sandbox-1"));
    round->begin(changes, *appraiser->policies());
    round->begin(changes, *appraiser->policies());  // Nobody is asked twice.
    EXPECT_EQ(round->waiting(), 6u);
    ASSERT_TRUE(until([&] { return challenged() == 6; }));
    // One each 50 ms: the last comes 250 ms after the first.
    EXPECT_GE(std::chrono::steady_clock::now() - start, 240ms);
    EXPECT_EQ(agents[0]->wire->challenge.binding, "channel");
    agents[0]->attest();
    ASSERT_TRUE(until([&] { return agents[0]->wire->has_heard("status invalid binding_too_weak"); }));
    EXPECT_EQ(round->waiting(), 0u);
}

TEST_F(AdmissionTest, AChallengeThatTheAdminWantsIsLoggedAsSuch) {
    open();
    const auto agent = serve();
    const net::Fd file{::memfd_create("log", MFD_CLOEXEC)};
    const telemetry::Log lines(telemetry::LogLevel::info, telemetry::LogFormat::json, file.get());
    ChallengeRound ordered(loop, *tunnels, lines, 20);
    const std::vector<tunnel::TunnelId> agents = registry.tunnels_of("myapp");
    ordered.challenge({.agents = agents, .app = "myapp", .request_id = "r1", .client = net::IpAddress()});
    ASSERT_TRUE(
        until([&] { return agent->wire->challenge.reason == protocol::ChallengeReason::operator_request; }));
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(::pread(file.get(), text.data(), text.size(), 0)));
    EXPECT_NE(text.find(R"("event":"app.challenging","app":"myapp","by":"admin","client":")"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find(R"("request_id":"r1","agents":1,)"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("event":"challenges.made","agents":1)"), std::string::npos) << text;
    EXPECT_EQ(text.find("networks."), std::string::npos) << text;
}

TEST_F(AdmissionTest, RefusesAtItsNextChallengeAnAgentWhoseNetworkIsGone) {
    open();
    const auto agent = serve();
    const auto before = appraiser->policies();
    const attestation::NetworkPolicies after({attestation::forge_1_policy()});
    appraiser->set_policies(after);
    registry.set_networks({{"forge-1", {"channel", 21600s}}});
    round->begin(changes_between(*before, after), after);
    ASSERT_TRUE(
        until([&] { return agent->wire->challenge.reason == protocol::ChallengeReason::operator_request; }));
    EXPECT_EQ(status(), "active");
    agent->attest();
    ASSERT_TRUE(until([&] { return agent->wire->has_heard("status invalid invalid_network"); }));
    EXPECT_NE(status(), "active");
}

}  // namespace
}  // namespace ee::control_plane

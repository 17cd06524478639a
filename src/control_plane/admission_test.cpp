#include "control_plane/admission.h"

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/evidence.h"
#include "attestation/simulated_platform.h"
#include "control_plane/challenge_round.h"
#include "control_plane/test_ledger_door.h"
#include "http/server.h"
#include "tunnel/test_agent.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;
using net::run_turns;
using net::run_until;
using tunnel::TestAgent;

const attestation::SimulatedPlatform& platform() {
    static const attestation::SimulatedPlatform made = attestation::make_simulated_platform(wall_now());
    return made;
}

struct Releases final : attestation::ReleaseSource {
    Result<attestation::PublishedAllowlist> find(const attestation::ReleaseQuery&, WallTime) override {
        ++arrived;
        const std::lock_guard wait(gate);
        ++asked;
        if (pending) return fail("allowlist_pending", "it is being fetched");
        if (missing) return fail("allowlist_missing", "none");
        if (unavailable) return fail("allowlist_unavailable", "nobody can be asked");
        return attestation::PublishedAllowlist{changed ? other : published, !stale};
    }
    // With as many spaces behind it: the same, and another digest.
    static std::shared_ptr<const attestation::Allowlist> allowlist(std::size_t spaces) {
        static const WallTime made_at = wall_now();
        return std::make_shared<const attestation::Allowlist>(
            attestation::parse_allowlist(attestation::make_simulated_allowlist(platform(), made_at) +
                                         std::string(spaces, ' '))
                .value());
    }

    void when_settled(const attestation::ReleaseId& release, std::function<void()> on_settled) override {
        EXPECT_EQ(release.tag, "v1");
        const std::lock_guard wait(gate);
        waiting.push_back(std::move(on_settled));
    }
    // What was being fetched has come, or not.
    void settle() {
        std::vector<std::function<void()>> settled;
        {
            const std::lock_guard wait(gate);
            settled.swap(waiting);
        }
        for (const auto& on_settled : settled) on_settled();
    }
    std::size_t waiters() {
        const std::lock_guard wait(gate);
        return waiting.size();
    }

    const std::shared_ptr<const attestation::Allowlist> published = allowlist(0), other = allowlist(1);
    std::atomic<bool> stale = false;
    std::atomic<bool> changed = false;
    std::mutex gate;  // Holds a verdict back.
    std::vector<std::function<void()>> waiting;
    std::atomic<int> arrived = 0;  // asked, and perhaps held back
    std::atomic<int> asked = 0;
    std::atomic<bool> pending = false;
    std::atomic<bool> missing = false;
    std::atomic<bool> unavailable = false;
};

// An agent of the simulated platform.
struct Agent {
    Agent(net::Loop& loop, std::uint16_t port, std::string agent_id,
          std::optional<std::string> node_id = std::nullopt)
        : registration(tunnel::test_registration(std::move(agent_id))),
          wire(std::make_unique<TestAgent>(loop, net::connect_to(port))) {
        registration.node_id = std::move(node_id);
        wire->upgrade();
        wire->send(registration);
    }
    // As a deployed agent does: its own claims, and no nonce in the quote.
    void attest_legacy() {
        protocol::AttestResponse response;
        response.nonce = wire->challenge.nonce;
        response.measurements = {{"agent_dir_sha256", "a"},
                                 {"agent_py_sha256", "b"},
                                 {"vm_image_id", "tag=v1"},
                                 {"sealed", false}};
        response.report_data = attestation::report_data_legacy(response.measurements).value();
        attestation::SimulatedQuoteRequest request;
        request.report_data = response.report_data;
        response.quote = attestation::make_simulated_quote(platform(), request);
        wire->send(response);
    }
    // Over other bytes than asked for, when `over` is given.
    void attest(std::optional<ByteArray<64>> over = std::nullopt, bool debug = false) {
        const attestation::AgentIdentity identity{.agent_id = registration.agent_id,
                                                  .node_id = registration.node_id.value_or(""),
                                                  .app_name = registration.app_name,
                                                  .repo = registration.repo,
                                                  .release_tag = registration.release_tag,
                                                  .network = registration.network};
        protocol::AttestResponse response;
        response.nonce = wire->challenge.nonce;
        response.layout2 = true;
        response.node_token = node_token;
        response.agent_key = key.spki();
        response.report_data =
            over ? *over
                 : attestation::report_data_layout2({.nonce = response.nonce,
                                                     .agent_key = response.agent_key,
                                                     .channel = {},
                                                     .wire = "1",
                                                     .identity = identity,
                                                     .measurements = response.measurements});
        attestation::SimulatedQuoteRequest request;
        request.report_data = response.report_data;
        request.debug = debug;
        response.quote = attestation::make_simulated_quote(platform(), request);
        response.signature = to_bytes(key.sign(attestation::session_message(response.report_data)));
        wire->send(response);
    }

    protocol::Register registration;
    std::optional<Secret> node_token;
    std::unique_ptr<TestAgent> wire;
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
};

class AdmissionTest : public testing::Test, http::RequestHandler {
protected:
    void open() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-admission-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
        store = std::move(registry::RegistrationStore::open(folder / "control.db").value());
        evidence_store =
            registry::EvidenceStore::open(folder / "control.db", [](const Error&) { FAIL(); }).value();
        evidence.emplace(*evidence_store, "0123456789abcdef0123456789abcdef");
        appraiser.emplace(policies,
                          attestation::TrustAnchors::with_simulated_root(platform().root_certificate).value(),
                          collateral, releases);
        admission.emplace(loop, workers.emplace(1, 16), registry, *store, *appraiser, *evidence, log, metrics,
                          settings);
        tunnels.emplace(loop, *admission, tunnel_settings, tunnel::TunnelLimits{}, tunnel::test_entropy());
        admission->serve(*tunnels);
        admission->know_nodes(nodes);
        round.emplace(loop, *tunnels, log, challenges_per_second_max);
        server.emplace(loop, static_cast<http::RequestHandler&>(*this), http::ServerLimits{});
        ASSERT_TRUE(server->listen("127.0.0.1", 0, nullptr));
    }
    void TearDown() override {
        server.reset();
        round.reset();
        slots.reset();
        tunnels.reset();
        admission.reset();
        workers.reset();
        evidence_store.reset();
        store.reset();
        loop.collect();
        std::filesystem::remove_all(folder);
    }
    std::unique_ptr<Agent> come(std::string agent_id = "a1",
                                std::optional<std::string> node_id = std::nullopt) {
        auto agent = std::make_unique<Agent>(loop, server->port(), std::move(agent_id), std::move(node_id));
        EXPECT_TRUE(until([&] { return !agent->wire->heard.empty(); }));
        return agent;
    }
    std::unique_ptr<Agent> serve(std::string agent_id = "a1") {
        auto agent = come(std::move(agent_id));
        agent->attest();
        EXPECT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
        return agent;
    }
    // On a node, with its token.
    std::unique_ptr<Agent> serve_on(std::string node_id, std::string agent_id = "a1") {
        auto agent = come(std::move(agent_id), node_id);
        agent->node_token = Secret("token of " + node_id);
        agent->attest();
        EXPECT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
        return agent;
    }
    // From now on.
    void record_slots() {
        slots.emplace(loop, door, log, LivenessMark::open(folder / "alive").value(), RecordedEvidence{},
                      SlotRecorder::Settings{});
        admission->record_slots(*slots);
    }
    // "passed missed inconclusive", and how many verdicts.
    std::string challenges(std::string_view agent_id) const {
        const auto slot = door.slot(agent_id);
        if (!slot) return "none";
        return fmt::format("{} {} {}, {}", slot->challenges_passed, slot->challenges_missed,
                           slot->challenges_inconclusive, slot->verdicts.size());
    }
    // Its token is "token of" it, until it is rotated.
    void put_node(std::string node_id, bool banned = false, std::string_view token = "") {
        ledger::Node node{.banned = banned};
        node.token = crypto::sha256(as_bytes(token.empty() ? "token of " + node_id : std::string(token)));
        admission->close_lost(nodes.apply({.nodes = {{std::move(node_id), node.encode()}}}, now()));
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done, 20s); }
    Moment now() const { return {loop.now(), wall_now()}; }
    std::string newest_evidence(std::string_view agent_id) const {
        const std::string agent = attestation::hashed_agent_id("0123456789abcdef0123456789abcdef", agent_id);
        const auto found = evidence_store->newest("myapp", agent).value();
        return found ? found->json : "none";
    }
    std::string status() const {
        const auto found = registry.status("myapp", now());
        return found ? std::string(to_word(*found)) : "unknown";
    }

    http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
    void on_request(http::Exchange& exchange) override {
        EE_CHECK(tunnels->accept(exchange, exchange.peer().ip));
    }
    std::string on_refused(const net::Endpoint&, int, const Error&) override { return ""; }

    net::Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    telemetry::Log log{telemetry::LogLevel::debug, telemetry::LogFormat::json, null.get()};
    net::Loop loop;
    std::filesystem::path folder;
    attestation::FixedCollateral collateral{
        attestation::parse_collateral(attestation::make_simulated_collateral(platform(), wall_now()))
            .value()};
    Releases releases;
    attestation::NetworkPolicies policies = attestation::NetworkPolicies::built_in(true);
    TestLedgerDoor door{loop};
    std::optional<SlotRecorder> slots;
    std::optional<attestation::Appraiser> appraiser;
    registry::Registry registry{registry::RegistrySettings{}, {{"sandbox-1", {"nonce", 86400s}}}};
    NodeDirectory nodes{registry.nodes()};
    telemetry::Metrics metrics;
    AdmissionSettings settings;
    tunnel::TunnelSettings tunnel_settings;
    std::unique_ptr<registry::RegistrationStore> store;
    std::unique_ptr<registry::EvidenceStore> evidence_store;
    std::optional<EvidenceRecorder> evidence;
    std::optional<net::WorkerPool> workers;
    std::optional<Admission> admission;
    std::optional<tunnel::Tunnels> tunnels;
    std::uint32_t challenges_per_second_max = 1000;
    std::optional<ChallengeRound> round;
    std::optional<http::Server> server;
};

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
        std::function<void(Agent&)> answer;
        std::string_view challenges;
    };
    open();
    record_slots();
    put_node("n1");
    const Case cases[] = {
        {"good", [](Agent& agent) { agent.attest(); }, "2 0 0, 2"},
        {"bad", [](Agent& agent) { agent.attest(ByteArray<64>{1}); }, "1 1 0, 1"},
        {"token", [](Agent& agent) { agent.node_token.reset(), agent.attest(); }, "1 1 0, 1"},
        {"nobody can judge", [this](Agent& agent) { releases.unavailable = true, agent.attest(); },
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
    const auto asked = [](const Agent& agent) {
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
    tunnel_settings.keep_alive.probe_time = 60ms;
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
    tunnel_settings.keep_alive.probe_time = 100ms;
    open();
    const auto first = serve();
    first->wire->answers_pings = false;
    const auto second = come();
    second->attest();
    ASSERT_TRUE(until([&] { return first->wire->has_heard("ping"); }));
    second->wire->stream.pause_reading();  // It does not close its side, so the tunnel lingers.
    tunnels->find(2)->refuse({"app_forgotten", ""}, std::nullopt);
    net::Timer later(loop, [&] { loop.stop(); });
    later.arm_after(300ms);
    loop.run();
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
    std::vector<std::unique_ptr<Agent>> agents;
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

#pragma once
// Admission over real tunnels, stores and a ledger in memory, and agents of a simulated platform: for tests.

#include <fcntl.h>
#include <set>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/evidence.h"
#include "attestation/simulated_platform.h"
#include "control_plane/admission.h"
#include "control_plane/challenge_round.h"
#include "control_plane/test_ledger_door.h"
#include "http/server.h"
#include "tunnel/test_agent.h"

namespace ee::control_plane {

using net::run_turns;
using net::run_until;
using tunnel::TestAgent;

inline const attestation::SimulatedPlatform& platform() {
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
struct SimulatedAgent {
    SimulatedAgent(net::Loop& loop, std::uint16_t port, std::string agent_id,
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
        request.faults = faults;
        shown = response.report_data;
        response.quote = attestation::make_simulated_quote(platform(), request);
        if (signs)
            response.signature = to_bytes(key.sign(attestation::session_message(response.report_data)));
        wire->send(response);
    }

    protocol::Register registration;
    std::optional<Secret> node_token;
    bool signs = true;
    std::set<attestation::SimulatedFault> faults;  // of its quotes
    ByteArray<64> shown{};                         // the report data that it quoted last
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
    std::unique_ptr<SimulatedAgent> come(std::string agent_id = "a1",
                                         std::optional<std::string> node_id = std::nullopt) {
        auto agent =
            std::make_unique<SimulatedAgent>(loop, server->port(), std::move(agent_id), std::move(node_id));
        EXPECT_TRUE(until([&] { return !agent->wire->heard.empty(); }));
        return agent;
    }
    std::unique_ptr<SimulatedAgent> serve(std::string agent_id = "a1") {
        auto agent = come(std::move(agent_id));
        agent->attest();
        EXPECT_TRUE(until([&] { return agent->wire->has_heard("status ok attested"); }));
        return agent;
    }
    // On a node, with its token.
    std::unique_ptr<SimulatedAgent> serve_on(std::string node_id, std::string agent_id = "a1") {
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
    bool until(const std::function<bool()>& done) { return run_until(loop, done, std::chrono::seconds(20)); }
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
    std::string on_refused(const http::Refusal&) override { return ""; }

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
    registry::Registry registry{registry::RegistrySettings{},
                                {{"sandbox-1", {"nonce", std::chrono::seconds(86400)}}}};
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

}  // namespace ee::control_plane

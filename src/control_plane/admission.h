#pragma once
// Decides about tunnels: asks the registry, has quotes judged on workers, stores new bindings, and tells the
// sessions. The one place where tunnel, registry and attestation meet.

#include <memory>
#include <string>

#include "attestation/appraisal.h"
#include "control_plane/evidence_recorder.h"
#include "control_plane/fraud_watch.h"
#include "control_plane/node_directory.h"
#include "control_plane/slot_recorder.h"
#include "control_plane/witnesses.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "registry/registry.h"
#include "registry/sqlite/registration_store.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "tunnel/tunnels.h"

namespace ee::control_plane {

struct AdmissionSettings {
    std::uint32_t admissions_per_second_max = 2000;
    // Agents told to drain at shutdown come back after this long, spread by their own jitter.
    std::uint32_t reconnect_after_ms = 1000;
    std::chrono::seconds allowlist_ttl{300};
    std::chrono::seconds attest_deadline{30};
};

class Admission final : public tunnel::SessionOwner {
public:
    Admission(net::Loop& loop, net::WorkerPool& workers, registry::Registry& registry,
              registry::RegistrationStore& store, const attestation::Appraiser& appraiser,
              EvidenceRecorder& evidence, const telemetry::Log& log, telemetry::Metrics& metrics,
              const AdmissionSettings& settings);

    // Once, before the first tunnel: they need each other.
    void serve(tunnel::Tunnels& tunnels) { tunnels_ = &tunnels; }
    // Agents are the ledger's witnesses from now on.
    void let_witness(Witnesses& witnesses) { witnesses_ = &witnesses; }
    // Whose tokens agents prove their nodes with; without it none can.
    void know_nodes(const NodeDirectory& nodes) { nodes_ = &nodes; }
    // What tunnels of nodes show is recorded by this from now on.
    void record_slots(SlotRecorder& slots) { slots_ = &slots; }
    // Quotes that may have been made for other challenges are shown to it from now on.
    void watch_fraud(FraudWatch& frauds) { frauds_ = &frauds; }
    // Told of the app whenever an agent of it has shown fresh evidence.
    void tell_attested(std::function<void(std::string_view app)> told) { attested_ = std::move(told); }
    // Closes the tunnels of nodes that are banned, or have another token than these have shown.
    void close_lost(std::span<const NodeDirectory::Lost> lost);
    // Closes the tunnels of agents that may no longer serve: their network has changed.
    void close_unwelcome();
    // For the API. `done` is called on the loop, later, once: `store_unavailable`.
    using Stored = std::function<void(const Result<void>&)>;
    void store(registry::AppRecord record, std::optional<registry::KeptAnswer> answer, Stored done);
    // The answer that was stored so, on the loop, later, once.
    void find_answer(std::string key, registry::RegistrationStore::OnAnswer found);
    void unstore(std::string app_name, Stored done);
    // The store has refused a write: /readyz says so.
    bool store_failed() const { return store_failed_; }
    // Tells every agent to drain, once no further tunnel is accepted.
    void drain_all();

private:
    void check_claim(tunnel::Session& session) override;
    void verify(tunnel::Session& session, std::shared_ptr<const tunnel::AttestAnswer> answer) override;
    void admit(tunnel::Session& session, std::shared_ptr<const tunnel::AttestAnswer> answer) override;
    void on_activated(tunnel::Session& session) override;
    void on_renewed(tunnel::Session& session, std::shared_ptr<const tunnel::AttestAnswer> answer) override;
    void on_inconclusive(tunnel::Session& session, const Error& reason) override;
    void on_attest_miss(tunnel::Session& session, const Error& reason) override;
    void on_health(tunnel::Session& session, const tunnel::HealthReport& report) override;
    void on_refused(tunnel::Session& session, const tunnel::Refused& refused) override;
    void on_drain(tunnel::Session& session, const std::string& reason) override;
    void on_rtt(tunnel::Session& session, std::chrono::microseconds rtt) override;
    void on_answer_dropped(tunnel::Session& session, std::string_view why) override;
    void on_closed(tunnel::Session& session, const std::string& reason) override;

    // A verdict and, when it is ok, what is kept of it.
    struct Judged {
        attestation::Verdict verdict;
        registry::EvidenceRecord evidence;
    };
    using AnswerPtr = std::shared_ptr<const tunnel::AttestAnswer>;

    // What an answer is judged by; it may be judged once its tunnel is closed.
    struct Asked {
        attestation::Challenge challenge;
        std::optional<Bytes> subject;  // of the agent's last good verdict
    };
    using AskedPtr = std::shared_ptr<const Asked>;
    // Has an answer judged on a worker. `waits`: how often its judgement has waited for a source already;
    // `subject`: where the tunnel is no agent's any more.
    void judge(tunnel::Session& session, const AnswerPtr& answer, int waits, std::optional<Bytes> subject);
    void appraise(tunnel::TunnelId id, const AnswerPtr& answer, const AskedPtr& asked, int waits);
    bool is_outdated(const attestation::NetworkPolicies& judged_by, const std::string& network) const;
    tunnel::Session* find_open(tunnel::TunnelId id) const;
    void judged_late(tunnel::TunnelId id, const tunnel::AttestAnswer& answer, const Result<void>& verdict);
    void judge_anew(tunnel::TunnelId id, const AnswerPtr& answer, const AskedPtr& asked, int waits);
    void judge_again(tunnel::TunnelId id, AnswerPtr answer, AskedPtr asked, int waits,
                     const attestation::Awaited& awaited);
    std::optional<SlotRecorder::OpenChallenge> open_challenge_of(const tunnel::Session& session,
                                                                 std::string_view reason) const;
    static bool is_owners_end(std::string_view reason);
    Result<void> check_node(const tunnel::AttestAnswer& answer) const;
    void refuse_wrong_node(const tunnel::AttestAnswer& answer, attestation::Verdict& verdict) const;
    void show_foreign(const tunnel::AttestAnswer& answer, const attestation::Verdict& verdict) const;
    void judged(tunnel::TunnelId id, const tunnel::AttestAnswer& answer, const Asked& asked, Judged judged);
    std::string settle(const tunnel::Session& session);
    void no_verdict(tunnel::Session& session, const Error& reason);
    void place(tunnel::Session& session, const tunnel::AttestAnswer& answer,
               std::optional<registry::Probe> probe);
    void placed(tunnel::TunnelId id, const registry::Admitted& admitted);
    void confirm_later(const tunnel::Session& session);
    void confirm(tunnel::TunnelId id, const attestation::ReleaseId& release, const std::string& network);
    void save(registry::AppRecord record);
    void store_result(const Result<void>& result);
    std::function<void(const Result<void>&)> on_loop(Stored done);
    registry::AttestedVerdict verdict_of(tunnel::TunnelId id, const tunnel::AttestAnswer& answer) const;
    bool take_admission_token();
    Moment now() const { return {loop_.now(), wall_now()}; }

    net::Loop& loop_;
    net::WorkerPool& workers_;
    registry::Registry& registry_;
    registry::RegistrationStore& store_;
    const attestation::Appraiser& appraiser_;
    EvidenceRecorder& evidence_;
    const telemetry::Log& log_;
    const AdmissionSettings settings_;
    tunnel::Tunnels* tunnels_ = nullptr;
    Witnesses* witnesses_ = nullptr;
    const NodeDirectory* nodes_ = nullptr;
    SlotRecorder* slots_ = nullptr;
    FraudWatch* frauds_ = nullptr;
    std::function<void(std::string_view app)> attested_;
    // The verdict on a tunnel's last answer, until the session asks for its consequence.
    std::unordered_map<tunnel::TunnelId, Judged> verdicts_;
    double admission_tokens_;
    MonoTime tokens_at_;
    bool store_failed_ = false;

    telemetry::CounterFamily& refusals_;
    telemetry::CounterFamily& verdicts_total_;
    telemetry::CounterFamily& answers_dropped_;
    telemetry::Counter& attested_total_;
    telemetry::Histogram& verification_;
};

}  // namespace ee::control_plane

#include "control_plane/control_plane.h"

#include <algorithm>
#include <csignal>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/api_handler.h"
#include "attestation/policy_json.h"
#include "control_plane/admission.h"
#include "control_plane/challenge_round.h"
#include "control_plane/event_recorder.h"
#include "control_plane/evidence_reader.h"
#include "control_plane/handshake_log.h"
#include "control_plane/ledger_service.h"
#include "control_plane/listener_tls.h"
#include "control_plane/networks.h"
#include "control_plane/part_settings.h"
#include "control_plane/preparation.h"
#include "control_plane/releases.h"
#include "control_plane/settlement_watch.h"
#include "control_plane/sources.h"
#include "control_plane/webhooks.h"
#include "control_plane/witnesses.h"
#include "http/server.h"
#include "net/signals.h"
#include "proxy/passthrough.h"
#include "proxy/proxy_handler.h"
#include "tunnel/shedding.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

// Answers waiting for a worker; each is a quote of at most 16 KiB and its claims.
constexpr std::size_t worker_queue_max = 4096;
constexpr auto drain_look = 20ms;
constexpr auto relief_interval = 10ms;
constexpr auto vain_relief_interval = 100ms;
constexpr std::initializer_list<int> handled_signals = {SIGTERM, SIGINT, SIGHUP};

// The wiring diagram: members are built in this order and die in the reverse one.
class ControlPlane {
public:
    ControlPlane(const config::ControlPlaneConfig& config, const Reload& reload, telemetry::Log& log,
                 Prepared prepared);

    Result<void> listen();
    void run();

private:
    void on_signal(int signal);
    void drain(int signal);
    void finish();
    void reload();
    void relieve_memory();
    void nodes_changed(const NodeChanges& changes);
    void record_policies();
    void change_networks(attestation::NetworkPolicies networks);

    const config::ControlPlaneConfig& config_;
    const Reload& reload_;
    telemetry::Log& log_;
    const bool simulated_root_configured_;
    BodyMemory body_memory_;
    net::Loop loop_;
    net::Signals signals_;
    ListenerTls tls_;
    std::unique_ptr<sqlite::Writers> writers_;
    std::unique_ptr<registry::RegistrationStore> store_;
    std::unique_ptr<registry::EvidenceStore> evidence_store_;
    const std::unique_ptr<telemetry::Metrics> kept_metrics_;
    telemetry::Metrics& metrics_;
    EventRecorder events_;
    Webhooks webhooks_;
    CollateralSources collateral_;
    Releases releases_;
    attestation::Appraiser appraiser_;
    registry::Registry registry_;
    telemetry::AccessLog access_log_;
    EvidenceRecorder evidence_recorder_;
    EvidenceReader evidence_reader_;
    LedgerService ledger_;
    NodeDirectory nodes_;
    SlotRecorder slots_;
    FraudWatch frauds_;
    SettlementWatch settlements_;
    net::WorkerPool workers_;
    Witnesses witnesses_;
    Admission admission_;
    tunnel::Tunnels tunnels_;
    ChallengeRound challenge_round_;
    proxy::Forwarder forwarder_;
    proxy::ProxyHandler proxy_handler_;
    proxy::Passthrough passthrough_;  // Listens only where EE_PASSTHROUGH_PORT is set.
    api::AccessControl access_;
    api::RefusalCounts refusals_;
    api::EventStreams event_streams_;
    telemetry::StatusCounters api_answers_;
    api::Services services_;
    api::ApiHandler api_handler_;
    const HandshakeLog handshakes_;
    http::Server control_;
    http::Server ratls_;  // The same API, on EE_RATLS_PORT.
    http::Server proxy_;
    net::Timer relieved_;
    telemetry::Counter& shed_;
    net::Timer drained_;
    MonoTime drain_until_{};
    bool draining_ = false;
};

ControlPlane::ControlPlane(const config::ControlPlaneConfig& config, const Reload& reload,
                           telemetry::Log& log, Prepared prepared)
    : config_(config),
      reload_(reload),
      log_(log),
      simulated_root_configured_(prepared.anchors.has_simulated()),
      body_memory_(body_memory_max(config)),
      signals_(loop_, handled_signals, [this](int signal) { on_signal(signal); }),
      tls_(std::move(prepared.tls)),
      writers_(std::move(prepared.writers)),
      store_(std::move(prepared.store)),
      evidence_store_(std::move(prepared.evidence)),
      kept_metrics_(std::move(prepared.metrics)),
      metrics_(*kept_metrics_),
      events_(loop_, std::move(prepared.events), log, metrics_),
      webhooks_(loop_, events_, config, prepared.client_tls, prepared.log_id, log, metrics_),
      collateral_(std::move(prepared.collateral)),
      releases_(config, std::move(prepared.releases), log,
                [this](const attestation::AllowlistChange& change) {
                    loop_.post([this, change] {
                        registry_.allowlist_changed(
                            change.release.repo, change.release.tag,
                            "SHA-256 was " + change.before + ", is " + change.now_published, wall_now());
                    });
                }),
      appraiser_(std::move(prepared.networks), prepared.anchors, collateral_.source(), releases_),
      registry_(registry_settings(config), network_table(*appraiser_.policies())),
      access_log_(STDOUT_FILENO),
      evidence_recorder_(*evidence_store_, prepared.log_id),
      evidence_reader_(loop_, *evidence_store_, prepared.log_id, appraiser_),
      ledger_(loop_, std::move(prepared.ledger)),
      nodes_(registry_.nodes()),
      slots_(loop_, ledger_, log, *std::move(prepared.known.mark), prepared.known.evidence,
             slot_settings(config, [this] { return ledger_.now(); })),
      frauds_(loop_, ledger_, *evidence_store_, log, 2 * admission_settings(config).attest_deadline),
      settlements_(loop_, ledger_, log, metrics_, config.settle_delay),
      // One core is the data plane's; verification takes the others, and at least one thread.
      workers_(std::max(2u, std::thread::hardware_concurrency()) - 1, worker_queue_max,
               net::WorkerPriority::background),
      witnesses_(loop_, ledger_, log, metrics_),
      admission_(loop_, workers_, registry_, *store_, appraiser_, evidence_recorder_, log, metrics_,
                 admission_settings(config)),
      tunnels_(loop_, admission_, tunnel_settings(config, body_memory_), tunnel_limits(config),
               [] { return crypto::random_bytes<32>(); }),
      // Newcomers keep half of what is admitted a second.
      challenge_round_(loop_, tunnels_, log, config.admissions_per_second_max / 2),
      forwarder_(loop_, registry_, tunnels_, access_log_, metrics_, forward_settings(config, body_memory_)),
      proxy_handler_(forwarder_, metrics_),
      passthrough_(loop_, forwarder_, tunnels_, access_log_, metrics_,
                   passthrough_settings(config, body_memory_)),
      access_(role_tokens(config)),
      event_streams_(loop_, events_.log(), metrics_),
      api_answers_(metrics_, "ee_api_answers_total", "Answers of the API, by the class of their status"),
      services_{.loop = loop_,
                .registry = registry_,
                .tunnels = tunnels_,
                .forwarder = forwarder_,
                .metrics = metrics_,
                .answers = api_answers_,
                .body_memory = body_memory_,
                .access = access_,
                .refusals = refusals_,
                .evidence = evidence_reader_,
                .ledger = ledger_,
                .event_streams = event_streams_,
                .accept_allowlist =
                    [this](const attestation::ReleaseId& release, const crypto::Sha256& digest) {
                        return releases_.accept(release, digest);
                    },
                .store_app =
                    [this](registry::AppRecord record, std::optional<registry::KeptAnswer> answer,
                           Admission::Stored done) {
                        admission_.store(std::move(record), std::move(answer), std::move(done));
                    },
                .find_app_answer =
                    [this](std::string key, api::Services::OnAnswer found) {
                        admission_.find_answer(std::move(key), std::move(found));
                    },
                .unstore_app =
                    [this](std::string name, Admission::Stored done) {
                        admission_.unstore(std::move(name), std::move(done));
                    },
                .challenge = [this](const api::ChallengeOrder& order) { challenge_round_.challenge(order); },
                .readiness = [this] { return api::Readiness{draining_, !admission_.store_failed()}; },
                .readiness_detail = readiness_detail(collateral_, config),
                .networks = names_of(*appraiser_.policies()),
                .started_at = loop_.now(),
                .body_bytes_max = config.body_bytes_max},
      api_handler_(services_),
      handshakes_(loop_, log, metrics_),
      control_(loop_, api_handler_, control_limits(config, body_memory_)),
      ratls_(loop_, api_handler_, control_limits(config, body_memory_)),
      proxy_(loop_, proxy_handler_, proxy_limits(config, body_memory_)),
      relieved_(loop_,
                [this] {
                    if (body_memory_.is_full()) return relieve_memory();
                    body_memory_.rearm();
                }),
      shed_(
          metrics_.counter("ee_bodies_shed_total", "Requests ended because they held most of a full memory")),
      drained_(loop_, [this] {
          const std::size_t busy = control_.busy() + ratls_.busy() + proxy_.busy();
          const bool done = tunnels_.size() + busy + passthrough_.open_connections() == 0;
          if (done || loop_.now() >= drain_until_) return finish();
          drained_.arm_after(drain_look);
      }) {
    body_memory_.on_full([this] { loop_.post([this] { relieve_memory(); }); });
    registry_.load(prepared.records);
    access_.know_apps([this](const crypto::Sha256& token) { return registry_.app_of_token(token); });
    events_.begin(registry_);
    admission_.serve(tunnels_);
    witnesses_.serve(tunnels_);
    admission_.let_witness(witnesses_);
    admission_.know_nodes(nodes_);
    registry_.nodes().begin(services_.now());
    nodes_.apply(prepared.known.nodes, services_.now());
    settlements_.apply(prepared.known.nodes);
    ledger_.follow(
        std::move(prepared.known.counts), [this](const NodeChanges& changes) { nodes_changed(changes); },
        [this](const std::vector<events::Event>& events) {
            for (const events::Event& event : events) events_.log().add(event);
            settlements_.look_soon();
        });
    admission_.record_slots(slots_);
    admission_.watch_fraud(frauds_);
    admission_.tell_attested([this](std::string_view app) { forwarder_.attested(app); });
    control_.on_handshake_failed(handshakes_.of("control"));
    ratls_.on_handshake_failed(handshakes_.of("ratls"));
    proxy_.on_handshake_failed(handshakes_.of("proxy"));
    record_policies();
}

// The listeners come last: whoever connects finds everything in place.
Result<void> ControlPlane::listen() {
    if (auto opened = control_.listen(config_.control.host, config_.control.port, tls_.control); !opened)
        return opened;
    if (const auto& at = config_.ratls_listen) {
        if (auto opened = ratls_.listen(at->host, at->port, tls_.ratls); !opened) return opened;
        log_.info("control.ratls", {{"address", at->host + ":" + std::to_string(ratls_.port())}});
    }
    if (auto opened = proxy_.listen(config_.proxy.host, config_.proxy.port, tls_.proxy); !opened)
        return opened;
    if (const auto& at = config_.passthrough) {
        if (auto opened = passthrough_.listen(at->host, at->port); !opened) return opened;
        log_.info("control.passthrough", {{"address", at->host + ":" + std::to_string(passthrough_.port())}});
    }
    forwarder_.set_names(public_names(config_, control_.port(), proxy_.port()));
    log_.info("control.started", {{"control", config_.control.host + ":" + std::to_string(control_.port())},
                                  {"proxy", config_.proxy.host + ":" + std::to_string(proxy_.port())},
                                  {"apps", registry_.counts().apps},
                                  {"db", config_.db_path.string()}});
    return {};
}

void ControlPlane::run() {
    loop_.run();
    control_.close();
    ratls_.close();
    proxy_.close();
    passthrough_.close();
    loop_.collect();
    if (const auto lost = access_log_.finish(1s)) log_.warn("access_log.dropped", {{"lines", lost}});
    log_.info("control.stopped");
}

void ControlPlane::on_signal(int signal) {
    if (signal == SIGHUP) return reload();
    if (draining_) return finish();  // A second signal: now.
    drain(signal);
}

void ControlPlane::drain(int signal) {
    draining_ = true;
    const std::size_t tunnels = tunnels_.size();
    const std::size_t open_requests = forwarder_.open_calls();
    slots_.stop();
    admission_.drain_all();
    proxy_.drain();
    passthrough_.drain();
    event_streams_.end_all();
    control_.drain();
    ratls_.drain();
    log_.info("control.draining",  // Whoever reads it finds no listener open.
              {{"signal", signal}, {"tunnels", tunnels}, {"open_requests", open_requests}});
    drain_until_ = loop_.now() + config_.drain_timeout;
    drained_.arm_after(drain_look);
}

// What is left is told so: the close frames leave at the end of this turn, and the loop ends in the next.
void ControlPlane::finish() {
    tunnels_.close_all({"draining", "the control plane has stopped"});
    loop_.post([this] { loop_.stop(); });
}

// What the table of settings says is read again; everything else needs a restart. A bad setting changes
// nothing.
void ControlPlane::reload() {
    const auto loaded = reload_();
    const auto* config = std::get_if<config::ControlPlaneConfig>(&loaded);
    if (config == nullptr)
        return log_.error("control.reload_failed", {{"detail", std::get<config::ExitRequest>(loaded).text}});
    const auto tls = listener_tls(*config);
    if (!tls)
        return log_.error("control.reload_failed",
                          {{"code", tls.error().code}, {"detail", tls.error().detail}});
    auto networks = read_networks(*config, simulated_root_configured_);
    if (!networks)
        return log_.error("control.reload_failed",
                          {{"code", networks.error().code}, {"detail", networks.error().detail}});
    for (const std::string& warning : config->warnings) log_.warn("config.warning", {{"detail", warning}});
    control_.set_tls(tls->control);
    ratls_.set_tls(tls->ratls);
    proxy_.set_tls(tls->proxy);
    access_.set_tokens(role_tokens(*config));
    event_streams_.end_all();  // Whoever's token is still one comes back.
    releases_.set_token(config->github_token);
    forwarder_.set_rate_limits(rate_limits(*config));
    log_.set_level(*telemetry::parse_log_level(config->log_level));
    change_networks(std::move(*networks));
    if (const auto names = config::waiting_for_restart(config_, *config); !names.empty())
        log_.warn("control.restart_needed", {{"settings", fmt::format("{}", fmt::join(names, ", "))}});
    log_.info("control.reloaded");
}

// First answers that are complete and stalled, then requests that have reached nobody yet, then those that
// are under way, then whatever waits. What is let go of is free by the end of the turn; the next look is a
// little later, so that looking does not become the load.
void ControlPlane::relieve_memory() {
    const std::size_t wanted = body_memory_.bytes_max() / 8 * 7, held = body_memory_.held();
    Freed freed;
    const auto let_go = [&](const auto& shed) {
        if (held > wanted + freed.bytes) freed += shed(held - wanted - freed.bytes);
    };
    const MonoTime stalled_since = loop_.now() - tunnel::stalled_time;
    const auto servers = {&proxy_, &control_, &ratls_};
    for (http::Server* server : servers)
        let_go([&](std::size_t bytes) { return server->shed(bytes, stalled_since); });
    for (http::Server* server : servers)
        let_go([&](std::size_t bytes) { return server->shed_gathered(bytes); });
    let_go([&](std::size_t bytes) { return tunnels_.shed(bytes); });
    for (http::Server* server : servers)
        let_go([&](std::size_t bytes) { return server->shed(bytes, MonoTime::max()); });
    relieved_.arm_after(freed.count > 0 ? relief_interval : vain_relief_interval);
    shed_.add(freed.count);
    if (freed.count > 0)
        log_.warn(
            "memory.full",
            {{"held_bytes", held}, {"bytes_max", body_memory_.bytes_max()}, {"requests_ended", freed.count}});
}

// Out of routing before the next request.
void ControlPlane::nodes_changed(const NodeChanges& changes) {
    for (events::Event& event : node_events(nodes_, changes, wall_now())) events_.log().add(std::move(event));
    const std::vector<NodeDirectory::Lost> lost = nodes_.apply(changes, services_.now());
    if (!lost.empty()) admission_.close_lost(lost);
    settlements_.apply(changes);
}

// Whoever serves on a network that has changed is challenged out of turn, and judged by the new policy.
void ControlPlane::change_networks(attestation::NetworkPolicies networks) {
    const NetworkChanges changes = changes_between(*appraiser_.policies(), networks);
    const auto log_each = [this](std::string_view change, const std::vector<std::string>& names) {
        for (const std::string& name : names)
            log_.info("network.changed", {{"network", name}, {"change", change}});
    };
    log_each("added", changes.added);
    log_each("changed", changes.changed);
    log_each("removed", changes.removed);
    registry_.set_networks(network_table(networks));
    admission_.close_unwelcome();
    services_.networks = names_of(networks);
    appraiser_.set_policies(std::move(networks));
    record_policies();
    challenge_round_.begin(changes, *appraiser_.policies());
}

void ControlPlane::record_policies() {
    const auto policies = appraiser_.policies();
    for (const attestation::NetworkPolicy& policy : policies->all()) {
        std::string json = attestation::policy_json(policy);
        std::string digest(as_text(crypto::sha256(as_bytes(json))));
        slots_.in_force(ledger::LeafKind::policy, policy.name,
                        {policy.name, std::move(digest), std::move(json)});
    }
}

}  // namespace

int run_control_plane(const config::ControlPlaneConfig& config, const Reload& reload) {
    telemetry::Log log(*telemetry::parse_log_level(config.log_level),
                       *telemetry::parse_log_format(config.log_format));
    for (const std::string& warning : config.warnings) log.warn("config.warning", {{"detail", warning}});
    net::let_writes_fail();
    net::block_signals(handled_signals);  // Before any thread: the store has one. All leave them to the loop.
    net::raise_descriptor_limit();

    const auto refuse = [&log](const Error& error) {
        log.error("control.cannot_start", {{"code", error.code}, {"detail", error.detail}});
        return error.code == "settle_period_in_use" ? config::exit_config_invalid : 1;  // A setting's fault.
    };
    auto prepared = prepare(config, log);
    if (!prepared) return refuse(prepared.error());
    if (prepared->anchors.has_simulated())
        log.warn(
            "attestation.simulated_root",
            {{"detail",
              "EE_TDX_ROOT_CA is set: networks with simulated_root, such as sandbox-1, accept quotes of a "
              "simulated platform"}});
    ControlPlane control_plane(config, reload, log, std::move(*prepared));
    if (auto listening = control_plane.listen(); !listening) return refuse(listening.error());
    control_plane.run();
    return 0;
}

}  // namespace ee::control_plane

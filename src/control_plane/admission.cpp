#include "control_plane/admission.h"

#include <algorithm>

#include "attestation/remedy.h"
#include "base/hex.h"
#include "base/inconclusive.h"
#include "control_plane/attested_verdict.h"

namespace ee::control_plane {
namespace {

// How often one answer's judgement waits for a source: for collateral, for the allowlist, and for either
// again when it was replaced meanwhile.
constexpr int waits_max = 4;

attestation::Challenge challenge_of(const tunnel::Session& session, const net::IpAddress& address,
                                    const tunnel::AttestAnswer& answer) {
    const protocol::Register& registration = answer.registration;
    attestation::Challenge challenge;
    challenge.nonce = answer.nonce;
    challenge.wire = answer.wire == tunnel::Wire::v1 ? "1" : "2";
    challenge.channel = session.channel();
    challenge.requester = address.to_string();
    challenge.client_certificate = session.client_certificate();
    challenge.identity = {.agent_id = registration.agent_id,
                          .node_id = registration.node_id.value_or(""),
                          .app_name = registration.app_name,
                          .repo = registration.repo,
                          .release_tag = registration.release_tag,
                          .network = registration.network};
    return challenge;
}

attestation::Answer answer_of(const protocol::AttestResponse& response) {
    attestation::Answer answer;
    answer.quote = response.quote;
    answer.report_data = to_bytes(response.report_data);
    answer.measurements = response.measurements;
    if (response.layout2) answer.layout = 2;
    answer.agent_key = response.agent_key;
    answer.signature = response.signature;
    return answer;
}

registry::Claim claim_of(const protocol::Register& registration) {
    return {registration.app_name, registration.repo, registration.network,
            registration.node_id ? std::string_view(*registration.node_id) : std::string_view()};
}

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts) out.append(out.empty() ? "" : ",").append(part);
    return out;
}

// An agent keeps its place for a while when nobody can judge its quote. But then the quote must be of the
// platform and the TD that were judged good: else an agent could choose a quote that nobody can judge.
void refuse_another_subject(const std::optional<Bytes>& judged_good, attestation::Verdict& verdict) {
    if (verdict.ok || !is_inconclusive(verdict.refusal.code)) return;
    if (!judged_good || *judged_good == verdict.subject) return;
    verdict.refusal = {"measurement_mismatch:subject",
                       "the quote is of platform and TD " + to_hex(verdict.subject) +
                           ", what was judged good of " + to_hex(*judged_good) +
                           "; and it cannot be judged now: " + verdict.refusal.code + ": " +
                           verdict.refusal.detail};
}

}  // namespace

Admission::Admission(net::Loop& loop, net::WorkerPool& workers, registry::Registry& registry,
                     registry::RegistrationStore& store, const attestation::Appraiser& appraiser,
                     EvidenceRecorder& evidence, const telemetry::Log& log, telemetry::Metrics& metrics,
                     const AdmissionSettings& settings)
    : loop_(loop),
      workers_(workers),
      registry_(registry),
      store_(store),
      appraiser_(appraiser),
      evidence_(evidence),
      log_(log),
      settings_(settings),
      admission_tokens_(settings.admissions_per_second_max),
      tokens_at_(loop.now()),
      refusals_(metrics.counter_family("ee_tunnel_refusals_total", "Messages and tunnels refused, by reason",
                                       "reason")),
      verdicts_total_(metrics.counter_family("ee_attestation_verdicts_total",
                                             "Verdicts on quotes, by refusal (ok: none)", "result")),
      answers_dropped_(metrics.counter_family("ee_tunnel_answers_dropped_total",
                                              "Agents' answers that no visitor waits for, by reason",
                                              "reason")),
      attested_total_(metrics.counter("ee_tunnels_attested_total", "Tunnels that became active")),
      verification_(metrics.histogram("ee_attestation_seconds", "Time to judge one quote",
                                      telemetry::duration_bounds_s())) {}

// A bucket that holds one second's worth.
bool Admission::take_admission_token() {
    const double rate = settings_.admissions_per_second_max;
    admission_tokens_ = std::min(
        rate, admission_tokens_ + rate * std::chrono::duration<double>(loop_.now() - tokens_at_).count());
    tokens_at_ = loop_.now();
    if (admission_tokens_ < 1) return false;
    admission_tokens_ -= 1;
    return true;
}

void Admission::check_claim(tunnel::Session& session) {
    // What it says is not proven yet, but nothing good can come of it.
    const auto& node = session.registration()->node_id;
    if (node && nodes_ != nullptr && nodes_->is_banned(*node))
        return session.claim_checked(fail("node_banned", *node + " is banned"));
    const auto terms = registry_.check_claim(claim_of(*session.registration()), wall_now());
    if (!terms) return session.claim_checked(fail(terms.error()));
    // Who is refused above keeps nobody else out.
    if (!take_admission_token())
        return session.refuse(
            {"rate_limited", "more than " + std::to_string(settings_.admissions_per_second_max) +
                                 " agents a second ask to be admitted (EE_ADMIT_RPS)"},
            2);
    session.claim_checked(tunnel::ClaimTerms{terms->binding});
}

void Admission::verify(tunnel::Session& session, AnswerPtr answer) {
    if (slots_ != nullptr) slots_->answered(session.id(), session.machine().challenge_deadline());
    judge(session, answer, 0, std::nullopt);
}

void Admission::judge(tunnel::Session& session, const AnswerPtr& answer, int waits,
                      std::optional<Bytes> subject) {
    auto asked = std::make_shared<Asked>();
    asked->challenge = challenge_of(session, tunnels_->address_of(session.id()), *answer);
    asked->challenge.node_proven = answer->registration.node_id && check_node(*answer).has_value();
    const registry::Agent* agent = registry_.agent_of(session.id());
    asked->subject = agent ? agent->verdict.subject : std::move(subject);
    appraise(session.id(), answer, asked, waits);
}

void Admission::appraise(tunnel::TunnelId id, const AnswerPtr& answer, const AskedPtr& asked, int waits) {
    // Workers finish their queue when the control plane stops, after this object: only the posted task may
    // touch it.
    auto job = [this, &appraiser = appraiser_, &evidence = evidence_, &verification = verification_,
                &loop = loop_, id, asked, answer, waits, policies = appraiser_.policies()] {
        const MonoTime start = std::chrono::steady_clock::now();
        attestation::Answer given = answer_of(answer->response);
        Judged result{.verdict = appraiser.appraise(asked->challenge, given, wall_now()), .evidence = {}};
        const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
        verification.observe(std::chrono::duration<double>(took).count());
        if (result.verdict.ok)
            result.evidence = evidence.prepare(asked->challenge, std::move(given), result.verdict);
        loop.post([this, id, answer, asked, waits, policies, took, result = std::move(result)]() mutable {
            loop_.charge_background(took);
            const attestation::Verdict& verdict = result.verdict;
            if (is_outdated(*policies, answer->registration.network)) return judge_anew(id, answer, asked, 0);
            if (verdict.awaits && waits < waits_max)
                return judge_again(id, answer, asked, waits, *verdict.awaits);
            judged(id, *answer, *asked, std::move(result));
        });
    };
    // Whoever serves does not stand in line behind those who only ask to.
    if (asked->subject ? workers_.run_ahead(std::move(job)) : workers_.run(std::move(job))) return;
    const Error reason{"rate_limited", "too many answers wait to be judged"};
    if (tunnel::Session* session = find_open(id)) return no_verdict(*session, reason);
    judged_late(id, *answer, fail("collateral_unavailable", "nobody could judge it: " + reason.detail));
}

// The policy was replaced while the answer was being judged: it must not be admitted by the old one.
bool Admission::is_outdated(const attestation::NetworkPolicies& judged_by, const std::string& network) const {
    const auto now_in_force = appraiser_.policies();
    if (now_in_force.get() == &judged_by) return false;
    const attestation::NetworkPolicy *before = judged_by.find(network), *after = now_in_force->find(network);
    return before == nullptr || after == nullptr ? before != after : *before != *after;
}

// A tunnel that is closed by then still owes its verdict.
void Admission::judge_anew(tunnel::TunnelId id, const AnswerPtr& answer, const AskedPtr& asked, int waits) {
    // Another tunnel may have taken its place meanwhile.
    if (tunnel::Session* session = find_open(id)) return judge(*session, answer, waits, asked->subject);
    // Who left before a first good verdict owes nothing.
    if (asked->subject) appraise(id, answer, asked, waits);
}

// Once what a source fetches has come, or its deadline: the answer is judged anew, as if it came then.
void Admission::judge_again(tunnel::TunnelId id, AnswerPtr answer, AskedPtr asked, int waits,
                            const attestation::Awaited& awaited) {
    appraiser_.when_settled(
        awaited, [this, &loop = loop_, id, answer = std::move(answer), asked = std::move(asked), waits] {
            loop.post([this, id, answer, asked, waits] { judge_anew(id, answer, asked, waits + 1); });
        });
}

void Admission::judged(tunnel::TunnelId id, const tunnel::AttestAnswer& answer, const Asked& asked,
                       Judged judged) {
    attestation::Verdict& verdict = judged.verdict;
    // The sources are still fetching after several waits: nobody can judge now.
    if (verdict.awaits) {
        const bool collateral = std::holds_alternative<attestation::CollateralKey>(*verdict.awaits);
        verdict.refusal.code = collateral ? "collateral_unavailable" : "allowlist_unavailable";
    }
    // Where the policy lets the allowlist be absent, that is for apps their operator has made.
    if (verdict.ok && !verdict.allowlist_found) {
        const auto made = registry_.check_without_allowlist(claim_of(answer.registration),
                                                            answer.registration.release_tag, wall_now());
        verdict.ok = made.has_value();
        if (!made) verdict.refusal = made.error();
    }
    refuse_another_subject(asked.subject, verdict);
    refuse_wrong_node(answer, verdict);
    show_foreign(answer, verdict);
    verdicts_total_.count(verdict.ok ? "ok" : verdict.refusal.code);
    tunnel::Session* session = tunnels_->find(id);
    const bool is_open = session != nullptr && session->machine().state() != tunnel::SessionState::closed;
    if (!is_open) judged_late(id, answer, verdict.ok ? Result<void>() : fail(verdict.refusal));
    if (session == nullptr) return;
    const protocol::Register& registration = answer.registration;
    const auto level = verdict.ok ? telemetry::LogLevel::info : telemetry::LogLevel::warn;
    if (log_.enabled(level)) {
        const std::string peer = session->peer().to_string();
        const std::string remedy = attestation::remedy_of(verdict.refusal.code, verdict.advisory_ids);
        const std::string checks = joined(verdict.checks), not_checked = joined(verdict.not_checked);
        const telemetry::Fields fields = {{"tunnel", id},
                                          {"app", registration.app_name},
                                          {"agent", registration.agent_id},
                                          {"network", registration.network},
                                          {"peer", peer},
                                          {"binding", to_string(verdict.binding)},
                                          {"certificate", verdict.certificate_refusal},
                                          {"tcb_status", verdict.tcb_status},
                                          {"simulated", verdict.simulated},
                                          {"checks", checks},
                                          {"not_checked", not_checked},
                                          {"code", verdict.refusal.code},
                                          {"detail", verdict.refusal.detail},
                                          {"remedy", remedy}};
        if (verdict.ok)
            log_.info("attestation.ok", fields);
        else
            log_.warn("attestation.refused", fields);
    }
    if (!verdict.ok) {
        const Error refusal = verdict.refusal;
        return session->judged(fail(refusal));
    }
    // A tunnel that was closed meanwhile asks for no consequence.
    if (!is_open) return;
    verdicts_[id] = std::move(judged);
    session->judged({});
}

registry::AttestedVerdict Admission::verdict_of(tunnel::TunnelId id,
                                                const tunnel::AttestAnswer& answer) const {
    const auto found = verdicts_.find(id);
    if (found == verdicts_.end()) return {};
    return attested_verdict(found->second.verdict, found->second.evidence, answer, now());
}

// The verdict has had its consequence: what it was reached by is evidence now. Its id; empty: there is none.
std::string Admission::settle(const tunnel::Session& session) {
    const auto found = verdicts_.find(session.id());
    if (found == verdicts_.end()) return {};
    const attestation::Verdict& verdict = found->second.verdict;
    const protocol::Register& registration = *session.registration();
    if (const auto digest = from_hex_exact<32>(verdict.allowlist_sha256); slots_ != nullptr && digest)
        slots_->in_force(ledger::LeafKind::allowlist, registration.repo + "/" + registration.release_tag,
                         {registration.repo, registration.release_tag, std::string(as_text(*digest)), ""});
    if (attested_) attested_(registration.app_name);
    std::string id = found->second.evidence.id;
    evidence_.keep(std::move(found->second.evidence));
    verdicts_.erase(found);
    return id;
}

void Admission::admit(tunnel::Session& session, std::shared_ptr<const tunnel::AttestAnswer> answer) {
    place(session, *answer, std::nullopt);
}

void Admission::place(tunnel::Session& session, const tunnel::AttestAnswer& answer,
                      std::optional<registry::Probe> probe) {
    const protocol::Register& registration = answer.registration;
    registry::AdmitRequest request;
    request.claim = claim_of(registration);
    request.agent_id = registration.agent_id;
    request.node_id = registration.node_id;
    request.release_tag = registration.release_tag;
    request.peer_address = session.peer().to_string();
    request.client = tunnels_->client_of(session.id());
    request.tunnel_version = registration.tunnel_version.value_or("1");
    request.tunnel = session.id();
    request.verdict = verdict_of(session.id(), answer);
    request.has_allowlist = !request.verdict.allowlist_sha256.empty();
    request.probe = probe;

    registry::AdmitOutcome outcome = registry_.admit(request, now());
    if (const auto* refusal = std::get_if<Error>(&outcome)) return session.admission(fail(*refusal));
    if (const auto* needs = std::get_if<registry::NeedsProbe>(&outcome)) {
        auto again = [this, id = session.id(), answer, holder = needs->holder](bool answered) {
            // Not within the holder's callback: it may be closing.
            loop_.post([this, id, answer, holder, answered] {
                tunnel::Session* asking = tunnels_->find(id);
                // One that was closed meanwhile must not take the place.
                if (asking != nullptr && asking->machine().state() == tunnel::SessionState::admitting)
                    place(*asking, answer, registry::Probe{holder, answered});
            });
        };
        tunnel::Session* holder = tunnels_->find(needs->holder);
        if (holder == nullptr) return again(false);
        return holder->probe(std::move(again));
    }
    registry::Admitted& admitted = std::get<registry::Admitted>(outcome);
    for (const tunnel::TunnelId old : admitted.superseded)
        if (tunnel::Session* loser = tunnels_->find(old)) loser->drain("superseded", std::nullopt);

    for (std::string& name : admitted.forgotten) store_.remove(std::move(name));
    // A name that is newly bound is on disk before anybody relies on it; a renewal may follow.
    registry::AppRecord record = admitted.record;
    if (!admitted.newly_bound) {
        save(std::move(record));
        return placed(session.id(), admitted);
    }
    auto stored = [this, &loop = loop_, id = session.id(), admitted](const Result<void>& result) {
        loop.post([this, id, admitted, result] {
            store_result(result);
            tunnel::Session* waiting = tunnels_->find(id);
            if (waiting == nullptr) return;
            if (result) return placed(id, admitted);
            waiting->admission(fail(result.error()));
        });
    };
    store_.save(std::move(record), std::move(stored));
}

void Admission::placed(tunnel::TunnelId id, const registry::Admitted& admitted) {
    if (tunnel::Session* session = tunnels_->find(id))
        session->admission(
            tunnel::AdmissionTerms{.registration_expiring = admitted.registration_expiring,
                                   .checkpoint = witnesses_ != nullptr ? witnesses_->newest() : ""});
}

// The store finishes its queue after this object, too.
void Admission::save(registry::AppRecord record) {
    store_.save_soon(std::move(record), [this, &loop = loop_](const Result<void>& result) {
        loop.post([this, result] { store_result(result); });
    });
}

void Admission::store_result(const Result<void>& result) {
    store_failed_ = !result;
    if (!result)
        log_.error("store.write_failed", {{"code", result.error().code}, {"detail", result.error().detail}});
}

void Admission::on_activated(tunnel::Session& session) {
    tunnels_->attested(session.id());
    attested_total_.add();
    std::string evidence = settle(session);
    confirm_later(session);
    const protocol::Register& registration = *session.registration();
    if (witnesses_ != nullptr && registration.checkpoint) witnesses_->told(session, *registration.checkpoint);
    if (slots_ != nullptr && registration.node_id)  // It has proven it.
        slots_->serves(session.id(), {*registration.node_id, registration.app_name, registration.agent_id},
                       session.machine().challenge_deadline(), std::move(evidence));
    const std::string peer = session.peer().to_string();
    log_.info("agent.active", {{"tunnel", session.id()},
                               {"app", registration.app_name},
                               {"agent", registration.agent_id},
                               {"release", registration.release_tag},
                               {"network", registration.network},
                               {"peer", peer}});
}

void Admission::on_renewed(tunnel::Session& session, std::shared_ptr<const tunnel::AttestAnswer> answer) {
    const registry::Renewed renewed =
        registry_.attested(session.id(), verdict_of(session.id(), *answer), now());
    std::string evidence = settle(session);
    if (slots_ != nullptr)
        slots_->passed(session.id(), session.machine().challenge_deadline(), std::move(evidence));
    confirm_later(session);
    if (renewed.record) save(*renewed.record);
    if (renewed.registration_expiring)
        session.warn({"registration_expiring", "the registration could not be renewed and ends soon"});
}

// A verdict by a copy that is being looked up anew does not renew the registration. Once the look-up has
// found the same allowlist it is as good as one by a fresh copy; where it has found another one, or none, the
// agent is judged by that at once.
void Admission::confirm_later(const tunnel::Session& session) {
    const registry::Agent* agent = registry_.agent_of(session.id());
    if (agent == nullptr || agent->verdict.renews_registration) return;
    const protocol::Register& registration = *session.registration();
    const attestation::ReleaseId release{registration.repo, registration.release_tag};
    appraiser_.when_settled(
        release, [this, &loop = loop_, id = session.id(), release, network = registration.network] {
            loop.post([this, id, release, network] { confirm(id, release, network); });
        });
}

void Admission::confirm(tunnel::TunnelId id, const attestation::ReleaseId& release,
                        const std::string& network) {
    auto job = [this, &appraiser = appraiser_, &loop = loop_, id, release, network] {
        loop.post([this, id, digest = appraiser.fresh_allowlist(release, network, wall_now())] {
            const registry::Agent* agent = registry_.agent_of(id);
            if (agent == nullptr || !digest) return;
            if (agent->verdict.allowlist_sha256 != *digest) {
                if (tunnel::Session* session = tunnels_->find(id))
                    session->challenge(protocol::ChallengeReason::periodic);
                return;
            }
            if (const auto renewed = registry_.confirmed(id, wall_now()); renewed.record)
                save(*renewed.record);
        });
    };
    // Without a place in the queue it is the next challenge's turn.
    static_cast<void>(workers_.run(std::move(job)));
}

void Admission::on_inconclusive(tunnel::Session& session, const Error& reason) {
    registry_.inconclusive(session.id(), reason, now());
    if (slots_ != nullptr) slots_->inconclusive(session.id(), session.machine().challenge_deadline(), reason);
}

void Admission::on_attest_miss(tunnel::Session& session, const Error& reason) {
    registry_.attest_missed(session.id(), reason, now());
    if (slots_ != nullptr)
        slots_->missed(session.id(), session.machine().challenge_deadline(), settings_.attest_deadline,
                       reason);
}

void Admission::on_health(tunnel::Session& session, const tunnel::HealthReport& report) {
    registry_.health(session.id(), report.pass, report.detail, now());
    if (witnesses_ != nullptr && report.checkpoint) witnesses_->told(session, *report.checkpoint);
    if (slots_ != nullptr) slots_->alive(session.id());
    log_.debug("agent.health", {{"tunnel", session.id()}, {"pass", report.pass}, {"detail", report.detail}});
}

void Admission::on_refused(tunnel::Session& session, const tunnel::Refused& refused) {
    refusals_.count(refused.error.code);
    const std::string peer = session.peer().to_string();
    const auto& registration = session.registration();
    const std::string_view app = registration ? std::string_view(registration->app_name) : std::string_view();
    const std::string_view agent =
        registration ? std::string_view(registration->agent_id) : std::string_view();
    registry_.record_refusal(
        {wall_now(), std::string(app), std::string(agent), peer, refused.error.code, refused.error.detail});
    const telemetry::Fields fields = {{"tunnel", session.id()},
                                      {"app", app},
                                      {"agent", agent},
                                      {"peer", peer},
                                      {"code", refused.error.code},
                                      {"detail", refused.error.detail},
                                      {"remedy", attestation::remedy_of(refused.error.code)},
                                      {"closes", refused.closes}};
    // A stranger may be refused without end, and shall not fill the log.
    if (refused.is_repeated)
        log_.debug("tunnel.refused", fields);
    else
        log_.warn("tunnel.refused", fields);
}

void Admission::on_drain(tunnel::Session& session, const std::string& reason) {
    registry_.drain(session.id(), reason, wall_now());
    if (slots_ != nullptr) slots_->dismissed(session.id(), reason == "draining");
}

void Admission::on_rtt(tunnel::Session& session, std::chrono::microseconds rtt) {
    if (registry::AgentTraffic* traffic = registry_.traffic_of(session.id())) traffic->rtt = rtt;
    if (slots_ != nullptr) slots_->alive(session.id());
}

void Admission::on_answer_dropped(tunnel::Session&, std::string_view why) {
    answers_dropped_.count(why);
}

void Admission::on_closed(tunnel::Session& session, const std::string& reason) {
    registry_.disconnected(session.id(), reason, wall_now());
    verdicts_.erase(session.id());
    if (witnesses_ != nullptr) witnesses_->gone(session.id());
    if (slots_ != nullptr) {
        // The agent's own end of it, and ours, is no loss.
        if (reason == "closed_by_agent" || reason == "node_banned" || reason == "node_token_invalid")
            slots_->dismissed(session.id(), false);
        else if (is_owners_end(reason))
            slots_->dismissed(session.id(), true);
        slots_->left(session.id(), open_challenge_of(session, reason));
    }
    const auto& registration = session.registration();
    if (!registration) return;
    log_.info("agent.disconnected", {{"tunnel", session.id()},
                                     {"app", registration->app_name},
                                     {"agent", registration->agent_id},
                                     {"reason", reason}});
}

void Admission::drain_all() {
    tunnels_->for_each(
        [this](tunnel::Session& session) { session.drain("draining", settings_.reconnect_after_ms); });
}

}  // namespace ee::control_plane

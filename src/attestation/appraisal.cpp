#include "attestation/appraisal.h"

#include <algorithm>

#include <fmt/format.h>

#include "attestation/binding.h"
#include "attestation/certificate_chain.h"
#include "base/hex.h"
#include "base/inconclusive.h"

namespace ee::attestation {
namespace {

// What a TD cannot change while it runs, RTMR3 left to the app.
Bytes subject_of(const Quote& quote, const PckExtension& pck) {
    const TdReport& td = quote.body;
    ByteArray<16> numbers;
    for (std::size_t i = 0; i < 8; ++i) {
        numbers[i] = static_cast<std::uint8_t>(td.td_attributes >> (8 * i));
        numbers[8 + i] = static_cast<std::uint8_t>(td.xfam >> (8 * i));
    }
    const crypto::Sha256 digest =
        crypto::sha256({pck.ppid, pck.fmspc, numbers, td.mr_seam, td.mr_td, td.mr_config_id, td.mr_owner,
                        td.mr_owner_config, td.rtmr[0], td.rtmr[1], td.rtmr[2]});
    return to_bytes(digest);
}

// The same of a quote that could not be judged to the end. Its chain has held: what is inconclusive comes
// after that.
Bytes subject_of_unjudged(ByteSpan bytes) {
    const auto quote = parse_quote(bytes);
    if (!quote) return {};
    const auto chain = read_pck_certificates(quote->pck_chain);
    if (!chain) return {};
    const auto pck = pck_extension_of(chain->front());
    return pck ? subject_of(*quote, *pck) : Bytes{};
}

void describe(const VerifiedQuote& quote, VerificationCache& cache, Verdict& verdict) {
    if (quote.pck()) verdict.subject = subject_of(quote.quote(), *quote.pck());
    verdict.debug = quote.report().is_debug();
    verdict.simulated = quote.anchor().simulated;
    verdict.mrtd = to_hex(quote.report().mr_td);
    for (const Measurement& rtmr : quote.report().rtmr) verdict.rtmrs.push_back(to_hex(rtmr));
    verdict.report_data = to_hex(quote.report().report_data);
    if (quote.pck()) verdict.fmspc = to_hex(quote.pck()->fmspc);
    const TcbEvaluation& tcb = quote.tcb();
    verdict.tcb = tcb.status;
    verdict.tcb_status = to_string(tcb.status);
    if (tcb.tcb_date) verdict.tcb_date = to_rfc3339(*tcb.tcb_date);
    verdict.advisory_ids = tcb.advisory_ids;
    verdict.collateral = quote.collateral();
    if (quote.collateral()) verdict.collateral_sha256 = *cache.digests_of(quote.collateral());
}

void set_level(Binding level, const std::optional<Error>& not_earned, Verdict& verdict) {
    verdict.binding = level;
    verdict.unbound = level == Binding::none;
    verdict.certificate_refusal = not_earned ? not_earned->code + ": " + not_earned->detail : "";
}

// Whether this level is let in. A certificate that nobody could judge just now is no fault of the agent's.
Result<void> judge_level(const NetworkPolicy& policy, const Challenge& challenge, const Verdict& verdict,
                         const std::optional<Error>& not_earned) {
    auto held = judge_binding(policy, verdict.binding, verdict.legacy);
    if (held && verdict.legacy) held = judge_legacy_peer(policy, challenge.requester);
    if (held || !not_earned) return held;
    if (is_inconclusive(not_earned->code) || not_earned->code == "collateral_pending") {
        return fail(not_earned->code, "for the client certificate's quote: " + not_earned->detail);
    }
    return fail(held.error().code, fmt::format("{}; the client certificate does not earn ratls: {}",
                                               held.error().detail, verdict.certificate_refusal));
}

bool claims_sealed(const Claims& claims) {
    const auto sealed = claims.find("sealed");
    return sealed != claims.end() && sealed->second == Claim(true);
}

// Check P. Only claims the quote binds count: the legacy layout covers four of them.
Result<void> match_allowlist(const NetworkPolicy& policy, const Allowlist& allowlist,
                             const Challenge& challenge, const Answer& answer, const VerifiedQuote& quote,
                             Verdict& verdict) {
    const AgentIdentity& identity = challenge.identity;
    if (auto held = check_allowlist(allowlist, identity.repo, identity.release_tag, verdict.judged_at); !held)
        return held;
    if (auto held = judge_allowlist(policy, allowlist, verdict.legacy && policy.legacy_ratls); !held)
        return held;
    if (auto held = match_quote(allowlist, quote.report()); !held) return held;
    if (verdict.legacy && allowlist.report_data && *allowlist.report_data != quote.report().report_data) {
        return fail("measurement_mismatch:report_data",
                    fmt::format("the quote has {}, the allowlist {}", to_hex(quote.report().report_data),
                                to_hex(*allowlist.report_data)));
    }
    const Claims claims = verdict.legacy ? legacy_bound_claims(answer.measurements) : answer.measurements;
    auto matched = match_machine(allowlist, quote.report(), claims);
    if (!matched) return fail(std::move(matched.error()));
    if (auto held = match_tcb_date(allowlist, quote.tcb().tcb_date); !held) return held;
    verdict.sealed = claims_sealed(claims) && matched->allows_sealed && !verdict.debug;
    return {};
}

// Remembers what was asked for and is on its way.
class NotedCollateral final : public CollateralSource {
public:
    explicit NotedCollateral(CollateralSource& source) : source_(source) {}

    // A verdict is kept with the collateral of one kind of platform, and repeated with that. The first who
    // asks is the challenge's quote; a client certificate's is of the same machine, or made for another one.
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) override {
        if (!asked_) asked_ = key;
        if (*asked_ != key)
            return fail("platform_mismatch",
                        fmt::format("its quote is of a platform of FMSPC {}, the challenge's of {}",
                                    to_hex(key.fmspc), to_hex(asked_->fmspc)));
        auto found = source_.find(key, now);
        if (!found && found.error().code == "collateral_pending") pending_ = key;
        return found;
    }
    const std::optional<CollateralKey>& pending() const { return pending_; }

private:
    CollateralSource& source_;
    std::optional<CollateralKey> asked_, pending_;
};

Result<void> check_release(const NetworkPolicy& policy, ReleaseSource& releases, const Challenge& challenge,
                           const Answer& answer, const VerifiedQuote& quote, Verdict& verdict) {
    const auto found = releases.find({.release = {challenge.identity.repo, challenge.identity.release_tag},
                                      .sealed = policy.sealed_required,
                                      .requester = challenge.requester},
                                     verdict.judged_at);
    if (!found) {
        if (found.error().code == "allowlist_pending") {
            verdict.awaits = ReleaseId{challenge.identity.repo, challenge.identity.release_tag};
        }
        const bool tolerated = found.error().code == "allowlist_missing" && policy.allowlist_may_be_absent &&
                               !policy.sealed_required;
        if (tolerated) return {};
        return fail(found.error());
    }
    const Allowlist& allowlist = *found->allowlist;
    verdict.checks.emplace_back("P");
    verdict.allowlist_found = true;
    verdict.allowlist = found->allowlist;
    verdict.allowlist_sha256 = to_hex(allowlist.sha256);
    verdict.allowlist_fresh = found->fresh;
    if (auto held = match_allowlist(policy, allowlist, challenge, answer, quote, verdict); !held) return held;
    if (policy.sealed_required && !verdict.sealed) {
        return fail("sealed_required",
                    fmt::format("{} asks for a sealed release: claim {}, allowlist {}, {}", policy.name,
                                claims_sealed(answer.measurements), allowlist.allows_sealed(),
                                verdict.debug ? "a debug TD" : "not a debug TD"));
    }
    return {};
}

}  // namespace

Appraiser::Appraiser(NetworkPolicies policies, TrustAnchors anchors, CollateralSource& collateral,
                     ReleaseSource& releases)
    : policies_(std::move(policies)),
      verifier_(std::move(anchors)),
      collateral_(collateral),
      releases_(releases) {}

Verdict Appraiser::appraise(const Challenge& challenge, const Answer& answer, WallTime now) const {
    Verdict verdict;
    verdict.judged_at = now;
    auto held = judge(challenge, answer, now, verdict);
    verdict.ok = held.has_value();
    if (!held) verdict.refusal = std::move(held.error());
    if (verdict.ok && verdict.allowlist_found && !verdict.unbound)
        releases_.admitted({challenge.identity.repo, challenge.identity.release_tag}, now);
    for (const char check : checks_of_verdict) {
        std::string letter(1, check);
        const bool made =
            std::find(verdict.checks.begin(), verdict.checks.end(), letter) != verdict.checks.end();
        if (!made) verdict.not_checked.push_back(std::move(letter));
    }
    return verdict;
}

void Appraiser::when_settled(const Awaited& awaited, std::function<void()> on_settled) const {
    if (const auto* key = std::get_if<CollateralKey>(&awaited))
        return collateral_.when_settled(*key, std::move(on_settled));
    releases_.when_settled(std::get<ReleaseId>(awaited), std::move(on_settled));
}

std::optional<std::string> Appraiser::fresh_allowlist(const ReleaseId& release, std::string_view network,
                                                      WallTime now) const {
    const auto policies = policies_.get();
    const NetworkPolicy* policy = policies->find(network);
    if (policy == nullptr) return std::nullopt;
    const auto found =
        releases_.find({.release = release, .sealed = policy->sealed_required, .requester = {}}, now);
    if (found) return found->fresh ? std::optional(to_hex(found->allowlist->sha256)) : std::nullopt;
    const std::string& code = found.error().code;
    const bool none = code == "allowlist_missing" || code.starts_with("allowlist_invalid:");
    return none ? std::optional(std::string()) : std::nullopt;
}

Result<void> Appraiser::judge(const Challenge& challenge, const Answer& answer, WallTime now,
                              Verdict& verdict) const {
    const auto policies = policies_.get();
    const NetworkPolicy* policy = policies->find(challenge.identity.network);
    if (policy == nullptr)
        return fail("invalid_network", fmt::format("\"{}\" is not configured", challenge.identity.network));
    verdict.policy = {policies, policy};
    if (answer.layout && *answer.layout != 2) {
        return fail("invalid_field:layout", fmt::format("layout {}, known is 2", *answer.layout));
    }
    const AnswerBinding binding = bind_answer(challenge, answer);
    const ClientCertificate client = read_client_certificate(*policy, challenge, binding.level, now);
    verdict.legacy = binding.legacy;
    set_level(binding.level, client.not_earned, verdict);
    // What cannot become good enough is refused before it costs anything.
    if (!client.certificate || !judge_binding(*policy, Binding::ratls, binding.legacy)) {
        if (auto held = judge_level(*policy, challenge, verdict, client.not_earned); !held) return held;
    }

    NotedCollateral collateral(collateral_);
    Verification verification = verifier_.verify(answer.quote,
                                                 {.report_data = binding.expected,
                                                  .report_data_refusal = binding.refusal,
                                                  .goes_on_for_the_record = challenge.node_proven,
                                                  .collateral = &collateral,
                                                  .collateral_grace = policy->collateral_grace},
                                                 now);
    verdict.checks = std::move(verification.checks);
    verdict.foreign_report_data = verification.foreign_report_data;
    if (!verification.quote) {
        // What is refused whatever the collateral says does not wait for it.
        if (verification.refusal->code == "collateral_pending") verdict.awaits = *collateral.pending();
        if (is_inconclusive(verification.refusal->code)) verdict.subject = subject_of_unjudged(answer.quote);
        return fail(std::move(*verification.refusal));
    }
    const VerifiedQuote& quote = *verification.quote;
    describe(quote, verifier_.cache(), verdict);
    if (binding.key_proven) verdict.agent_key = answer.agent_key;

    verdict.checks.emplace_back("O");
    if (auto held = judge_platform(*policy, quote, now); !held) return held;
    if (client.certificate) {
        const auto earned =
            judge_client_certificate(*client.certificate, quote, *policy, verifier_, collateral, now);
        const auto not_earned = earned ? std::nullopt : std::optional(earned.error());
        set_level(earned ? Binding::ratls : binding.level, not_earned, verdict);
        if (auto held = judge_level(*policy, challenge, verdict, not_earned); !held) {
            if (collateral.pending()) verdict.awaits = *collateral.pending();
            return held;
        }
    }
    return check_release(*policy, releases_, challenge, answer, quote, verdict);
}

}  // namespace ee::attestation

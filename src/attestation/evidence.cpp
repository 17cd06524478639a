#include "attestation/evidence.h"

#include <fmt/format.h>

#include "attestation/policy_json.h"
#include "base/check.h"
#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::attestation {
namespace {

// A collateral file has DER and signatures in hex, everything else as it stands.
bool is_hex_in_file(std::string_view part) {
    return part.ends_with("_crl") || part.ends_with("_signature");
}

const EvidenceContent* find_content(const EvidenceContents& contents, std::string_view sha256,
                                    std::string_view kind) {
    const auto found = contents.find(sha256);
    // Equal bytes may have been kept under the name of another part: two issuer chains often are the same.
    if (found == contents.end()) return nullptr;
    const bool own_kind = kind == "allowlist" || kind == "policy";
    return own_kind && found->second.kind != kind ? nullptr : &found->second;
}

tl::unexpected<Error> not_there(std::string_view code, std::string_view what, std::string_view sha256) {
    return fail(std::string(code), fmt::format("{} with SHA-256 {} is not in the file", what, sha256));
}

std::string joined(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : " ") + item;
    return out.empty() ? "none" : out;
}

std::string joined(const std::map<std::string, std::string, std::less<>>& parts) {
    std::string out;
    for (const auto& [part, digest] : parts)
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", part, digest);
    return out.empty() ? "none" : out;
}

std::string word(bool flag) {
    return flag ? "true" : "false";
}

// What is compared of a verdict, by the names it has in JSON.
std::vector<std::pair<const char*, std::string>> compared_fields(const Verdict& verdict) {
    return {{"ok", word(verdict.ok)},
            {"code", verdict.refusal.code},
            {"checks", joined(verdict.checks)},
            {"not_checked", joined(verdict.not_checked)},
            {"binding", std::string(to_string(verdict.binding))},
            {"legacy", word(verdict.legacy)},
            {"unbound", word(verdict.unbound)},
            {"sealed", word(verdict.sealed)},
            {"debug", word(verdict.debug)},
            {"anchor", verdict.simulated ? "simulated" : "intel"},
            {"tcb_status", verdict.tcb_status},
            {"tcb_date", verdict.tcb_date},
            {"advisory_ids", joined(verdict.advisory_ids)},
            {"fmspc", verdict.fmspc},
            {"mrtd", verdict.mrtd},
            {"rtmrs", joined(verdict.rtmrs)},
            {"report_data", verdict.report_data},
            {"collateral", joined(verdict.collateral_sha256)},
            {"allowlist_sha256", verdict.allowlist_sha256}};
}

Result<void> same(std::string_view field, std::string_view recorded, std::string_view expected) {
    if (recorded == expected) return {};
    return fail(fmt::format("evidence_inconsistent:{}", field),
                fmt::format("the evidence says \"{}\", what it is made of says \"{}\"", recorded, expected));
}

void forget_credential(Evidence& evidence) {
    evidence.challenge.reset();
    evidence.answer.reset();
    Verdict& verdict = evidence.verdict;
    verdict.report_data.clear();
    verdict.mrtd.clear();
    verdict.rtmrs.clear();
    verdict.fmspc.clear();
}

}  // namespace

std::string hashed_agent_id(std::string_view log_id, std::string_view agent_id) {
    return to_hex(crypto::sha256({as_bytes(log_id), as_bytes(agent_id)})).substr(0, 16);
}

std::string evidence_id(const Challenge& challenge, const Answer& answer) {
    return to_hex(answer.layout ? crypto::sha256(answer.report_data) : crypto::sha256(challenge.nonce));
}

Evidence make_evidence(std::string_view log_id, std::string policy_sha256, const Challenge& challenge,
                       Answer answer, const Verdict& verdict) {
    const AgentIdentity& identity = challenge.identity;
    Evidence out{.id = evidence_id(challenge, answer),
                 .agent = hashed_agent_id(log_id, identity.agent_id),
                 .app_name = identity.app_name,
                 .network = identity.network,
                 .release = {identity.repo, identity.release_tag},
                 .policy_sha256 = std::move(policy_sha256),
                 .challenge = challenge,
                 .answer = std::move(answer),
                 .verdict = verdict};
    out.challenge->requester.clear();
    out.verdict.agent_key.clear();  // It is in the answer.
    out.verdict.policy.reset();
    out.verdict.collateral.reset();
    out.verdict.allowlist.reset();
    if (verdict.legacy) forget_credential(out);
    return out;
}

Result<std::shared_ptr<const Collateral>> collateral_of(const Evidence& evidence,
                                                        const EvidenceContents& contents) {
    if (evidence.verdict.collateral_sha256.empty()) return std::shared_ptr<const Collateral>();
    // By way of the file's own form and its parser: whatever reads files judges these bytes too.
    std::string file;
    JsonWriter json(file);
    json.begin_object();
    for (const auto& [part, sha256] : evidence.verdict.collateral_sha256) {
        const EvidenceContent* content = find_content(contents, sha256, part);
        if (content == nullptr) return not_there("collateral_unavailable", part, sha256);
        json.key(part);
        is_hex_in_file(part) ? json.value(to_hex(content->bytes)) : json.value(as_text(content->bytes));
    }
    json.end_object();
    auto collateral = parse_collateral(file);
    if (!collateral) return fail(std::move(collateral.error()));
    return std::make_shared<const Collateral>(std::move(*collateral));
}

Result<std::shared_ptr<const Allowlist>> allowlist_of(const Evidence& evidence,
                                                      const EvidenceContents& contents) {
    const std::string& sha256 = evidence.verdict.allowlist_sha256;
    if (sha256.empty()) return std::shared_ptr<const Allowlist>();
    const EvidenceContent* content = find_content(contents, sha256, "allowlist");
    if (content == nullptr) return not_there("allowlist_unavailable", "the allowlist", sha256);
    auto allowlist = parse_allowlist(as_text(content->bytes));
    if (!allowlist) return fail(std::move(allowlist.error()));
    return std::make_shared<const Allowlist>(std::move(*allowlist));
}

Result<NetworkPolicy> policy_of(const Evidence& evidence, const EvidenceContents& contents) {
    const EvidenceContent* content = find_content(contents, evidence.policy_sha256, "policy");
    if (content == nullptr) return not_there("policy_unavailable", "the policy", evidence.policy_sha256);
    return parse_policy_json(as_text(content->bytes));
}

Result<void> check_consistency(const Evidence& evidence, std::string_view log_id) {
    if (!evidence.challenge || !evidence.answer) return {};
    const AgentIdentity& identity = evidence.challenge->identity;
    if (auto held = same("id", evidence.id, evidence_id(*evidence.challenge, *evidence.answer)); !held)
        return held;
    if (auto held = same("agent", evidence.agent, hashed_agent_id(log_id, identity.agent_id)); !held)
        return held;
    if (auto held = same("app_name", evidence.app_name, identity.app_name); !held) return held;
    if (auto held = same("repo", evidence.release.repo, identity.repo); !held) return held;
    if (auto held = same("release_tag", evidence.release.tag, identity.release_tag); !held) return held;
    return same("network", evidence.network, identity.network);
}

Repetition repeat_judgement(const Evidence& evidence, const RepeatTerms& terms) {
    EE_CHECK(evidence.challenge && evidence.answer);
    const Appraiser appraiser(NetworkPolicies({terms.policy}), terms.anchors, terms.collateral,
                              terms.releases);
    Repetition out{.verdict = appraiser.appraise(*evidence.challenge, *evidence.answer, terms.now),
                   .differences = {}};
    const auto recorded = compared_fields(evidence.verdict), repeated = compared_fields(out.verdict);
    for (std::size_t i = 0; i < recorded.size(); ++i) {
        if (recorded[i].second == repeated[i].second) continue;
        const auto shown = [](const std::string& text) { return text.empty() ? "nothing" : text; };
        out.differences.push_back(fmt::format("{}: recorded {}, repeated {}", recorded[i].first,
                                              shown(recorded[i].second), shown(repeated[i].second)));
    }
    return out;
}

}  // namespace ee::attestation

#pragma once
// An answer of a simulated agent, judged, and a file of evidence about it.

#include "attestation/evidence_json.h"
#include "attestation/policy_json.h"
#include "attestation/simulated_platform.h"
#include "base/base64.h"
#include "base/hex.h"
#include "crypto/signing_key.h"

namespace ee::attestation {

inline constexpr std::string_view test_log_id = "0123456789abcdef0123456789abcdef";

struct JudgedAgent {
    // With a time of day that seconds do not hold.
    WallTime at = std::chrono::sys_days(std::chrono::year{2026} / 6 / 1) + std::chrono::milliseconds(12345);
    SimulatedPlatform platform = make_simulated_platform(at);
    std::string collateral_text = make_simulated_collateral(platform, at);
    std::string allowlist_text = make_simulated_allowlist(platform, at);
    TrustAnchors anchors = TrustAnchors::with_simulated_root(platform.root_certificate).value();
    NetworkPolicy policy = sandbox_1_policy(true);
    crypto::SigningKey agent_key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    Challenge challenge{.nonce = {},
                        .wire = "1",
                        .channel = {},
                        .identity = {.agent_id = "agent-1",
                                     .node_id = "",
                                     .app_name = "myapp",
                                     .repo = "org/repo",
                                     .release_tag = "v0.1.3",
                                     .network = "sandbox-1"},
                        .requester = "192.0.2.1"};
    Answer answer;
    SimulatedQuoteRequest request;
    bool without_allowlist = false;
    Verdict verdict;

    JudgedAgent() {
        challenge.nonce.fill(7);
        answer.layout = 2;
        answer.agent_key = agent_key.spki();
        answer.measurements = {{"image", std::string("a\n\"b\"")}, {"sealed", false}, {"note", nullptr}};
    }

    // Answers as an honest agent does, and is judged.
    void judge() {
        const ReportData asked = answer.layout ? report_data_layout2({.nonce = challenge.nonce,
                                                                      .agent_key = answer.agent_key,
                                                                      .channel = challenge.channel,
                                                                      .wire = challenge.wire,
                                                                      .identity = challenge.identity,
                                                                      .measurements = answer.measurements})
                                               : report_data_legacy(answer.measurements).value();
        request.report_data = asked;
        answer.report_data = to_bytes(asked);
        answer.quote = make_simulated_quote(platform, request);
        if (answer.layout && !answer.agent_key.empty())
            answer.signature = to_bytes(agent_key.sign(session_message(asked)));
        FixedCollateral collateral(parse_collateral(collateral_text).value());
        FixedRelease release(
            without_allowlist ? nullptr
                              : std::make_shared<const Allowlist>(parse_allowlist(allowlist_text).value()));
        const Appraiser appraiser(NetworkPolicies({policy}), anchors, collateral, release);
        verdict = appraiser.appraise(challenge, answer, at);
    }
    void use_legacy() {
        answer.layout.reset();
        answer.agent_key.clear();
        answer.measurements = {{"agent_dir_sha256", "a"},
                               {"agent_py_sha256", "b"},
                               {"vm_image_id", "tag=v0.1.3"},
                               {"sealed", false}};
    }

    Evidence evidence() const {
        return make_evidence(test_log_id, to_hex(crypto::sha256(as_bytes(policy_json(*verdict.policy)))),
                             challenge, answer, verdict);
    }
    EvidenceContents contents() const {
        EvidenceContents out;
        for (const auto& [part, bytes] : verdict.collateral->parts())
            out.emplace(verdict.collateral_sha256.at(part), EvidenceContent{part, to_bytes(bytes)});
        if (verdict.allowlist)
            out.emplace(verdict.allowlist_sha256,
                        EvidenceContent{"allowlist", to_bytes(as_bytes(verdict.allowlist->text))});
        const std::string rules = policy_json(policy);
        out.emplace(to_hex(crypto::sha256(as_bytes(rules))),
                    EvidenceContent{"policy", to_bytes(as_bytes(rules))});
        return out;
    }
    std::string file() const {
        return evidence_page_json({.app_name = "myapp",
                                   .log_id = std::string(test_log_id),
                                   .items = {evidence_json(evidence())},
                                   .contents = contents()});
    }
};

}  // namespace ee::attestation

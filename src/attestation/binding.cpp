#include "attestation/binding.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/ed25519.h"

namespace ee::attestation {
namespace {

Error mismatch(std::string detail) {
    return {"report_data_mismatch", std::move(detail)};
}

// Whether the key that the report data names signed this session.
Result<void> check_session_signature(const Answer& answer, const ReportData& expected) {
    const auto key = crypto::Ed25519PublicKey::from_spki(answer.agent_key);
    if (!key) return fail(mismatch("a session signature, but the agent key is " + key.error().detail));
    if (key->verifies(session_message(expected), answer.signature)) return {};
    return fail(mismatch("the agent key did not sign this session"));
}

void bind_layout2(const Challenge& challenge, const Answer& answer, AnswerBinding& out) {
    out.expected = report_data_layout2({.nonce = challenge.nonce,
                                        .agent_key = answer.agent_key,
                                        .channel = challenge.channel,
                                        .wire = challenge.wire,
                                        .identity = challenge.identity,
                                        .measurements = answer.measurements});
    // A key without a signature is only named: it proves nothing about who answers.
    if (!answer.signature.empty()) {
        const auto held = check_session_signature(answer, *out.expected);
        if (held)
            out.key_proven = true;
        else
            out.refusal = held.error();
    }
    out.level = !challenge.channel.empty() ? Binding::channel
                : out.key_proven           ? Binding::key
                                           : Binding::nonce;
}

// Whether a certificate of our layout is this registration's.
Result<void> match_identity(const RatlsIdentity& named, const AgentIdentity& registered) {
    const struct {
        std::string_view field;
        const std::string& named;
        std::string_view registered;
    } rows[] = {{"role", named.role, agent_role},
                {"app", named.app_name, registered.app_name},
                {"repo", named.repo, registered.repo},
                {"release_tag", named.release_tag, registered.release_tag},
                {"network", named.network, registered.network}};
    for (const auto& row : rows) {
        if (row.named != row.registered)
            return fail(fmt::format("certificate_mismatch:{}", row.field),
                        fmt::format("it names \"{}\", the registration \"{}\"", row.named, row.registered));
    }
    return {};
}

Result<void> may_count(const NetworkPolicy& policy, const Challenge& challenge,
                       const RatlsCertificate& certificate) {
    if (certificate.identity) return match_identity(*certificate.identity, challenge.identity);
    if (admits_legacy_ratls(policy)) return {};
    return fail(
        "certificate_not_counted",
        fmt::format("deployed agents' layout, whose key is kept on disk; {} does not count it", policy.name));
}

}  // namespace

AnswerBinding bind_answer(const Challenge& challenge, const Answer& answer) {
    AnswerBinding out;
    out.legacy = !answer.layout;
    if (out.legacy) {
        out.expected = report_data_legacy(answer.measurements);
        if (!out.expected) out.refusal = mismatch("legacy layout without the claims it is made of");
    } else {
        bind_layout2(challenge, answer, out);
    }
    if (!out.refusal && !constant_time_equal(answer.report_data, *out.expected)) {
        out.refusal = mismatch(fmt::format(
            "the message says {}, this challenge asks for {}",
            to_hex(ByteSpan(answer.report_data).first(std::min<std::size_t>(answer.report_data.size(), 64))),
            to_hex(*out.expected)));
    }
    return out;
}

ClientCertificate read_client_certificate(const NetworkPolicy& policy, const Challenge& challenge,
                                          Binding level, WallTime now) {
    ClientCertificate out;
    if (challenge.client_certificate.empty() || level >= Binding::ratls) return out;
    auto certificate = read_ratls_certificate(challenge.client_certificate, now);
    if (!certificate) {
        out.not_earned = std::move(certificate.error());
    } else if (auto counts = may_count(policy, challenge, *certificate); !counts) {
        out.not_earned = std::move(counts.error());
    } else {
        out.certificate = std::move(*certificate);
    }
    return out;
}

Result<void> match_measurements(const TdReport& certificate, const TdReport& other) {
    const auto differ = [](std::string_view field, const auto& ours, const auto& theirs) {
        return fail(fmt::format("measurement_mismatch:{}", field),
                    fmt::format("the certificate's quote has {}, the other {}", ours, theirs));
    };
    const struct {
        std::string_view field;
        const Measurement& certificate;
        const Measurement& other;
    } rows[] = {{"mrtd", certificate.mr_td, other.mr_td},
                {"rtmr0", certificate.rtmr[0], other.rtmr[0]},
                {"rtmr1", certificate.rtmr[1], other.rtmr[1]},
                {"rtmr2", certificate.rtmr[2], other.rtmr[2]},
                {"rtmr3", certificate.rtmr[3], other.rtmr[3]},
                {"mrconfigid", certificate.mr_config_id, other.mr_config_id},
                {"mrowner", certificate.mr_owner, other.mr_owner},
                {"mrownerconfig", certificate.mr_owner_config, other.mr_owner_config}};
    for (const auto& row : rows) {
        if (row.certificate != row.other)
            return differ(row.field, to_hex(row.certificate), to_hex(row.other));
    }
    if (certificate.td_attributes != other.td_attributes)
        return differ("td_attributes", certificate.td_attributes, other.td_attributes);
    if (certificate.xfam != other.xfam) return differ("xfam", certificate.xfam, other.xfam);
    const Measurement none{};
    const Measurement ours = certificate.mr_service_td.value_or(none);
    const Measurement theirs = other.mr_service_td.value_or(none);
    if (ours != theirs) return differ("mrservicetd", to_hex(ours), to_hex(theirs));
    return {};
}

Result<void> judge_client_certificate(const RatlsCertificate& certificate, const VerifiedQuote& challenged,
                                      const NetworkPolicy& policy, const QuoteVerifier& verifier,
                                      CollateralSource& collateral, WallTime now) {
    const Verification verification = verifier.verify(certificate.quote,
                                                      {.report_data = certificate.report_data,
                                                       .report_data_refusal = {},
                                                       .collateral = &collateral,
                                                       .collateral_grace = policy.collateral_grace},
                                                      now);
    if (!verification.quote) return fail(*verification.refusal);
    if (auto held = judge_platform(policy, *verification.quote, now); !held) return held;
    return match_measurements(verification.quote->report(), challenged.report());
}

}  // namespace ee::attestation

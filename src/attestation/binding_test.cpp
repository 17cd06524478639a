#include "attestation/binding.h"

#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attestation/simulated_platform_ratls.h"
#include "base/inconclusive.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;
using crypto::KeyKind;
using crypto::SigningKey;

const WallTime at = sys_days(2026y / 6 / 1);

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

struct NoReleases final : ReleaseSource {
    Result<PublishedAllowlist> find(const ReleaseQuery&, WallTime) override {
        return PublishedAllowlist{std::make_shared<const Allowlist>(allowlist)};
    }
    Allowlist allowlist = parse_allowlist(make_simulated_allowlist(platform(), at)).value();
};

// Has what it was made with, but for as many look-ups as are allowed.
struct FailingCollateral final : CollateralSource {
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) override {
        if (found_max-- <= 0) return fail(refusal, "the service does not answer");
        return source.find(key, now);
    }
    FixedCollateral source{parse_collateral(make_simulated_collateral(platform(), at)).value()};
    int found_max = 1000;
    std::string refusal = "collateral_unavailable";
};

// sandbox-1 as built in; "ratls-1" asks for ratls of agents of this layout, "legacy-1" takes deployed agents'
// too, "bound-1" asks for a channel.
NetworkPolicies policies() {
    NetworkPolicy ratls = sandbox_1_policy(true);
    ratls.name = "ratls-1";
    ratls.binding_min = Binding::ratls;
    ratls.legacy_none_allowed = false;
    NetworkPolicy legacy = ratls;
    legacy.name = "legacy-1";
    legacy.binding_min = Binding::channel;
    legacy.legacy_ratls = true;
    NetworkPolicy bound = ratls;
    bound.name = "bound-1";
    bound.binding_min = Binding::channel;
    NetworkPolicy near = sandbox_1_policy(true);
    near.name = "near-1";
    near.legacy_cidrs = {Cidr::parse("10.0.0.0/8").value()};
    return NetworkPolicies({sandbox_1_policy(true), ratls, legacy, bound, near});
}

struct RatlsBinding : testing::Test {
    FailingCollateral collateral;
    NoReleases releases;
    Appraiser appraiser{policies(), TrustAnchors::with_simulated_root(platform().root_certificate).value(),
                        collateral, releases};
    SigningKey client_key = SigningKey::generate(KeyKind::p256);
    Challenge challenge;
    Answer answer;
    SimulatedQuoteRequest quote;
    SimulatedCertificateRequest certificate;

    RatlsBinding() {
        challenge.nonce.fill(7);
        challenge.wire = "1";
        challenge.requester = "192.0.2.1";
        challenge.identity = {.agent_id = "agent-1",
                              .node_id = "",
                              .app_name = "myapp",
                              .repo = "org/repo",
                              .release_tag = "v0.1.3",
                              .network = "ratls-1"};
        answer.layout = 2;
        certificate.not_before = at - 1h;
    }
    void use_legacy_answer() {
        answer.layout.reset();
        answer.measurements = {{"agent_dir_sha256", "a"},
                               {"agent_py_sha256", "b"},
                               {"vm_image_id", "tag=v0.1.3"},
                               {"sealed", false}};
    }
    void show_certificate() {
        certificate.identity.network = challenge.identity.network;
        show_certificate_as_it_is();
    }
    void show_certificate_as_it_is() {
        RatlsIdentity& identity = certificate.identity;
        const auto fill = [](std::string& text, const std::string& value) {
            if (text.empty()) text = value;
        };
        fill(identity.role, "agent");
        fill(identity.app_name, challenge.identity.app_name);
        fill(identity.repo, challenge.identity.repo);
        fill(identity.release_tag, challenge.identity.release_tag);
        fill(identity.network, challenge.identity.network);
        challenge.client_certificate = make_simulated_certificate(platform(), client_key, certificate);
    }
    Verdict judge(WallTime now = at) {
        quote.report_data = answer.layout ? report_data_layout2({.nonce = challenge.nonce,
                                                                 .agent_key = {},
                                                                 .channel = challenge.channel,
                                                                 .wire = challenge.wire,
                                                                 .identity = challenge.identity,
                                                                 .measurements = answer.measurements})
                                          : report_data_legacy(answer.measurements).value();
        answer.report_data = to_bytes(quote.report_data);
        answer.quote = make_simulated_quote(platform(), quote);
        return appraiser.appraise(challenge, answer, now);
    }
};

TEST_F(RatlsBinding, AGoodCertificateEarnsTheLevelInBothLayoutsOfBoth) {
    for (const bool legacy : {false, true}) {
        for (const bool deployed : {false, true}) {
            answer = {};
            answer.layout = 2;
            if (legacy) use_legacy_answer();
            certificate.deployed_layout = deployed;
            challenge.identity.network = "legacy-1";
            show_certificate();
            const Verdict verdict = judge();
            ASSERT_TRUE(verdict.ok) << legacy << deployed << verdict.refusal.code << verdict.refusal.detail;
            EXPECT_EQ(verdict.binding, Binding::ratls);
            EXPECT_EQ(verdict.legacy, legacy);
            EXPECT_FALSE(verdict.unbound);
            EXPECT_EQ(verdict.certificate_refusal, "");
        }
    }
}

TEST_F(RatlsBinding, WithoutACertificateTheAnswerIsWhatItIs) {
    EXPECT_EQ(judge().refusal.code, "binding_too_weak");
    EXPECT_EQ(judge().checks, CheckList{});
    challenge.identity.network = "sandbox-1";
    EXPECT_EQ(judge().binding, Binding::nonce);
    use_legacy_answer();
    const Verdict legacy = judge();
    EXPECT_TRUE(legacy.ok && legacy.legacy && legacy.unbound);
}

// What binds more tightly needs no certificate: a bad one takes nothing from it.
TEST_F(RatlsBinding, AChannelStaysAChannelWhateverTheCertificate) {
    challenge.channel = Bytes(32, 0xcc);
    challenge.client_certificate = Bytes(10, 1);
    EXPECT_EQ(judge().binding, Binding::channel);
    show_certificate();
    const Verdict verdict = judge();
    EXPECT_TRUE(verdict.ok);
    EXPECT_EQ(verdict.binding, Binding::channel);
    EXPECT_EQ(collateral.found_max, 998) << "nothing was judged twice";
}

// One row a thing wrong with the certificate: too weak where the level is asked for, with the reason in the
// detail; where less is enough the answer is taken for what it is.
TEST_F(RatlsBinding, ACertificateThatIsWrongInOneThingEarnsNothing) {
    struct Row {
        const char* reason;
        std::function<void()> mutate;
    };
    const auto field = [](const char* name, std::string value) {
        return parse_field_override(*find_quote_field(name), value).value();
    };
    const auto measure = [&](const char* name) {
        return [&, name] { certificate.quote.fields = {field(name, std::string(96, 'e'))}; };
    };
    const Row rows[] = {
        {"certificate_malformed", [&] { certificate.life = 24h + 1s; }},
        {"certificate_expired", [&] { certificate.life = 10min; }},
        {"certificate_not_yet_valid", [&] { certificate.not_before = at + 1s; }},
        {"certificate_signature_invalid", [&] { certificate.signed_by_stranger = true; }},
        {"certificate_mismatch:role", [&] { certificate.identity.role = "control"; }},
        {"certificate_mismatch:app", [&] { certificate.identity.app_name = "other"; }},
        {"certificate_mismatch:repo", [&] { certificate.identity.repo = "org/other"; }},
        {"certificate_mismatch:release_tag", [&] { certificate.identity.release_tag = "v9"; }},
        {"certificate_mismatch:network", [&] { certificate.identity.network = "forge-1"; }},
        {"certificate_not_counted", [&] { certificate.deployed_layout = true; }},
        // Of another key; of the challenge itself; of no key.
        {"report_data_mismatch",
         [&] {
             certificate.report_data =
                 report_data_ratls({"agent", "myapp", "org/repo", "v0.1.3", "ratls-1"},
                                   crypto::sha256(SigningKey::generate(KeyKind::p256).spki()),
                                   certificate.not_before, certificate.not_before + 24h);
         }},
        {"report_data_mismatch",
         [&] { certificate.report_data = report_data_deployed_ratls(crypto::sha256(client_key.spki())); }},
        {"report_data_mismatch", [&] { certificate.report_data = ReportData{}; }},
        {"certificate_chain_invalid", [&] { certificate.quote.faults = {SimulatedFault::root_unknown}; }},
        {"certificate_revoked", [&] { certificate.quote.faults = {SimulatedFault::leaf_revoked}; }},
        {"quote_signature_invalid", [&] { certificate.quote.faults = {SimulatedFault::quote_signature}; }},
        {"quote_malformed", [&] { certificate.quote.trailing = {1}; }},
        {"platform_mismatch", [&] { certificate.quote.fields = {field("pck_fmspc", "00906ed50000")}; }},
        {"td_attributes:29", [&] { certificate.quote.fields = {field("td_attributes", "0x30000000")}; }},
        {"measurement_mismatch:td_attributes", [&] { certificate.quote.debug = true; }},
        {"measurement_mismatch:xfam", [&] { certificate.quote.fields = {field("xfam", "0x3")}; }},
        {"measurement_mismatch:mrtd", measure("mrtd")},
        {"measurement_mismatch:rtmr0", measure("rtmr0")},
        {"measurement_mismatch:rtmr1", measure("rtmr1")},
        {"measurement_mismatch:rtmr2", measure("rtmr2")},
        {"measurement_mismatch:rtmr3", measure("rtmr3")},
        {"measurement_mismatch:mrconfigid", measure("mrconfigid")},
        {"measurement_mismatch:mrowner", measure("mrowner")},
        {"measurement_mismatch:mrownerconfig", measure("mrownerconfig")},
        {"measurement_mismatch:mrservicetd",
         [&] {
             certificate.quote.format = QuoteFormat::v5_td_1_5;
             measure("mrservicetd")();
         }},
    };
    const SimulatedCertificateRequest right = certificate;
    show_certificate();
    ASSERT_TRUE(judge().ok);
    for (const Row& row : rows) {
        certificate = right;
        row.mutate();
        show_certificate_as_it_is();
        const Verdict refused = judge();
        EXPECT_EQ(refused.refusal.code, "binding_too_weak") << row.reason;
        EXPECT_NE(refused.refusal.detail.find(row.reason), std::string::npos) << refused.refusal.detail;
        EXPECT_EQ(refused.binding, Binding::nonce);
    }
    challenge.identity.network = "sandbox-1";
    for (const Row& row : rows) {
        if (row.reason == std::string("certificate_not_counted")) continue;  // This network counts it.
        certificate = right;
        row.mutate();
        show_certificate_as_it_is();
        const Verdict taken = judge();
        EXPECT_TRUE(taken.ok) << row.reason;
        // The row of another key was made for the other network: it is another key's here, too.
        EXPECT_EQ(taken.binding, Binding::nonce) << row.reason;
        EXPECT_TRUE(taken.certificate_refusal.starts_with(row.reason)) << taken.certificate_refusal;
    }
    challenge.client_certificate = Bytes(100, 0x30);
    EXPECT_TRUE(judge().ok);
}

// Where even the level that a certificate can earn is too little, none is judged.
TEST_F(RatlsBinding, ACertificateThatCannotHelpCostsNothing) {
    challenge.identity.network = "bound-1";
    show_certificate();
    const Verdict verdict = judge();
    EXPECT_EQ(verdict.refusal.code, "binding_too_weak");
    EXPECT_EQ(verdict.refusal.detail, "the answer is bound at level nonce, bound-1 asks for channel");
    EXPECT_EQ(verdict.checks, CheckList{});
    use_legacy_answer();
    EXPECT_EQ(judge().checks, CheckList{});
}

// The platform is judged by the same policy as the challenge's: the quote's TD, not the answer's, is at
// fault.
TEST_F(RatlsBinding, AnUnboundAnswerWithABadCertificateIsStillUnbound) {
    use_legacy_answer();
    challenge.identity.network = "sandbox-1";
    certificate.quote.fields = {
        parse_field_override(*find_quote_field("rtmr2"), std::string(96, 'e')).value()};
    show_certificate();
    const Verdict verdict = judge();
    EXPECT_TRUE(verdict.ok && verdict.unbound);
    EXPECT_EQ(verdict.binding, Binding::none);
    challenge.identity.network = "legacy-1";
    EXPECT_EQ(judge().refusal.code, "binding_too_weak");
}

TEST_F(RatlsBinding, TheQuoteOfTheChallengeIsRefusedForItsOwnFaults) {
    show_certificate();
    quote.faults = {SimulatedFault::quote_signature};
    const Verdict verdict = judge();
    EXPECT_EQ(verdict.refusal.code, "quote_signature_invalid");
    EXPECT_EQ(verdict.binding, Binding::nonce) << "a certificate alone earns nothing";
}

TEST_F(RatlsBinding, ACertificateNobodyCanJudgeIsNoFaultOfTheAgents) {
    show_certificate();
    collateral.found_max = 1;  // The challenge's is found, the certificate's is not.
    const Verdict verdict = judge();
    EXPECT_EQ(verdict.refusal.code, "collateral_unavailable");
    EXPECT_TRUE(is_inconclusive(verdict.refusal.code));
    collateral.found_max = 1;
    collateral.refusal = "collateral_pending";
    const Verdict pending = judge();
    EXPECT_EQ(pending.refusal.code, "collateral_pending");
    EXPECT_TRUE(pending.awaits);
    challenge.identity.network = "sandbox-1";
    certificate.identity = {};
    show_certificate();
    collateral.found_max = 1;
    const Verdict taken = judge();
    EXPECT_TRUE(taken.ok);
    EXPECT_FALSE(taken.awaits);
    EXPECT_EQ(taken.binding, Binding::nonce);
}

// One that holds otherwise was made for somebody else: that can only be said of a node that has proven
// itself.
TEST_F(RatlsBinding, JudgesAQuoteOfAnotherChallengeToItsEndOnAProvenNodeOnly) {
    challenge.identity.network = "sandbox-1";
    ASSERT_TRUE(judge().ok);
    challenge.nonce.fill(8);
    const auto judge_given = [&] { return appraiser.appraise(challenge, answer, at); };
    const Verdict unproven = judge_given();
    EXPECT_EQ(unproven.refusal.code, "report_data_mismatch");
    EXPECT_EQ(fmt::format("{}", fmt::join(unproven.checks, "")), "ABC");
    challenge.node_proven = true;
    const Verdict proven = judge_given();
    EXPECT_FALSE(proven.ok);
    EXPECT_EQ(proven.refusal.code, "report_data_mismatch");
    EXPECT_EQ(fmt::format("{}", fmt::join(proven.checks, "")), "ABCDEFGHIJKLMN");
    EXPECT_TRUE(proven.report_data.empty()) << "nothing of it is taken for verified";
    // It is refused whatever the collateral says: nothing is worth waiting for.
    collateral.found_max = 0;
    collateral.refusal = "collateral_pending";
    const Verdict early = judge_given();
    EXPECT_EQ(early.refusal.code, "report_data_mismatch");
    EXPECT_FALSE(early.awaits);
    const Verdict of_this = judge();
    EXPECT_EQ(of_this.refusal.code, "collateral_pending");
    EXPECT_TRUE(of_this.awaits);
}

// A certificate lives on with its tunnel: each challenge judges it again.
TEST_F(RatlsBinding, IsLostWhenTheCertificateExpiresUnderTheTunnel) {
    show_certificate();
    EXPECT_TRUE(judge(at + 23h).ok);
    const Verdict late = judge(at + 23h + 1s);
    EXPECT_EQ(late.refusal.code, "binding_too_weak");
    EXPECT_NE(late.refusal.detail.find("certificate_expired"), std::string::npos);
}

TEST_F(RatlsBinding, LegacyAnswersComeFromTheNetworksAddressesOnly) {
    use_legacy_answer();
    challenge.identity.network = "near-1";
    challenge.requester = "10.1.2.3";
    EXPECT_TRUE(judge().ok);
    challenge.requester = "192.0.2.1";
    const Verdict refused = judge();
    EXPECT_EQ(refused.refusal.code, "binding_too_weak");
    EXPECT_NE(refused.refusal.detail.find("192.0.2.1"), std::string::npos);
    certificate.deployed_layout = true;
    show_certificate();
    EXPECT_EQ(judge().refusal.code, "binding_too_weak");
    challenge.requester = "10.1.2.3";
    EXPECT_EQ(judge().binding, Binding::ratls);
    EXPECT_TRUE(judge().ok);
    // Others may come from anywhere.
    challenge.requester = "192.0.2.1";
    answer = {};
    answer.layout = 2;
    EXPECT_TRUE(judge().ok);
}

}  // namespace
}  // namespace ee::attestation

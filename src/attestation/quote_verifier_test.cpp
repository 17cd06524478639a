// The order of the checks and what a verification says about itself. Every single fault: see
// simulated_platform_test.cpp.
#include "attestation/quote_verifier.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform_certificates.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const WallTime at = sys_days(2026y / 6 / 1);

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

QuoteVerifier verifier() {
    return QuoteVerifier(TrustAnchors::with_simulated_root(platform().root_certificate).value());
}

Bytes quote_with(const SimulatedFaults& faults,
                 const std::vector<std::pair<std::string_view, std::string_view>>& fields = {}) {
    SimulatedQuoteRequest request;
    request.report_data.fill(0x11);
    request.faults = faults;
    for (const auto& [name, value] : fields) {
        request.fields.push_back(parse_field_override(*find_quote_field(name), value).value());
    }
    return make_simulated_quote(platform(), request);
}

ReportData filled(std::uint8_t byte) {
    ReportData out;
    out.fill(byte);
    return out;
}

// Counts what it is asked for.
class CountingCollateral final : public CollateralSource {
public:
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime) override {
        asked.push_back(key);
        if (collateral == nullptr) return fail("collateral_unavailable", "none");
        return collateral;
    }
    std::vector<CollateralKey> asked;
    std::shared_ptr<const Collateral> collateral;
};

std::shared_ptr<const Collateral> collateral_with(const SimulatedFaults& faults = {}) {
    return std::make_shared<const Collateral>(
        parse_collateral(make_simulated_collateral(platform(), at, faults)).value());
}

std::string code_of(const Verification& verification) {
    return verification.refusal ? verification.refusal->code : "";
}

std::string letters(const CheckList& checks) {
    std::string out;
    for (const std::string& check : checks) out += check;
    return out;
}

TEST(QuoteVerifier, SaysWhichChecksItMade) {
    CountingCollateral source;
    source.collateral = collateral_with();
    const Bytes quote = quote_with({});
    struct Row {
        VerifyOptions options;
        const char* made;
        const char* left;
    };
    const Row rows[] = {
        {{.report_data = {}, .report_data_refusal = {}}, "ABDEFGH", "CIJKLMN"},
        {{.report_data = filled(0x11), .report_data_refusal = {}}, "ABCDEFGH", "IJKLMN"},
        {{.report_data = filled(0x11), .report_data_refusal = {}, .collateral = &source},
         "ABCDEFGHIJKLMN",
         ""},
    };
    for (const Row& row : rows) {
        const auto verification = verifier().verify(quote, row.options, at);
        ASSERT_TRUE(verification.crypto_ok()) << verification.refusal->detail;
        EXPECT_EQ(letters(verification.checks), row.made);
        EXPECT_EQ(letters(verification.not_checked), row.left);
        const bool with_collateral = row.options.collateral != nullptr;
        EXPECT_EQ(verification.tcb_evaluated(), with_collateral);
        EXPECT_EQ(verification.quote->tcb().status,
                  with_collateral ? TcbStatus::up_to_date : TcbStatus::not_evaluated);
        EXPECT_TRUE(verification.quote->pck());
        EXPECT_EQ(verification.quote->collateral() != nullptr, row.options.collateral != nullptr);
    }
}

TEST(QuoteVerifier, AsksForCollateralByAnchorFmspcAndCa) {
    CountingCollateral source;
    source.collateral = collateral_with();
    const auto verification = verifier().verify(
        quote_with({}), {.report_data = {}, .report_data_refusal = {}, .collateral = &source}, at);
    ASSERT_TRUE(verification.crypto_ok());
    ASSERT_EQ(source.asked.size(), 1u);
    EXPECT_EQ(source.asked[0].anchor_spki_sha256, crypto::sha256(platform().root_key.spki()));
    EXPECT_EQ(source.asked[0].fmspc, verification.quote->pck()->fmspc);
    EXPECT_EQ(source.asked[0].ca, PckCa::platform);
}

// Two faults at once: the one whose check comes first is the one that is told.
TEST(QuoteVerifier, MakesItsChecksInOrder) {
    struct Row {
        SimulatedFaults faults;
        bool report_data_differs;
        const char* code;
        const char* made;
    };
    using enum SimulatedFault;
    const Row rows[] = {
        {{quote_signature}, true, "report_data_mismatch", "ABC"},
        {{quote_signature, attestation_key_binding}, false, "quote_signature_invalid", "ABCD"},
        {{attestation_key_binding, qe_report_signature}, false, "attestation_key_unbound", "ABCDE"},
        {{qe_report_signature, chain_without_root}, false, "qe_report_signature_invalid", "ABCDEF"},
        {{leaf_subject, leaf_expired}, false, "certificate_chain_invalid", "ABCDEFG"},
        {{leaf_expired, leaf_revoked}, false, "certificate_expired", "ABCDEFGH"},
    };
    for (const Row& row : rows) {
        CountingCollateral source;
        source.collateral = collateral_with();
        const auto verification =
            verifier().verify(quote_with(row.faults),
                              {.report_data = filled(row.report_data_differs ? 0x22 : 0x11),
                               .report_data_refusal = {},
                               .collateral = &source},
                              at);
        EXPECT_EQ(code_of(verification), row.code);
        EXPECT_EQ(letters(verification.checks), row.made);
        EXPECT_FALSE(verification.crypto_ok());
        EXPECT_TRUE(source.asked.empty()) << "collateral is asked for only for chains that hold";
    }
}

// Whether it was made for another challenge shows only in one that holds otherwise.
TEST(QuoteVerifier, JudgesAQuoteOfAnotherChallengeToItsEndForTheRecord) {
    struct Row {
        SimulatedFaults faults;
        const char* besides;
        const char* made;
    };
    using enum SimulatedFault;
    const Row rows[] = {
        {{}, "; everything else about the quote holds", "ABCDEFGHIJKLMN"},
        {{quote_signature}, "; besides, quote_signature_invalid: ", "ABCD"},
        {{leaf_expired}, "; besides, certificate_expired: ", "ABCDEFGH"},
    };
    for (const Row& row : rows) {
        CountingCollateral source;
        source.collateral = collateral_with();
        VerifyOptions options{.report_data = filled(0x22),
                              .report_data_refusal = {},
                              .goes_on_for_the_record = true,
                              .collateral = &source};
        const Bytes quote = quote_with(row.faults);
        const auto verification = verifier().verify(quote, options, at);
        ASSERT_EQ(code_of(verification), "report_data_mismatch");
        EXPECT_NE(verification.refusal->detail.find(row.besides), std::string::npos)
            << verification.refusal->detail;
        EXPECT_EQ(letters(verification.checks), row.made);
        EXPECT_FALSE(verification.crypto_ok());
        EXPECT_EQ(verification.foreign_report_data.has_value(), row.faults.empty());
        EXPECT_EQ(verification.foreign_report_data.value_or(filled(0x11)), filled(0x11));
        // One of this challenge is judged as ever.
        options.report_data = filled(0x11);
        EXPECT_EQ(verifier().verify(quote, options, at).crypto_ok(), row.faults.empty());
    }
}

TEST(QuoteVerifier, OnlyReportDataThatAreJudgedToTheEndAndWrongAreForeign) {
    CountingCollateral source;
    source.collateral = collateral_with();
    const VerifyOptions foreign{.report_data = filled(0x22),
                                .report_data_refusal = {},
                                .goes_on_for_the_record = true,
                                .collateral = &source};
    const auto is_foreign = [](const VerifyOptions& options) {
        return verifier().verify(quote_with({}), options, at).foreign_report_data.has_value();
    };
    EXPECT_TRUE(is_foreign(foreign));
    VerifyOptions changed = foreign;
    changed.goes_on_for_the_record = false;
    EXPECT_FALSE(is_foreign(changed));
    changed = foreign;
    changed.collateral = nullptr;
    EXPECT_FALSE(is_foreign(changed)) << "nobody has judged the platform";
    changed = foreign;
    changed.report_data = filled(0x11);
    EXPECT_FALSE(is_foreign(changed)) << "it is of this challenge";
    changed.report_data_refusal = Error{"report_data_mismatch", "the message says something else"};
    EXPECT_FALSE(is_foreign(changed)) << "only the message is wrong";
}

TEST(QuoteVerifier, ComparesAllOfTheReportData) {
    const Bytes quote = quote_with({});
    for (const std::size_t changed : {0u, 31u, 32u, 63u}) {
        ReportData expected = filled(0x11);
        expected[changed] ^= 1;
        EXPECT_EQ(code_of(verifier().verify(quote, {.report_data = expected, .report_data_refusal = {}}, at)),
                  "report_data_mismatch")
            << changed;
    }
}

TEST(QuoteVerifier, GivesARefusalFoundOutsideItsTurnAtC) {
    const VerifyOptions options{.report_data = filled(0x11),
                                .report_data_refusal = Error{"report_data_mismatch", "said so"}};
    const auto refused = verifier().verify(quote_with({}), options, at);
    EXPECT_EQ(refused.refusal, options.report_data_refusal);
    EXPECT_EQ(letters(refused.checks), "ABC");
    EXPECT_EQ(code_of(verifier().verify({}, options, at)), "quote_malformed");
}

TEST(QuoteVerifier, TellsAForeignSignerFromAChangedQuote) {
    const std::string vendor(32, '1');
    struct Row {
        std::string_view field, value;
    };
    for (const Row& row : {Row{"qe_vendor_id", vendor}, Row{"attestation_key_type", "3"}}) {
        const auto foreign = verifier().verify(quote_with({}, {{row.field, row.value}}), {}, at);
        EXPECT_EQ(code_of(foreign), "quote_unsupported");
        EXPECT_EQ(letters(foreign.checks), "ABD");
    }
    for (const std::size_t place : {2u, 12u, 27u}) {
        Bytes changed = quote_with({});
        changed[place] ^= 1;
        EXPECT_EQ(code_of(verifier().verify(changed, {}, at)), "quote_signature_invalid") << place;
    }
}

TEST(QuoteVerifier, ChangingAnySignedByteBreaksASignature) {
    const Bytes quote = quote_with({});
    for (std::size_t place = 8; place < 48 + 584; place += 7) {
        Bytes changed = quote;
        changed[place] ^= 0x80;
        EXPECT_EQ(code_of(verifier().verify(changed, {}, at)), "quote_signature_invalid") << place;
    }
}

TEST(QuoteVerifier, JudgesCrlsAtBothEndsAndByTheGraceGiven) {
    CountingCollateral source;
    source.collateral = collateral_with();
    const Bytes quote = quote_with({});
    const WallTime end = at + simulated_collateral_life;
    const auto outcome = [&](WallTime now, std::chrono::seconds grace) {
        return code_of(verifier().verify(
            quote,
            {.report_data = {}, .report_data_refusal = {}, .collateral = &source, .collateral_grace = grace},
            now));
    };
    EXPECT_EQ(outcome(at, 0s), "");
    EXPECT_EQ(outcome(at - 1ms, 86400s), "collateral_not_yet_valid:root_crl");
    EXPECT_EQ(outcome(end, 0s), "");
    EXPECT_EQ(outcome(end + 1ms, 0s), "collateral_expired:root_crl");
    EXPECT_EQ(outcome(end + 86400s, 86400s), "");
    EXPECT_EQ(outcome(end + 86400s + 1ms, 86400s), "collateral_expired:root_crl");
}

TEST(QuoteVerifier, RefusesCollateralWhoseSignerIsRevoked) {
    CountingCollateral source;
    source.collateral = collateral_with({SimulatedFault::tcb_signer_revoked});
    EXPECT_EQ(code_of(verifier().verify(
                  quote_with({}), {.report_data = {}, .report_data_refusal = {}, .collateral = &source}, at)),
              "certificate_revoked");
}

Verification verify_by(Collateral collateral) {
    FixedCollateral source(std::move(collateral));
    return verifier().verify(quote_with({}),
                             {.report_data = {}, .report_data_refusal = {}, .collateral = &source}, at);
}

// Usually it is the root of the signers too, and refused with them.
TEST(QuoteVerifier, RefusesARootThatRevokedItselfEvenWithoutSigners) {
    Collateral collateral = *collateral_with();
    collateral.root_ca_crl =
        crypto::issue_crl({.this_update = at,
                           .next_update = at + simulated_collateral_life,
                           .revoked = {{simulated::root_serial(), at}}},
                          {platform().root_key, simulated::intel_name(simulated::root_common_name)});
    EXPECT_EQ(code_of(verify_by(collateral)), "certificate_revoked");
    collateral.tcb_info_issuer_chain.clear();
    collateral.qe_identity_issuer_chain.clear();
    EXPECT_EQ(code_of(verify_by(collateral)), "certificate_revoked");
}

// Who has to fetch collateral anyway is told that first.
TEST(QuoteVerifier, MissesACrlBeforeItJudgesTheOther) {
    using enum SimulatedFault;
    for (const SimulatedFaults& faults :
         {SimulatedFaults{root_crl_signature, pck_crl_missing}, {root_crl_missing, pck_crl_signature}}) {
        EXPECT_EQ(code_of(verify_by(*collateral_with(faults))), "collateral_unavailable");
    }
}

TEST(QuoteVerifier, JudgesTheSignersOfTcbInfoAndQeIdentityEachByItsOwnCertificate) {
    struct Row {
        std::string Collateral::* chain;
        SimulatedFault fault;
        const char* code;
        const char* made;
    };
    using enum SimulatedFault;
    const Row rows[] = {
        {&Collateral::tcb_info_issuer_chain, tcb_signer_expired, "certificate_expired", "ABDEFGHIJK"},
        {&Collateral::qe_identity_issuer_chain, tcb_signer_expired, "certificate_expired", "ABDEFGHIJKL"},
        {&Collateral::tcb_info_issuer_chain, tcb_signer_not_yet_valid, "certificate_not_yet_valid",
         "ABDEFGHIJKL"},
        {&Collateral::qe_identity_issuer_chain, tcb_signer_not_yet_valid, "certificate_not_yet_valid",
         "ABDEFGHIJKL"},
    };
    for (const Row& row : rows) {
        Collateral collateral = *collateral_with();
        collateral.*row.chain = (*collateral_with({row.fault})).*row.chain;
        const auto verification = verify_by(std::move(collateral));
        EXPECT_EQ(code_of(verification), row.code);
        EXPECT_EQ(letters(verification.checks), row.made);
    }
}

TEST(QuoteVerifier, JudgesThePckChainByTimeWithoutCollateralToo) {
    using enum SimulatedFault;
    for (const SimulatedFault fault : {leaf_not_yet_valid, intermediate_not_yet_valid}) {
        const auto verification = verifier().verify(quote_with({fault}), {}, at);
        EXPECT_EQ(code_of(verification), "certificate_not_yet_valid");
        EXPECT_EQ(letters(verification.checks), "ABDEFGH");
    }
}

TEST(QuoteVerifier, PassesOnThatThereIsNoCollateral) {
    CountingCollateral source;
    const auto verification = verifier().verify(
        quote_with({}), {.report_data = {}, .report_data_refusal = {}, .collateral = &source}, at);
    EXPECT_EQ(code_of(verification), "collateral_unavailable");
    EXPECT_EQ(letters(verification.checks), "ABDEFGHI");
}

}  // namespace
}  // namespace ee::attestation

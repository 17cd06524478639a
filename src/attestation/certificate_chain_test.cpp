#include "attestation/certificate_chain.h"

#include <gtest/gtest.h>

#include "attestation/quote.h"
#include "attestation/untimely.h"
#include "attestation/vector_manifest.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;
using crypto::CertificateContent;
using crypto::DistinguishedName;
using crypto::KeyKind;
using crypto::SigningKey;

DistinguishedName named(const std::string& common_name) {
    return {{"CN", common_name}, {"O", "Intel Corporation"}, {"C", "US"}};
}

// One certificate of a chain: what it says, whose key it has, who signs it and in whose name.
struct Link {
    CertificateContent content;
    Bytes spki;
    const SigningKey* signer;
    DistinguishedName issuer;
};

// A good chain, leaf first, each part of which a test may change before it is issued.
struct Chain {
    SigningKey root_key = SigningKey::generate(KeyKind::p256);
    SigningKey ca_key = SigningKey::generate(KeyKind::p256);
    SigningKey leaf_key = SigningKey::generate(KeyKind::p256);
    SigningKey other_key = SigningKey::generate(KeyKind::p256);
    Link leaf, ca, root;
    crypto::Sha256 pinned = crypto::sha256(root_key.spki());

    Chain() {
        const DistinguishedName leaf_name = named("Intel SGX PCK Certificate");
        const DistinguishedName ca_name = named("Intel SGX PCK Platform CA");
        const DistinguishedName root_name = named("Intel SGX Root CA");
        leaf = {content(leaf_name, 3), leaf_key.spki(), &ca_key, ca_name};
        ca = {content(ca_name, 2), ca_key.spki(), &root_key, root_name};
        root = {content(root_name, 1), root_key.spki(), &root_key, root_name};
        for (Link* link : {&ca, &root}) {
            link->content.is_ca = true;
            link->content.key_usage = crypto::key_cert_sign | crypto::crl_sign;
        }
        ca.content.path_length_max = 0;
        root.content.path_length_max = 1;
    }
    Chain(const Chain&) = delete;

    static CertificateContent content(const DistinguishedName& subject, std::uint8_t serial) {
        return {.serial = {serial},
                .subject = subject,
                .not_before = sys_days(2025y / 1 / 1),
                .not_after = sys_days(2030y / 1 / 1),
                .path_length_max = {},
                .subject_alternatives = {},
                .extensions = {}};
    }

    static Bytes issued(const Link& link) {
        return crypto::issue_certificate(link.content, link.spki, {*link.signer, link.issuer});
    }
    std::string pem() const {
        std::string out;
        for (const Link* link : {&leaf, &ca, &root}) out += crypto::certificate_to_pem(issued(*link));
        return out;
    }
    Result<PckChain> verify() const {
        auto certificates = read_pck_certificates(pem());
        if (!certificates) return fail(certificates.error());
        return verify_pck_chain(std::move(*certificates), TrustAnchors::with_simulated(pinned));
    }
};

TEST(PckChain, HoldsUpToItsPinnedRoot) {
    const Chain chain;
    const auto verified = chain.verify();
    ASSERT_TRUE(verified) << verified.error().detail;
    EXPECT_EQ(verified->ca(), PckCa::platform);
    EXPECT_TRUE(verified->anchor().simulated);
    EXPECT_EQ(verified->anchor().spki_sha256, chain.pinned);
    EXPECT_EQ(verified->leaf().serial(), Bytes{3});
    EXPECT_EQ(verified->root().serial(), Bytes{1});
}

TEST(PckChain, MayComeFromTheProcessorCa) {
    Chain chain;
    chain.ca.content.subject = chain.leaf.issuer = named("Intel SGX PCK Processor CA");
    const auto verified = chain.verify();
    ASSERT_TRUE(verified) << verified.error().detail;
    EXPECT_EQ(verified->ca(), PckCa::processor);
}

// Two certificates over Intel's root key are in use.
TEST(PckChain, IsPinnedByTheRootsKeyNotItsCertificate) {
    Chain chain;
    chain.root.content.serial = {0x55};
    chain.root.content.not_after = sys_days(2049y / 12 / 31);
    EXPECT_TRUE(chain.verify());
}

TEST(PckChain, MayLeavePathLengthsUnlimited) {
    Chain chain;
    chain.ca.content.path_length_max = {};
    chain.root.content.path_length_max = {};
    EXPECT_TRUE(chain.verify());
}

struct Mutation {
    const char* name;
    void (*apply)(Chain&);
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
    *out << mutation.name;
}

const crypto::CertificateExtension critical_extension{
    .oid = "1.2.3.4", .critical = true, .der = {0x05, 0x00}};

class PckChainRefuses : public testing::TestWithParam<Mutation> {};

TEST_P(PckChainRefuses, AMutation) {
    Chain chain;
    GetParam().apply(chain);
    const auto verified = chain.verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, "certificate_chain_invalid");
}

INSTANTIATE_TEST_SUITE_P(
    Table, PckChainRefuses,
    testing::Values(
        Mutation{"leaf_renamed", [](Chain& c) { c.leaf.content.subject = named("Intel SGX TCB Signing"); }},
        Mutation{"leaf_with_two_names",
                 [](Chain& c) { c.leaf.content.subject.push_back({"CN", "Intel SGX PCK Certificate"}); }},
        Mutation{"leaf_name_in_other_case",
                 [](Chain& c) { c.leaf.content.subject = named("intel sgx pck certificate"); }},
        Mutation{"ca_renamed",
                 [](Chain& c) { c.ca.content.subject = c.leaf.issuer = named("Intel SGX PCK Other CA"); }},
        Mutation{
            "root_renamed",
            [](Chain& c) { c.root.content.subject = c.root.issuer = c.ca.issuer = named("Other Root CA"); }},
        Mutation{"leaf_of_another_issuer", [](Chain& c) { c.leaf.issuer.push_back({"L", "Santa Clara"}); }},
        Mutation{"ca_of_another_issuer", [](Chain& c) { c.ca.issuer.push_back({"L", "Santa Clara"}); }},
        Mutation{"root_not_self_issued", [](Chain& c) { c.root.issuer.push_back({"L", "Santa Clara"}); }},
        Mutation{"leaf_signed_by_another_key", [](Chain& c) { c.leaf.signer = &c.other_key; }},
        Mutation{"leaf_signed_by_the_root", [](Chain& c) { c.leaf.signer = &c.root_key; }},
        Mutation{"ca_signed_by_another_key", [](Chain& c) { c.ca.signer = &c.other_key; }},
        Mutation{"root_signed_by_another_key", [](Chain& c) { c.root.signer = &c.other_key; }},
        Mutation{"root_of_another_key", [](Chain& c) { c.pinned[0] ^= 1; }},
        Mutation{"leaf_key_not_p256",
                 [](Chain& c) { c.leaf.spki = SigningKey::generate(KeyKind::ed25519).spki(); }},
        Mutation{"ca_key_not_p256",
                 [](Chain& c) { c.ca.spki = SigningKey::generate(KeyKind::ed25519).spki(); }},
        Mutation{"leaf_signed_with_sha384",
                 [](Chain& c) { c.leaf.content.digest = crypto::SignatureDigest::sha384; }},
        Mutation{"ca_signed_with_sha384",
                 [](Chain& c) { c.ca.content.digest = crypto::SignatureDigest::sha384; }},
        Mutation{"leaf_is_a_ca", [](Chain& c) { c.leaf.content.is_ca = true; }},
        Mutation{"ca_is_no_ca",
                 [](Chain& c) {
                     c.ca.content.is_ca = false;
                     c.ca.content.path_length_max = {};
                 }},
        Mutation{"root_is_no_ca",
                 [](Chain& c) {
                     c.root.content.is_ca = false;
                     c.root.content.path_length_max = {};
                 }},
        Mutation{"root_path_too_short", [](Chain& c) { c.root.content.path_length_max = 0; }},
        Mutation{"leaf_cannot_sign", [](Chain& c) { c.leaf.content.key_usage = crypto::non_repudiation; }},
        Mutation{"leaf_without_key_usage", [](Chain& c) { c.leaf.content.key_usage = 0; }},
        Mutation{
            "leaf_may_issue",
            [](Chain& c) { c.leaf.content.key_usage = crypto::digital_signature | crypto::key_cert_sign; }},
        Mutation{"ca_may_not_issue", [](Chain& c) { c.ca.content.key_usage = crypto::crl_sign; }},
        Mutation{"ca_may_not_revoke", [](Chain& c) { c.ca.content.key_usage = crypto::key_cert_sign; }},
        Mutation{"root_may_not_issue",
                 [](Chain& c) { c.root.content.key_usage = crypto::digital_signature; }},
        Mutation{"leaf_with_a_critical_extension",
                 [](Chain& c) { c.leaf.content.extensions.push_back(critical_extension); }},
        Mutation{"ca_with_a_critical_extension",
                 [](Chain& c) { c.ca.content.extensions.push_back(critical_extension); }}));

TEST(PckChain, IsExactlyThreeCertificatesInOrder) {
    const Chain chain;
    const std::string leaf = crypto::certificate_to_pem(Chain::issued(chain.leaf));
    const std::string ca = crypto::certificate_to_pem(Chain::issued(chain.ca));
    const std::string root = crypto::certificate_to_pem(Chain::issued(chain.root));
    for (const std::string& pem : {leaf, leaf + ca, leaf + root, leaf + ca + root + root,
                                   leaf + leaf + ca + root, root + ca + leaf, leaf + root + ca}) {
        auto certificates = read_pck_certificates(pem);
        ASSERT_TRUE(certificates);
        EXPECT_EQ(verify_pck_chain(std::move(*certificates), TrustAnchors::with_simulated(chain.pinned))
                      .error()
                      .code,
                  "certificate_chain_invalid");
    }
    for (const std::string& pem : {std::string(), leaf + "junk" + ca + root, leaf + ca + root + "junk"}) {
        EXPECT_EQ(read_pck_certificates(pem).error().code, "certificate_chain_invalid");
    }
    EXPECT_TRUE(read_pck_certificates(leaf + ca + root + std::string(1, '\0')));
}

std::string outcome(const std::vector<crypto::Certificate>& certificates, WallTime now) {
    // Grace is for collateral.
    Untimely untimely(now, 86400s);
    for (const crypto::Certificate& certificate : certificates) {
        if (const auto held = untimely.judge_certificate(certificate); !held) return held.error().code;
    }
    const auto late = untimely.refusal();
    return late ? late->code : "";
}

TEST(Validity, CoversEveryCertificateAndBothEnds) {
    for (Link Chain::* shorter : {&Chain::leaf, &Chain::ca, &Chain::root}) {
        Chain chain;
        const WallTime from = sys_days(2026y / 1 / 1), to = sys_days(2026y / 2 / 1);
        (chain.*shorter).content.not_before = from;
        (chain.*shorter).content.not_after = to;
        const auto certificates = read_pck_certificates(chain.pem()).value();
        EXPECT_EQ(outcome(certificates, from - 1ms), "certificate_not_yet_valid");
        EXPECT_EQ(outcome(certificates, from), "");
        EXPECT_EQ(outcome(certificates, to), "");
        EXPECT_EQ(outcome(certificates, to + 1ms), "certificate_expired");
    }
}

TEST(TrustAnchors, KnowIntelsKeyAndAtMostOneMore) {
    const Chain chain;
    const Bytes root = Chain::issued(chain.root);
    EXPECT_FALSE(TrustAnchors().find(chain.pinned));
    ASSERT_TRUE(TrustAnchors().find(intel_root_spki_sha256));
    EXPECT_FALSE(TrustAnchors().find(intel_root_spki_sha256)->simulated);
    for (const Bytes& encoded : {root, to_bytes(as_bytes(crypto::certificate_to_pem(root)))}) {
        const auto anchors = TrustAnchors::with_simulated_root(encoded);
        ASSERT_TRUE(anchors);
        EXPECT_TRUE(anchors->find(chain.pinned)->simulated);
        EXPECT_FALSE(anchors->find(intel_root_spki_sha256)->simulated);
        EXPECT_FALSE(anchors->find(crypto::Sha256{}));
    }
    Link other_kind = chain.root;
    other_kind.spki = SigningKey::generate(KeyKind::ed25519).spki();
    EXPECT_EQ(TrustAnchors::with_simulated_root(Chain::issued(other_kind)).error().code, "key_invalid");
    EXPECT_EQ(TrustAnchors::with_simulated_root(as_bytes("x")).error().code, "certificate_malformed");
    EXPECT_EQ(TrustAnchors::with_simulated_root_file("/no/such/file").error().code, "certificate_unreadable");
    EXPECT_FALSE(
        TrustAnchors::with_simulated(intel_root_spki_sha256).find(intel_root_spki_sha256)->simulated);
}

TEST(TrustAnchors, KnowTheSelfSignatureOfTheVeryCertificateConfigured) {
    const Chain chain;
    const auto root = crypto::Certificate::from_der(Chain::issued(chain.root)).value();
    const auto anchors = TrustAnchors::with_simulated_root(root.der()).value();
    EXPECT_TRUE(anchors.knows_self_signature(root));
    EXPECT_FALSE(TrustAnchors::with_simulated(chain.pinned).knows_self_signature(root));
    EXPECT_FALSE(TrustAnchors().knows_self_signature(root));
    // Another certificate over the same key, signed by itself too.
    Link other = chain.root;
    other.content.serial = {0x77};
    const auto other_root = crypto::Certificate::from_der(Chain::issued(other)).value();
    EXPECT_EQ(other_root.spki_sha256(), root.spki_sha256());
    EXPECT_TRUE(other_root.is_self_signed());
    EXPECT_FALSE(anchors.knows_self_signature(other_root));
}

TEST(TrustAnchors, KnowIntelsCertificateWhoseSelfSignatureHolds) {
    if (read_vector_manifest().empty()) GTEST_SKIP() << "no vectors in " << vector_folder();
    const auto quote = parse_quote(read_vector("genuine/dcap-qvl-tdx_quote/quote.bin"));
    const auto chain = read_pck_certificates(quote->pck_chain);
    EXPECT_EQ(crypto::sha256(chain->back().der()), intel_root_certificate_sha256);
    EXPECT_EQ(chain->back().spki_sha256(), intel_root_spki_sha256);
    EXPECT_TRUE(chain->back().is_self_signed());
    EXPECT_TRUE(TrustAnchors().knows_self_signature(chain->back()));
    EXPECT_FALSE(TrustAnchors().knows_self_signature(chain->front()));
}

}  // namespace
}  // namespace ee::attestation

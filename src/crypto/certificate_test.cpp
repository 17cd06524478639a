#include "crypto/certificate.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "crypto/issuing.h"

namespace ee::crypto {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const DistinguishedName ca_name = {{"CN", "Test CA"}, {"O", "Tests"}};
const DistinguishedName leaf_name = {{"CN", "Leaf"}, {"O", "Tests"}};

struct Certificates : testing::Test {
    SigningKey ca_key = SigningKey::generate(KeyKind::p256);
    SigningKey leaf_key = SigningKey::generate(KeyKind::p256);
    CertificateContent ca{.serial = {1},
                          .subject = ca_name,
                          .not_before = sys_days(2025y / 1 / 2),
                          .not_after = sys_days(2049y / 12 / 31) + 23h + 59min + 59s,
                          .is_ca = true,
                          .path_length_max = 1,
                          .key_usage = key_cert_sign | crl_sign,
                          .subject_alternatives = {},
                          .extensions = {}};
    CertificateContent leaf{.serial = {0x81, 0x00},
                            .subject = leaf_name,
                            .not_before = sys_days(2025y / 1 / 2),
                            .not_after = sys_days(2050y / 1 / 1),
                            .path_length_max = {},
                            .subject_alternatives = {},
                            .extensions = {}};

    Bytes ca_der() { return issue_certificate(ca, ca_key.spki(), {ca_key, ca_name}); }
    Bytes leaf_der() { return issue_certificate(leaf, leaf_key.spki(), {ca_key, ca_name}); }
};

TEST_F(Certificates, ShowWhatWasIssued) {
    const auto parsed = Certificate::from_der(ca_der());
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_EQ(parsed->subject_common_name(), "Test CA");
    EXPECT_EQ(parsed->subject_text(), "O=Tests,CN=Test CA");
    EXPECT_EQ(parsed->subject(), parsed->issuer());
    EXPECT_EQ(parsed->serial(), Bytes{1});
    EXPECT_EQ(to_rfc3339(parsed->not_before()), "2025-01-02T00:00:00Z");
    EXPECT_EQ(to_rfc3339(parsed->not_after()), "2049-12-31T23:59:59Z");
    EXPECT_TRUE(parsed->has_basic_constraints());
    EXPECT_TRUE(parsed->is_ca());
    EXPECT_EQ(parsed->path_length_max(), 1);
    EXPECT_EQ(parsed->key_usage(), unsigned{key_cert_sign | crl_sign});
    EXPECT_EQ(parsed->spki(), ca_key.spki());
    EXPECT_EQ(parsed->spki_sha256(), sha256(ca_key.spki()));
    EXPECT_FALSE(parsed->has_unknown_critical_extension());
}

TEST_F(Certificates, TimesAfter2049AreGeneralizedTimes) {
    const auto parsed = Certificate::from_der(leaf_der());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(to_rfc3339(parsed->not_after()), "2050-01-01T00:00:00Z");
    EXPECT_EQ(parsed->serial(), (Bytes{0x81, 0x00}));
}

TEST_F(Certificates, AreSignedByTheirIssuerOnly) {
    const auto parsed = Certificate::from_der(leaf_der());
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->is_signed_by(P256PublicKey::from_spki(ca_key.spki()).value()));
    EXPECT_FALSE(parsed->is_signed_by(P256PublicKey::from_spki(leaf_key.spki()).value()));
    leaf.digest = SignatureDigest::sha384;
    const auto other = Certificate::from_der(leaf_der());
    ASSERT_TRUE(other);
    EXPECT_FALSE(other->is_signed_with_ecdsa_sha256());
    EXPECT_FALSE(other->is_signed_by(P256PublicKey::from_spki(ca_key.spki()).value()));
}

TEST_F(Certificates, GiveTheirExtensionsByOid) {
    leaf.extensions = {{.oid = "1.2.3.4", .critical = false, .der = {0x05, 0x00}}};
    const auto parsed = Certificate::from_der(leaf_der());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->extension("1.2.3.4"), (Bytes{0x05, 0x00}));
    EXPECT_FALSE(parsed->extension("1.2.3.5"));
    EXPECT_FALSE(parsed->has_unknown_critical_extension());
    // What is no OID leaves nothing behind for who asks OpenSSL next.
    take_openssl_errors();
    EXPECT_FALSE(parsed->extension("no OID"));
    EXPECT_EQ(take_openssl_errors(), "no detail");
    leaf.extensions[0].critical = true;
    EXPECT_TRUE(Certificate::from_der(leaf_der())->has_unknown_critical_extension());
}

TEST_F(Certificates, HaveSoManyExtensionsAtMost) {
    // Each is compared with each: a client's certificate has room for thousands.
    Result<Certificate> parsed = Certificate::from_der(leaf_der());
    while (parsed && leaf.extensions.size() < 64) {
        const std::string oid = "1.2.3." + std::to_string(leaf.extensions.size());
        leaf.extensions.push_back({.oid = oid, .critical = false, .der = {0x05, 0x00}});
        parsed = Certificate::from_der(leaf_der());
    }
    EXPECT_GT(leaf.extensions.size(), 25u);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error(), (Error{"certificate_malformed", "more than 32 extensions"}));
}

TEST_F(Certificates, WithAnExtensionTwiceAreRefused) {
    const CertificateExtension extension{.oid = "1.2.3.4", .critical = false, .der = {0x05, 0x00}};
    leaf.extensions = {extension, extension};
    const auto parsed = Certificate::from_der(leaf_der());
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error(), (Error{"certificate_malformed", "an extension twice"}));
}

TEST_F(Certificates, NameNobodyWithTwoCommonNames) {
    leaf.subject.push_back({"CN", "Other"});
    EXPECT_FALSE(Certificate::from_der(leaf_der())->subject_common_name());
}

TEST_F(Certificates, MustEndWhereTheyEnd) {
    Bytes der = leaf_der();
    der.push_back(0);
    EXPECT_FALSE(Certificate::from_der(der));
    der.pop_back();
    der.pop_back();
    EXPECT_FALSE(Certificate::from_der(der));
    EXPECT_FALSE(Certificate::from_der({}));
}

TEST_F(Certificates, ComeInPemChainsWithNothingBetweenThem) {
    const std::string one = certificate_to_pem(leaf_der()), two = certificate_to_pem(ca_der());
    const std::string nul(1, '\0');
    for (const std::string& good :
         {one + two, one + "\r\n \t" + two + "\n\n", one + two + nul, "\n" + one + two}) {
        const auto chain = parse_pem_chain(good);
        ASSERT_TRUE(chain) << chain.error().detail;
        ASSERT_EQ(chain->size(), 2u);
        EXPECT_EQ(chain->front().subject_common_name(), "Leaf");
    }
    const std::string cut = one.substr(0, one.size() - 5);
    std::string not_base64 = one;
    not_base64[60] = '*';
    for (const std::string& bad :
         {std::string(), nul, one + nul + nul, one + nul + two, one + "x" + two, "x" + one, one + "text\n",
          cut, not_base64, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n" + one}) {
        EXPECT_FALSE(parse_pem_chain(bad)) << bad;
    }
    const std::string endless = one.substr(0, one.find("-----END"));
    EXPECT_EQ(parse_pem_chain(endless).error().detail, "a PEM certificate without an end");
    EXPECT_TRUE(parse_pem_chain(one + two, 2));
    EXPECT_FALSE(parse_pem_chain(one + two, 1));
}

TEST_F(Certificates, AreReadFromDerAndPemAlike) {
    const Bytes der = ca_der();
    const std::string pem = certificate_to_pem(der);
    EXPECT_EQ(parse_certificate(der)->der(), der);
    EXPECT_EQ(parse_certificate(as_bytes(pem))->der(), der);
    EXPECT_FALSE(parse_certificate(as_bytes(pem + pem)));
    EXPECT_FALSE(parse_certificate({}));
}

TEST_F(Certificates, OfOtherKeysHaveNoP256Key) {
    const SigningKey ed25519 = SigningKey::generate(KeyKind::ed25519);
    const auto parsed = Certificate::from_der(issue_certificate(leaf, ed25519.spki(), {ca_key, ca_name}));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->p256_key().error().code, "key_invalid");
}

// Whatever our reader takes, OpenSSL's takes too, and understands alike: every octet changed, several ways.
TEST_F(Certificates, AreReadNoMoreLenientlyThanByOpenssl) {
    leaf.extensions = {{.oid = "1.2.3.4", .critical = false, .der = {0x05, 0x00}}};
    leaf.is_ca = true;
    leaf.path_length_max = 3;
    const Bytes der = leaf_der();
    int taken = 0;
    for (std::size_t place = 0; place < der.size(); ++place) {
        for (const std::uint8_t change : {0x01, 0x20, 0x80, 0xff}) {
            Bytes changed = der;
            changed[place] ^= change;
            const auto ours = Certificate::from_der(changed);
            if (!ours) continue;
            ++taken;
            const unsigned char* at = changed.data();
            const X509Ptr theirs(d2i_X509(nullptr, &at, static_cast<long>(changed.size())));
            ASSERT_TRUE(theirs) << place << " " << int{change};
            EXPECT_EQ(at, changed.data() + changed.size());
            EXPECT_EQ(X509_get_version(theirs.get()), X509_VERSION_3);
            int found = 0;
            const std::unique_ptr<BASIC_CONSTRAINTS, FreeWith<BASIC_CONSTRAINTS_free>> constraints(
                static_cast<BASIC_CONSTRAINTS*>(
                    X509_get_ext_d2i(theirs.get(), NID_basic_constraints, &found, nullptr)));
            EXPECT_EQ(constraints != nullptr, ours->has_basic_constraints());
            if (constraints) {
                EXPECT_EQ(constraints->ca != 0, ours->is_ca());
            }
            std::tm time{};
            EXPECT_EQ(ASN1_TIME_to_tm(X509_get0_notBefore(theirs.get()), &time), 1);
            EXPECT_EQ(std::chrono::sys_time<std::chrono::seconds>(std::chrono::seconds(timegm(&time))),
                      ours->not_before());
            EXPECT_EQ(ASN1_TIME_to_tm(X509_get0_notAfter(theirs.get()), &time), 1);
            EXPECT_EQ(std::chrono::sys_time<std::chrono::seconds>(std::chrono::seconds(timegm(&time))),
                      ours->not_after());
            unsigned char* name = nullptr;
            const int size = i2d_X509_NAME(X509_get_subject_name(theirs.get()), &name);
            EXPECT_EQ(to_bytes({name, static_cast<std::size_t>(size)}), ours->subject());
            OPENSSL_free(name);
        }
    }
    EXPECT_GT(taken, 300);
}

}  // namespace
}  // namespace ee::crypto

#include "crypto/crl.h"

#include <gtest/gtest.h>

#include "crypto/certificate.h"
#include "crypto/issuing.h"

namespace ee::crypto {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const DistinguishedName ca_name = {{"CN", "Test CA"}};

TEST(Crl, ShowsWhoIssuedItWhenAndWhatItRevokes) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const WallTime from = sys_days(2026y / 1 / 1), to = sys_days(2026y / 2 / 1);
    const Bytes der =
        issue_crl({.this_update = from, .next_update = to, .revoked = {{{0x20, 0x01}, from}, {{0x07}, from}}},
                  {key, ca_name});
    const auto crl = Crl::from_der(der);
    ASSERT_TRUE(crl) << crl.error().detail;
    EXPECT_EQ(crl->issuer_common_name(), "Test CA");
    EXPECT_EQ(crl->this_update(), from);
    EXPECT_EQ(crl->next_update(), to);
    EXPECT_EQ(crl->size(), 2u);
    EXPECT_TRUE(crl->revokes({0x20, 0x01}));
    EXPECT_TRUE(crl->revokes({0x07}));
    EXPECT_FALSE(crl->revokes({0x20}));
    EXPECT_FALSE(crl->revokes({}));
    EXPECT_TRUE(crl->is_signed_by(P256PublicKey::from_spki(key.spki()).value()));
    EXPECT_FALSE(
        crl->is_signed_by(P256PublicKey::from_spki(SigningKey::generate(KeyKind::p256).spki()).value()));
}

TEST(Crl, IsRefusedWhenItIsNoCompleteDerList) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    Bytes der = issue_crl(
        {.this_update = sys_days(2026y / 1 / 1), .next_update = sys_days(2026y / 2 / 1), .revoked = {}},
        {key, ca_name});
    ASSERT_TRUE(Crl::from_der(der));
    der.push_back(0);
    EXPECT_EQ(Crl::from_der(der).error().code, "crl_malformed");
    der.pop_back();
    der.pop_back();
    EXPECT_EQ(Crl::from_der(der).error().code, "crl_malformed");
    EXPECT_EQ(Crl::from_der({}).error().code, "crl_malformed");
}

// Built with OpenSSL directly: our own issuing never makes such lists.
Bytes crl_with(bool next_update, bool critical_extension) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const X509CrlPtr crl(X509_CRL_new());
    const std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>> time(ASN1_TIME_set(nullptr, 1767225600));
    X509_CRL_set_version(crl.get(), 1);
    X509_CRL_set1_lastUpdate(crl.get(), time.get());
    if (next_update) X509_CRL_set1_nextUpdate(crl.get(), time.get());
    if (critical_extension) {
        const std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>> base(ASN1_INTEGER_new());
        ASN1_INTEGER_set(base.get(), 1);
        X509_CRL_add1_ext_i2d(crl.get(), NID_delta_crl, base.get(), 1, 0);
    }
    X509_CRL_sign(crl.get(), key.get(), EVP_sha256());
    unsigned char* der = nullptr;
    const int size = i2d_X509_CRL(crl.get(), &der);
    const Bytes out(der, der + size);
    OPENSSL_free(der);
    return out;
}

TEST(Crl, IsRefusedWithoutAnEndOrWithACriticalExtension) {
    EXPECT_TRUE(Crl::from_der(crl_with(true, false)));
    EXPECT_FALSE(Crl::from_der(crl_with(false, false)));
    EXPECT_FALSE(Crl::from_der(crl_with(true, true)));
}

}  // namespace
}  // namespace ee::crypto

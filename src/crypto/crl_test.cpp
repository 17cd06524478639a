#include "crypto/crl.h"

#include <gtest/gtest.h>

#include "crypto/certificate.h"
#include "crypto/issuing.h"
#include "crypto/test_der.h"

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

const Bytes reason = hex("551d15"), invalidity = hex("551d18"), number = hex("551d14");

// The signed part of a list, field by field.
struct Fields {
    Bytes entry_extensions = sequence({extension(reason, hex("0a0101")), extension(invalidity, hex("0500"))});
    Bytes behind_entry;
    // The whole of [0], and what stands behind it.
    Bytes extensions = list_of({extension(number, hex("020101")), extension(reason, hex("0a0101"))});
    Bytes behind;

    static Bytes list_of(std::initializer_list<Bytes> list) { return der_element(0xa0, sequence(list)); }

    Bytes der() const {
        const Bytes entry = sequence({hex("020107"), new_year, entry_extensions, behind_entry});
        return sequence({sequence({hex("020101"), ecdsa_sha256, name_of_nobody, new_year, new_years_eve,
                                   sequence({entry}), extensions, behind}),
                         ecdsa_sha256, bits_of_one_octet});
    }
};

void expect_refused(std::initializer_list<RefusedRow<Fields>> rows) {
    expect_each_refused<Crl>("crl_malformed", rows);
}

TEST(CrlFields, AreRightInEveryRowsTemplateAndMayLackExtensions) {
    Fields fields;
    const auto right = Crl::from_der(fields.der());
    ASSERT_TRUE(right) << right.error().detail;
    EXPECT_TRUE(right->revokes({0x07}));
    fields.entry_extensions = fields.extensions = {};
    EXPECT_TRUE(Crl::from_der(fields.der()));
}

TEST(CrlFields, EndWhereTheyEnd) {
    expect_refused({
        {"an integer for an entry's extensions", [](Fields& f) { f.entry_extensions = hex("020101"); },
         "an entry that is not well formed"},
        {"behind an entry's extensions", [](Fields& f) { f.behind_entry = hex("0500"); },
         "an entry that is not well formed"},
        {"behind the list of extensions",
         [](Fields& f) {
             f.extensions =
                 der_element(0xa0, joined({sequence({extension(number, hex("020101"))}), hex("0500")}));
         },
         "extensions that are not one list"},
        {"behind all extensions", [](Fields& f) { f.behind = hex("0500"); },
         "bytes behind the entries that are no extensions"},
    });
}

TEST(CrlFields, OfExtensionsAreListsOfEachOnceAndNoneCritical) {
    expect_refused({
        {"an empty list", [](Fields& f) { f.extensions = Fields::list_of({}); },
         "an empty list of extensions"},
        {"an empty list of an entry", [](Fields& f) { f.entry_extensions = sequence({}); },
         "an empty list of extensions of an entry"},
        {"a critical one of an entry",
         [](Fields& f) { f.entry_extensions = sequence({hex("300d0603551d150101ff04030a0101")}); },
         "a critical extension of an entry"},
        {"no extension among those of an entry",
         [](Fields& f) { f.entry_extensions = sequence({hex("0500")}); },
         "an extension that is not well formed of an entry"},
        {"one twice, not side by side",
         [](Fields& f) {
             const Bytes once = extension(number, hex("020101"));
             f.extensions = Fields::list_of({once, extension(reason, hex("0a0101")), once});
         },
         "an extension twice"},
        {"one of an entry twice, with another value",
         [](Fields& f) {
             f.entry_extensions =
                 sequence({extension(reason, hex("0a0101")), extension(reason, hex("0a0102"))});
         },
         "an extension twice of an entry"},
    });
}

}  // namespace
}  // namespace ee::crypto

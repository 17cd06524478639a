#include <gtest/gtest.h>

#include "crypto/certificate.h"
#include "crypto/test_der.h"

namespace ee::crypto {
namespace {

const Bytes basic_constraints = hex("551d13"), key_usage = hex("551d0f");
const Bytes null = hex("0500");

// The signed part of a certificate, field by field.
struct Fields {
    Bytes version = hex("a003020102");
    Bytes validity = sequence({new_year, new_years_eve});
    Bytes key = sequence({ecdsa_sha256, bits_of_one_octet});
    // The whole of [3], and what stands behind it.
    Bytes extensions = list_of({extension(basic_constraints, hex("30060101ff020101"))});
    Bytes behind;

    static Bytes list_of(std::initializer_list<Bytes> list) { return der_element(0xa3, sequence(list)); }

    Bytes der() const {
        return sequence({sequence({version, hex("020101"), ecdsa_sha256, name_of_nobody, validity,
                                   name_of_nobody, key, extensions, behind}),
                         ecdsa_sha256, bits_of_one_octet});
    }
};

void expect_refused(std::initializer_list<RefusedRow<Fields>> rows) {
    expect_each_refused<Certificate>("certificate_malformed", rows);
}

void constrain(Fields& fields, std::string_view value) {
    fields.extensions = Fields::list_of({extension(basic_constraints, hex(value))});
}

void use(Fields& fields, std::string_view value) {
    fields.extensions = Fields::list_of({extension(key_usage, hex(value))});
}

TEST(CertificateFields, AreRightInEveryRowsTemplate) {
    const auto parsed = Certificate::from_der(Fields{}.der());
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_TRUE(parsed->is_ca());
    EXPECT_EQ(parsed->path_length_max(), 1);
}

TEST(CertificateFields, EndWhereTheyEnd) {
    expect_refused({
        {"behind the version", [](Fields& f) { f.version = hex("a0050201020500"); },
         "not a version 3 certificate"},
        {"behind the validity", [](Fields& f) { f.validity = sequence({new_year, new_years_eve, null}); },
         "a validity that is no time"},
        {"behind the key", [](Fields& f) { f.key = sequence({ecdsa_sha256, bits_of_one_octet, null}); },
         "a key that is not well formed"},
        {"behind the list of extensions",
         [](Fields& f) {
             const Bytes list = sequence({extension(basic_constraints, hex("3000"))});
             f.extensions = der_element(0xa3, joined({list, null}));
         },
         "extensions that are not one list"},
        {"behind all extensions", [](Fields& f) { f.behind = null; },
         "bytes behind the key that are no extensions"},
        {"behind the basic constraints", [](Fields& f) { constrain(f, "30060101ff0201010500"); },
         "basic constraints that do not decode"},
        {"behind the path length", [](Fields& f) { constrain(f, "30080101ff0201010500"); },
         "a path length that is none"},
        {"behind the key usage", [](Fields& f) { use(f, "030205a00500"); },
         "a key usage that does not decode"},
    });
}

TEST(CertificateFields, MayEndWithTheKeyButHaveNoEmptyListOfExtensions) {
    Fields fields;
    fields.extensions = {};
    EXPECT_TRUE(Certificate::from_der(fields.der()));
    expect_refused({{"an empty list", [](Fields& f) { f.extensions = Fields::list_of({}); },
                     "extensions that are not one list"}});
}

TEST(CertificateFields, SayWhetherAnExtensionIsCriticalInOneWay) {
    Fields fields;
    fields.extensions = Fields::list_of({hex("300c06032a03040101ff04020500")});
    EXPECT_TRUE(Certificate::from_der(fields.der())->has_unknown_critical_extension());
    expect_refused({
        {"not critical, which is the default, written",
         [](Fields& f) { f.extensions = Fields::list_of({hex("300c06032a030401010004020500")}); },
         "an extension that is not well formed"},
        {"critical in another spelling",
         [](Fields& f) { f.extensions = Fields::list_of({hex("300c06032a030401010104020500")}); },
         "an extension that is not well formed"},
    });
}

TEST(CertificateFields, OfKeyUsageAreBitsBehindTheCountOfUnusedOnes) {
    for (const auto& [value, usage] :
         {std::pair("03020106", 0x06u), {"030206c0", 0xc0u}, {"0303070680", 0x06u}}) {
        Fields fields;
        use(fields, value);
        const auto parsed = Certificate::from_der(fields.der());
        ASSERT_TRUE(parsed) << value;
        EXPECT_EQ(parsed->key_usage(), usage) << value;
    }
    constexpr const char* refusal = "a key usage that does not decode";
    expect_refused({
        {"of another type", [](Fields& f) { use(f, "04020106"); }, refusal},
        {"no octet, not even the count", [](Fields& f) { use(f, "0300"); }, refusal},
        {"no bit", [](Fields& f) { use(f, "030100"); }, refusal},
        {"no bit, of which one is unused", [](Fields& f) { use(f, "030101"); }, refusal},
        {"eight unused bits", [](Fields& f) { use(f, "03020800"); }, refusal},
        {"an unused bit set", [](Fields& f) { use(f, "03020206"); }, refusal},
        {"more bits than there are usages", [](Fields& f) { use(f, "030407060080"); }, refusal},
    });
}

TEST(CertificateFields, OfBasicConstraintsAreInDerAndAPathLengthIsOfACa) {
    expect_refused({
        {"false, which is the default, written", [](Fields& f) { constrain(f, "3003010100"); },
         "basic constraints that do not decode"},
        {"false written, and a path length", [](Fields& f) { constrain(f, "3006010100020101"); },
         "basic constraints that do not decode"},
        {"true in another spelling", [](Fields& f) { constrain(f, "3003010101"); },
         "basic constraints that do not decode"},
        {"a path length of what is no CA", [](Fields& f) { constrain(f, "3003020101"); },
         "a path length of what is no CA"},
        {"a path length below zero", [](Fields& f) { constrain(f, "30060101ff0201ff"); },
         "a path length that is none"},
        {"a path length over 65535", [](Fields& f) { constrain(f, "30080101ff0203010000"); },
         "a path length that is none"},
    });
    Fields longest;
    constrain(longest, "30080101ff020300ffff");
    const auto parsed = Certificate::from_der(longest.der());
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_EQ(parsed->path_length_max(), 65535);
}

}  // namespace
}  // namespace ee::crypto

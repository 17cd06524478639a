#include <gtest/gtest.h>

#include "crypto/certificate.h"
#include "crypto/test_der.h"

namespace ee::crypto {
namespace {

const Bytes basic_constraints = hex("551d13");

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

struct Row {
    const char* name;
    void (*change)(Fields&);
    const char* detail;
};

void expect_refused(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
        Fields fields;
        row.change(fields);
        const auto parsed = Certificate::from_der(fields.der());
        ASSERT_FALSE(parsed) << row.name;
        EXPECT_EQ(parsed.error(), (Error{"certificate_malformed", row.detail})) << row.name;
    }
}

void constrain(Fields& fields, std::string_view value) {
    fields.extensions = Fields::list_of({extension(basic_constraints, hex(value))});
}

TEST(CertificateFields, AreRightInEveryRowsTemplate) {
    const auto parsed = Certificate::from_der(Fields{}.der());
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_TRUE(parsed->is_ca());
    EXPECT_EQ(parsed->path_length_max(), 1);
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
    });
}

}  // namespace
}  // namespace ee::crypto

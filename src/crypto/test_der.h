#pragma once
// DER for tests of the readers: certificates and lists put together by hand, so that one field is wrong and
// every other one right.

#include <initializer_list>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "crypto/der.h"
#include "crypto/x509_fields.h"

namespace ee::crypto {

inline Bytes hex(std::string_view text) {
    return from_hex(text).value();
}

inline Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

inline Bytes sequence(std::initializer_list<Bytes> parts) {
    return der_element(der_tag::sequence, joined(parts));
}

// `oid`: the content of the OBJECT IDENTIFIER.
inline Bytes extension(ByteSpan oid, ByteSpan value) {
    return sequence({der_element(der_tag::oid, oid), der_element(der_tag::octet_string, value)});
}

inline const Bytes ecdsa_sha256 = to_bytes(ecdsa_sha256_algorithm);
inline const Bytes bits_of_one_octet = hex("03020001");
inline const Bytes name_of_nobody = sequence({});
inline const Bytes new_year = der_element(der_tag::utc_time, as_bytes("260101000000Z"));
inline const Bytes new_years_eve = der_element(der_tag::utc_time, as_bytes("261231000000Z"));

// One way in which the fields of a thing are changed, and what is said of it then.
template <class Fields>
struct RefusedRow {
    const char* name;
    void (*change)(Fields&);
    const char* detail;
};

// Each of them alone is refused by `Parsed::from_der` with this code.
template <class Parsed, class Fields>
void expect_each_refused(const char* code, std::initializer_list<RefusedRow<Fields>> rows) {
    for (const RefusedRow<Fields>& row : rows) {
        Fields fields;
        row.change(fields);
        const auto parsed = Parsed::from_der(fields.der());
        ASSERT_FALSE(parsed) << row.name;
        EXPECT_EQ(parsed.error(), (Error{code, row.detail})) << row.name;
    }
}

}  // namespace ee::crypto

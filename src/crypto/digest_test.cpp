#include "crypto/digest.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::crypto {
namespace {

// FIPS 180-4 examples for "abc".
TEST(Digest, MatchesTheStandardsExamples) {
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(
        to_hex(sha384({as_bytes("abc")})),
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    EXPECT_EQ(
        to_hex(sha512({as_bytes("a"), as_bytes("bc")})),
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f");
}

// RFC 4231 section 4.3.
TEST(Digest, HmacMatchesTheStandardsExample) {
    EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace ee::crypto

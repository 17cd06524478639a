#include <gtest/gtest.h>

#include "base/hex.h"
#include "crypto/ecdsa.h"
#include "crypto/ed25519.h"
#include "crypto/signing_key.h"

namespace ee::crypto {
namespace {

ByteArray<64> array64(std::string_view hex) {
    return from_hex_exact<64>(hex).value();
}

// RFC 6979 appendix A.2.5: P-256, SHA-256, message "sample".
constexpr std::string_view rfc6979_point =
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
constexpr std::string_view rfc6979_signature =
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
constexpr std::string_view order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

TEST(P256PublicKey, VerifiesTheSignatureOfRfc6979AndNoOther) {
    const auto key = P256PublicKey::from_point(array64(rfc6979_point));
    ASSERT_TRUE(key) << key.error().detail;
    const auto signature = array64(rfc6979_signature);
    EXPECT_TRUE(key->verifies(as_bytes("sample"), signature));
    EXPECT_FALSE(key->verifies(as_bytes("sampl"), signature));
    for (const std::size_t at : {0u, 31u, 32u, 63u}) {
        auto flipped = signature;
        flipped[at] ^= 1;
        EXPECT_FALSE(key->verifies(as_bytes("sample"), flipped)) << at;
    }
}

TEST(P256PublicKey, RefusesScalarsOutsideTheGroup) {
    const auto key = P256PublicKey::from_point(array64(rfc6979_point)).value();
    const std::string r(rfc6979_signature.substr(0, 64)), s(rfc6979_signature.substr(64));
    const std::string zero(64, '0'), ones(64, 'f'), n(order);
    for (const std::string& bad : {zero + s, r + zero, n + s, r + n, ones + s, r + ones}) {
        EXPECT_FALSE(key.verifies(as_bytes("sample"), array64(bad))) << bad;
    }
}

TEST(P256PublicKey, RefusesPointsThatAreNotOnTheCurve) {
    auto off = array64(rfc6979_point);
    off[63] ^= 1;
    const ByteArray<64> zero{};
    ByteArray<64> over;  // coordinates beyond the field
    over.fill(0xff);
    for (const auto& point : {off, zero, over}) {
        const auto key = P256PublicKey::from_point(point);
        ASSERT_FALSE(key) << to_hex(point);
        EXPECT_EQ(key.error().code, "key_invalid");
    }
}

TEST(P256PublicKey, ReadsItsOwnPublicKeyInfoOnly) {
    const SigningKey ours = SigningKey::generate(KeyKind::p256);
    const auto key = P256PublicKey::from_spki(ours.spki());
    ASSERT_TRUE(key);
    EXPECT_EQ(key->point(), ours.public_point());
    EXPECT_TRUE(key->verifies(as_bytes("m"), ours.sign(as_bytes("m"))));

    Bytes longer = ours.spki();
    longer.push_back(0);
    Bytes other_curve = ours.spki();
    other_curve[22] = 0x06;
    Bytes compressed = ours.spki();
    compressed[26] = 0x02;
    for (const Bytes& bad :
         {longer, other_curve, compressed, Bytes{}, SigningKey::generate(KeyKind::ed25519).spki()}) {
        EXPECT_FALSE(P256PublicKey::from_spki(bad));
    }
}

// RFC 8032 section 7.1, test 3: its message is af82.
constexpr std::string_view rfc8032_public =
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
constexpr std::string_view rfc8032_signature =
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

TEST(Ed25519PublicKey, VerifiesTheSignatureOfRfc8032AndNoOther) {
    const Bytes spki = from_hex("302a300506032b6570032100" + std::string(rfc8032_public)).value();
    const auto signature = array64(rfc8032_signature);
    const auto key = Ed25519PublicKey::from_spki(spki);
    ASSERT_TRUE(key);
    EXPECT_TRUE(key->verifies(Bytes{0xaf, 0x82}, signature));
    EXPECT_FALSE(key->verifies(Bytes{0xaf, 0x83}, signature));
    EXPECT_FALSE(key->verifies(Bytes{0xaf, 0x82}, ByteSpan(signature).first(63)));
    EXPECT_FALSE(key->verifies(Bytes{0xaf, 0x82}, {}));
}

TEST(Ed25519PrivateKey, SignsAsRfc8032Says) {
    auto key = SigningKey::from_pem(
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3\n"
        "-----END PRIVATE KEY-----\n");
    ASSERT_TRUE(key) << key.error().detail;
    EXPECT_EQ(to_hex(key->public_bytes()), rfc8032_public);
    EXPECT_EQ(to_hex(key->sign(Bytes{0xaf, 0x82})), rfc8032_signature);
    const SigningKey moved = std::move(*key);
    EXPECT_EQ(to_hex(moved.sign(Bytes{0xaf, 0x82})), rfc8032_signature);
}

// Each of these would let one signature, or one key, stand for what its owner never signed.
TEST(Ed25519PublicKey, RefusesWhatIsNotCanonical) {
    const SigningKey ours = SigningKey::generate(KeyKind::ed25519);
    const auto key = Ed25519PublicKey::from_raw(ours.public_bytes());
    auto signature = ours.sign(as_bytes("m"));
    ASSERT_TRUE(key.verifies(as_bytes("m"), signature));
    // S + the group's order: the same signature in another spelling (RFC 8032 section 5.1.7).
    const auto l =
        from_hex_exact<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").value();
    unsigned carry = 0;
    for (std::size_t i = 0; i < 32; ++i) {
        carry += signature[32 + i] + unsigned{l[i]};
        signature[32 + i] = static_cast<std::uint8_t>(carry);
        carry >>= 8;
    }
    EXPECT_FALSE(key.verifies(as_bytes("m"), signature));
    // The neutral element and other points of small order verify what nobody signed: R = A = 1, S = 0.
    for (const ByteArray<32>& small : {ByteArray<32>{1}, ByteArray<32>{}}) {
        ByteArray<64> nothing{};
        std::copy(small.begin(), small.end(), nothing.begin());
        EXPECT_FALSE(Ed25519PublicKey::from_raw(small).verifies(as_bytes("m"), nothing));
    }
}

TEST(Ed25519PublicKey, ReadsOnlyEd25519KeyInfo) {
    const SigningKey ours = SigningKey::generate(KeyKind::ed25519);
    const auto key = Ed25519PublicKey::from_spki(ours.spki());
    ASSERT_TRUE(key);
    EXPECT_TRUE(key->verifies(as_bytes("m"), ours.sign(as_bytes("m"))));
    EXPECT_EQ(key->raw(), ours.public_bytes());
    EXPECT_FALSE(Ed25519PublicKey::from_spki(SigningKey::generate(KeyKind::p256).spki()));
    EXPECT_FALSE(Ed25519PublicKey::from_spki(ByteSpan(ours.spki()).first(43)));
    Bytes x25519 = ours.spki();  // 1.3.101.110: the same size, another use.
    x25519[8] = 0x6e;
    EXPECT_FALSE(Ed25519PublicKey::from_spki(x25519));
}

}  // namespace
}  // namespace ee::crypto

#include "crypto/issuing.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/hex.h"

namespace ee::crypto {
namespace {

using namespace std::chrono_literals;

const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");
const DistinguishedName root_name{{"CN", "Test Root"}, {"O", "Test"}, {"C", "US"}};

X509Ptr parse_certificate(ByteSpan der) {
    const std::uint8_t* begin = der.data();
    return X509Ptr(d2i_X509(nullptr, &begin, static_cast<long>(der.size())));
}

CertificateContent root_content() {
    return {.serial = {0x10},
            .subject = root_name,
            .not_before = at,
            .not_after = at + 24h,
            .is_ca = true,
            .path_length_max = 1,
            .key_usage = key_cert_sign | crl_sign,
            .subject_alternatives = {},
            .extensions = {}};
}

CertificateContent leaf_content() {
    return {.serial = {0x7f, 0x01},
            .subject = {{"CN", "leaf"}},
            .not_before = at,
            .not_after = at + 1h,
            .path_length_max = {},
            .subject_alternatives = {"DNS:localhost", "IP:127.0.0.1"},
            .extensions = {{.oid = "1.2.840.113741.1.13.1", .critical = false, .der = {0x30, 0x00}}}};
}

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-issuing-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

TEST(SigningKey, P256SignaturesVerifyAndAreRawRAndS) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    for (int round = 0; round < 20; ++round) {  // Short r or s must come out padded.
        const ByteArray<64> raw = key.sign(as_bytes("message"));
        const EcdsaSignaturePtr signature(ECDSA_SIG_new());
        ASSERT_EQ(ECDSA_SIG_set0(signature.get(), BN_bin2bn(raw.data(), 32, nullptr),
                                 BN_bin2bn(raw.data() + 32, 32, nullptr)),
                  1);
        std::uint8_t* der = nullptr;
        const int size = i2d_ECDSA_SIG(signature.get(), &der);
        const MdCtxPtr context(EVP_MD_CTX_new());
        ASSERT_EQ(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()), 1);
        EXPECT_EQ(EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(size),
                                   as_bytes("message").data(), 7),
                  1);
        OPENSSL_free(der);
    }
}

// RFC 8032 section 7.1, test 2, with the seed in the PKCS#8 form of RFC 8410.
TEST(SigningKey, Ed25519MatchesTheVectorOfRfc8032) {
    const std::string pem =
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
        "-----END PRIVATE KEY-----\n";
    const auto key = SigningKey::from_pem(pem);
    ASSERT_TRUE(key) << key.error().detail;
    EXPECT_EQ(key->kind(), KeyKind::ed25519);
    const std::uint8_t message = 0x72;
    EXPECT_EQ(to_hex(key->sign({&message, 1})),
              "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(SigningKey, PemRoundTripsForBothKinds) {
    for (const KeyKind kind : {KeyKind::p256, KeyKind::ed25519}) {
        const SigningKey key = SigningKey::generate(kind);
        const auto again = SigningKey::from_pem(key.to_pem().reveal());
        ASSERT_TRUE(again);
        EXPECT_EQ(again->kind(), kind);
        EXPECT_EQ(again->spki(), key.spki());
    }
}

TEST(SigningKey, ThePublicPointIsTheEndOfTheSpki) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const Bytes spki = key.spki();
    const ByteArray<64> point = key.public_point();
    EXPECT_TRUE(std::equal(point.begin(), point.end(), spki.end() - 64));
}

TEST(SigningKey, OtherKindsOfKeyAreRefused) {
    const PkeyPtr p384(EVP_EC_gen("P-384"));
    const BioPtr bio(BIO_new(BIO_s_mem()));
    ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(bio.get(), p384.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    for (const std::string_view pem : {std::string_view(text, static_cast<std::size_t>(size)),
                                       std::string_view("no key at all"), std::string_view()}) {
        const auto key = SigningKey::from_pem(pem);
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().code, "key_invalid");
    }
}

TEST(SigningKey, AFileIsReadableByItsOwnerOnlyAndIsReplacedWhole) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "key.pem";
    std::ofstream(file) << "an old file that anyone may read";
    const SigningKey key = SigningKey::generate(KeyKind::ed25519);
    ASSERT_TRUE(save_signing_key(file, key));
    struct stat status{};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const auto again = load_signing_key(file);
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(again->spki(), key.spki());
}

TEST(SigningKey, AFileThatCannotBeUsedIsNamed) {
    const TemporaryFolder folder;
    const auto absent = load_signing_key(folder.path() / "absent.pem");
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, "key_unreadable");
    EXPECT_NE(absent.error().detail.find("absent.pem"), std::string::npos);
    const auto unwritable =
        save_signing_key(folder.path() / "no-such-folder" / "key.pem", SigningKey::generate(KeyKind::p256));
    ASSERT_FALSE(unwritable);
    EXPECT_EQ(unwritable.error().code, "key_unwritable");
}

TEST(Issuing, ALeafVerifiesUnderItsRootInOpensslsOwnPathValidation) {
    const SigningKey root_key = SigningKey::generate(KeyKind::p256);
    const SigningKey leaf_key = SigningKey::generate(KeyKind::ed25519);
    const X509Ptr root =
        parse_certificate(issue_certificate(root_content(), root_key.spki(), {root_key, root_name}));
    const X509Ptr leaf =
        parse_certificate(issue_certificate(leaf_content(), leaf_key.spki(), {root_key, root_name}));
    ASSERT_TRUE(root && leaf);
    const std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>> store(X509_STORE_new());
    X509_STORE_add_cert(store.get(), root.get());
    const std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
    ASSERT_EQ(X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr), 1);
    X509_STORE_CTX_set_time(
        context.get(), 0,
        std::chrono::duration_cast<std::chrono::seconds>((at + 1min).time_since_epoch()).count());
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_X509_STRICT);
    EXPECT_EQ(X509_verify_cert(context.get()), 1)
        << X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

TEST(Issuing, ACertificateCarriesWhatWasAskedFor) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const X509Ptr leaf = parse_certificate(issue_certificate(leaf_content(), key.spki(), {key, root_name}));
    ASSERT_TRUE(leaf);
    EXPECT_EQ(X509_get_signature_nid(leaf.get()), NID_ecdsa_with_SHA256);
    EXPECT_EQ(X509_check_host(leaf.get(), "localhost", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
    EXPECT_EQ(X509_get_key_usage(leaf.get()), static_cast<unsigned>(KU_DIGITAL_SIGNATURE));
    EXPECT_EQ(X509_check_ca(leaf.get()), 0);
    EXPECT_EQ(ASN1_INTEGER_get(X509_get0_serialNumber(leaf.get())), 0x7f01);
    const std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>> oid(
        OBJ_txt2obj("1.2.840.113741.1.13.1", 1));
    EXPECT_GE(X509_get_ext_by_OBJ(leaf.get(), oid.get(), -1), 0);
}

TEST(Issuing, TheDigestOfTheSignatureCanBeChosen) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    CertificateContent content = leaf_content();
    content.digest = SignatureDigest::sha384;
    const X509Ptr leaf = parse_certificate(issue_certificate(content, key.spki(), {key, root_name}));
    EXPECT_EQ(X509_get_signature_nid(leaf.get()), NID_ecdsa_with_SHA384);
}

TEST(Issuing, ACrlIsSignedAndListsTheRevokedSerials) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const Bytes der = issue_crl({.this_update = at,
                                 .next_update = at + 24h,
                                 .number = 7,
                                 .revoked = {{.serial = {0x20, 0x01}, .revoked_at = at - 1h}}},
                                {key, root_name});
    const std::uint8_t* begin = der.data();
    const X509CrlPtr crl(d2i_X509_CRL(nullptr, &begin, static_cast<long>(der.size())));
    ASSERT_TRUE(crl);
    EXPECT_EQ(X509_CRL_verify(crl.get(), key.get()), 1);
    EXPECT_EQ(X509_CRL_get_version(crl.get()), X509_CRL_VERSION_2);
    const std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>> serial(ASN1_INTEGER_new());
    X509_REVOKED* entry = nullptr;
    ASN1_INTEGER_set(serial.get(), 0x2001);
    EXPECT_EQ(X509_CRL_get0_by_serial(crl.get(), &entry, serial.get()), 1);
    ASN1_INTEGER_set(serial.get(), 0x2002);
    EXPECT_EQ(X509_CRL_get0_by_serial(crl.get(), &entry, serial.get()), 0);
}

TEST(Issuing, PemIsWhatOpensslReadsBack) {
    const SigningKey key = SigningKey::generate(KeyKind::p256);
    const Bytes der = issue_certificate(root_content(), key.spki(), {key, root_name});
    const std::string pem = certificate_to_pem(der);
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const X509Ptr again(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    ASSERT_TRUE(again);
    EXPECT_EQ(X509_cmp(again.get(), parse_certificate(der).get()), 0);
}

}  // namespace
}  // namespace ee::crypto

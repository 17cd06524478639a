#include "crypto/signing_key.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "base/check.h"
#include "base/replace_file.h"
#include "crypto/sodium.h"

namespace ee::crypto {
namespace {

constexpr std::size_t key_file_bytes_max = 16 * 1024;

void require(bool held, const char* what) {
    if (!held) throw std::runtime_error(std::string(what) + ": " + take_openssl_errors());
}

}  // namespace

SigningKey::SigningKey(KeyKind kind, PkeyPtr key) : kind_(kind), key_(std::move(key)) {
    if (kind_ != KeyKind::ed25519) return;
    begin_sodium();
    std::string bytes(crypto_sign_ed25519_SECRETKEYBYTES, '\0');
    std::size_t seed_size = crypto_sign_ed25519_SEEDBYTES;
    require(EVP_PKEY_get_raw_private_key(key_.get(), reinterpret_cast<std::uint8_t*>(bytes.data()),
                                         &seed_size) == 1 &&
                seed_size == crypto_sign_ed25519_SEEDBYTES,
            "reading a private key");
    std::ranges::copy(public_bytes(), bytes.begin() + crypto_sign_ed25519_SEEDBYTES);
    seed_and_public_ = Secret(std::move(bytes));
}

SigningKey SigningKey::generate(KeyKind kind) {
    PkeyPtr key(kind == KeyKind::p256 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")
                                      : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    require(key != nullptr, "generating a key");
    return SigningKey(kind, std::move(key));
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
    if (pem.empty()) return fail("key_invalid", "there is no PEM private key in an empty text");
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    require(bio != nullptr, "allocating a buffer");
    // The callback keeps OpenSSL from asking the terminal for a passphrase.
    auto refuse_passphrase = [](char*, int, int, void*) { return -1; };
    PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, nullptr));
    if (!key) return fail("key_invalid", "not an unencrypted PEM private key: " + take_openssl_errors());
    if (EVP_PKEY_is_a(key.get(), "ED25519") == 1) return SigningKey(KeyKind::ed25519, std::move(key));
    char group[32] = {};
    if (EVP_PKEY_is_a(key.get(), "EC") == 1 &&
        EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) == 1 &&
        OBJ_txt2nid(group) == NID_X9_62_prime256v1) {
        return SigningKey(KeyKind::p256, std::move(key));
    }
    return fail("key_invalid", "the private key is neither P-256 nor Ed25519");
}

Secret SigningKey::to_pem() const {
    const BioPtr bio(BIO_new(BIO_s_secmem()));
    require(bio != nullptr && PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0,
                                                            nullptr, nullptr) == 1,
            "writing a private key");
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return Secret(std::string(text, static_cast<std::size_t>(size)));
}

Bytes SigningKey::spki() const {
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    require(size > 0, "encoding a public key");
    const Bytes spki(der, der + size);
    OPENSSL_free(der);
    return spki;
}

ByteArray<64> SigningKey::public_point() const {
    EE_CHECK(kind_ == KeyKind::p256);
    ByteArray<65> encoded{};  // SEC 1 uncompressed: 0x04 || x || y
    std::size_t size = 0;
    require(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, encoded.data(),
                                            encoded.size(), &size) == 1 &&
                size == encoded.size(),
            "reading a public key");
    ByteArray<64> point;
    std::copy(encoded.begin() + 1, encoded.end(), point.begin());
    return point;
}

ByteArray<32> SigningKey::public_bytes() const {
    EE_CHECK(kind_ == KeyKind::ed25519);
    ByteArray<32> bytes;
    std::size_t size = bytes.size();
    require(EVP_PKEY_get_raw_public_key(key_.get(), bytes.data(), &size) == 1 && size == bytes.size(),
            "reading a public key");
    return bytes;
}

ByteArray<64> SigningKey::sign(ByteSpan message) const {
    ByteArray<64> raw{};
    if (kind_ == KeyKind::ed25519) {
        EE_CHECK(crypto_sign_ed25519_detached(raw.data(), nullptr, message.data(), message.size(),
                                              as_bytes(seed_and_public_.reveal()).data()) == 0);
        return raw;
    }
    const MdCtxPtr context(EVP_MD_CTX_new());
    require(context != nullptr &&
                EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1,
            "starting a signature");
    ByteArray<80> encoded{};  // A DER ECDSA signature over P-256 has at most 72 bytes.
    std::size_t size = encoded.size();
    require(EVP_DigestSign(context.get(), encoded.data(), &size, message.data(), message.size()) == 1,
            "signing");
    const std::uint8_t* der = encoded.data();
    const EcdsaSignaturePtr signature(d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size)));
    require(signature != nullptr && BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + 32, 32) == 32,
            "reading a signature");
    return raw;
}

Result<SigningKey> load_signing_key(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail("key_unreadable", file.string() + ": " + std::strerror(errno));
    std::string pem(key_file_bytes_max, '\0');
    in.read(pem.data(), static_cast<std::streamsize>(pem.size()));
    pem.resize(static_cast<std::size_t>(in.gcount()));
    auto key = SigningKey::from_pem(pem);
    OPENSSL_cleanse(pem.data(), pem.size());
    if (!key) return fail(key.error().code, file.string() + ": " + key.error().detail);
    return key;
}

Result<void> save_signing_key(const std::filesystem::path& file, const SigningKey& key) {
    const auto saved = replace_file(file, key.to_pem().reveal(), 0600);
    if (!saved) return fail("key_unwritable", saved.error().detail);
    return {};
}

}  // namespace ee::crypto

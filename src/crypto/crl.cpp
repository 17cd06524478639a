#include "crypto/crl.h"

#include <algorithm>

#include <openssl/err.h>

#include "crypto/x509_fields.h"

namespace ee::crypto {
namespace {

tl::unexpected<Error> malformed(std::string detail) {
    ERR_clear_error();
    return fail("crl_malformed", std::move(detail));
}

bool has_critical_extension(const STACK_OF(X509_EXTENSION) * extensions) {
    for (int i = 0; i < sk_X509_EXTENSION_num(extensions); ++i) {
        if (X509_EXTENSION_get_critical(sk_X509_EXTENSION_value(extensions, i)) != 0) return true;
    }
    return false;
}

}  // namespace

Result<Crl> Crl::from_der(ByteSpan der) {
    const unsigned char* at = der.data();
    Crl out;
    out.crl_.reset(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
    X509_CRL* crl = out.crl_.get();
    if (crl == nullptr) return malformed("not a CRL");
    if (at != der.data() + der.size()) return malformed("bytes after the CRL");
    const auto this_update = wall_time_of(X509_CRL_get0_lastUpdate(crl));
    const auto next_update = wall_time_of(X509_CRL_get0_nextUpdate(crl));
    if (!this_update || !next_update) return malformed("a CRL without thisUpdate or nextUpdate");
    out.this_update_ = *this_update;
    out.next_update_ = *next_update;
    out.issuer_ = der_of_name(X509_CRL_get_issuer(crl));
    if (has_critical_extension(X509_CRL_get0_extensions(crl)))
        return malformed("a critical extension of the CRL");

    const auto* entries = X509_CRL_get_REVOKED(crl);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
        const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
        if (has_critical_extension(X509_REVOKED_get0_extensions(entry))) {
            return malformed("a critical extension of an entry");
        }
        auto serial = magnitude_of(X509_REVOKED_get0_serialNumber(entry));
        if (!serial) return malformed("a negative serial number");
        out.revoked_.push_back(std::move(*serial));
    }
    std::sort(out.revoked_.begin(), out.revoked_.end());
    return out;
}

std::optional<std::string> Crl::issuer_common_name() const {
    return common_name_of(X509_CRL_get_issuer(crl_.get()));
}

bool Crl::is_signed_by(const P256PublicKey& key) const {
    const X509_ALGOR* algorithm = nullptr;
    X509_CRL_get0_signature(crl_.get(), nullptr, &algorithm);
    if (!is_ecdsa_sha256(algorithm)) return false;
    const bool held = X509_CRL_verify(crl_.get(), key.get()) == 1;
    if (!held) ERR_clear_error();
    return held;
}

bool Crl::revokes(const Bytes& serial) const {
    return std::binary_search(revoked_.begin(), revoked_.end(), serial);
}

}  // namespace ee::crypto

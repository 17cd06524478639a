// A CRL of any bytes is refused, or read no more leniently than OpenSSL reads it.
#include "base/check.h"
#include "crypto/crl.h"
#include "crypto/openssl.h"

using namespace ee;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto crl = crypto::Crl::from_der({data, size});
    if (!crl) {
        EE_CHECK(crl.error().code == "crl_malformed");
        return 0;
    }
    const unsigned char* at = data;
    const crypto::X509CrlPtr theirs(d2i_X509_CRL(nullptr, &at, static_cast<long>(size)));
    EE_CHECK(theirs != nullptr && at == data + size);
    const auto* entries = X509_CRL_get_REVOKED(theirs.get());
    EE_CHECK(crl->size() == static_cast<std::size_t>(entries == nullptr ? 0 : sk_X509_REVOKED_num(entries)));
    EE_CHECK(!crl->revokes(Bytes(30, 1)));
    return 0;
}

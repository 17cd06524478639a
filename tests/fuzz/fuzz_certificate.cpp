// A certificate of any bytes is refused, or read no more leniently than OpenSSL reads it; so is the PCK
// extension in it.
#include "attestation/pck_extension.h"
#include "base/check.h"
#include "crypto/certificate.h"
#include "crypto/openssl.h"

using namespace ee;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto certificate = crypto::Certificate::from_der({data, size});
    if (!certificate) {
        EE_CHECK(certificate.error().code == "certificate_malformed");
        return 0;
    }
    const unsigned char* at = data;
    const crypto::X509Ptr theirs(d2i_X509(nullptr, &at, static_cast<long>(size)));
    EE_CHECK(theirs != nullptr && at == data + size);
    EE_CHECK(X509_get_version(theirs.get()) == X509_VERSION_3);
    static_cast<void>(certificate->subject_text());
    static_cast<void>(attestation::pck_extension_of(*certificate));
    crypto::take_openssl_errors();
    return 0;
}

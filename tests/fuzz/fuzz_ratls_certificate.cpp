// An RA-TLS certificate of any bytes is read, and never crashes. What is read says the same when it is
// written.
#include "attestation/ratls_certificate.h"
#include "base/check.h"
#include "crypto/certificate.h"

using namespace ee;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteSpan bytes(data, size);
    const auto certificate = crypto::Certificate::from_der(bytes);
    if (!certificate) {
        EE_CHECK(!attestation::read_ratls_certificate(bytes, WallTime{}));
        return 0;
    }
    // A time that suits it, so that what lies behind the check of validity is reached.
    const auto read = attestation::read_ratls_certificate(bytes, certificate->not_before());
    if (!read) return 0;
    EE_CHECK(read->spki_sha256 == certificate->spki_sha256());
    EE_CHECK(!read->quote.empty() && read->quote.size() <= attestation::quote_size_max);
    if (read->identity) {
        const auto value = certificate->extension(attestation::ratls_extension_oid);
        EE_CHECK(value == attestation::encode_ratls_extension(*read->identity, read->quote));
    }
    return 0;
}

// A PEM chain of any bytes is read, judged as a PCK chain and its extension parsed, and never crashes.
#include "attestation/certificate_chain.h"
#include "attestation/pck_extension.h"
#include "base/check.h"
#include "crypto/crl.h"

using namespace ee;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteSpan bytes(data, size);
    auto chain = crypto::parse_pem_chain(as_text(bytes));
    if (chain) {
        for (const crypto::Certificate& certificate : *chain) {
            // What was read is what was there: reading it again finds the same.
            const auto again = crypto::Certificate::from_der(certificate.der());
            EE_CHECK(again && again->spki_sha256() == certificate.spki_sha256());
            static_cast<void>(attestation::pck_extension_of(certificate));
        }
        static_cast<void>(attestation::verify_pck_chain(std::move(*chain), attestation::TrustAnchors()));
    }
    // The same bytes as DER of each kind.
    static_cast<void>(crypto::Certificate::from_der(bytes));
    static_cast<void>(crypto::Crl::from_der(bytes));
    static_cast<void>(attestation::parse_pck_extension(bytes));
    return 0;
}

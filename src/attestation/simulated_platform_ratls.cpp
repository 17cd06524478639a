#include "attestation/simulated_platform_ratls.h"

#include "attestation/ratls_issuing.h"
#include "crypto/der.h"
#include "crypto/digest.h"

namespace ee::attestation {

Bytes make_simulated_certificate(const SimulatedPlatform& platform, const crypto::SigningKey& key,
                                 const SimulatedCertificateRequest& request) {
    const Bytes spki = key.spki();
    const crypto::Sha256 spki_sha256 = crypto::sha256(spki);
    // Whole seconds are what the certificate can say.
    const WallTime not_before = std::chrono::floor<std::chrono::seconds>(request.not_before);
    const WallTime not_after = not_before + request.life;

    SimulatedQuoteRequest quote_request = request.quote;
    quote_request.report_data = request.report_data ? *request.report_data
                                : request.deployed_layout
                                    ? report_data_deployed_ratls(spki_sha256)
                                    : report_data_ratls(request.identity, spki_sha256, not_before, not_after);
    Bytes value = make_simulated_quote(platform, quote_request);
    if (!request.deployed_layout)
        value = encode_ratls_extension(request.identity, value);
    else if (request.wrapped)
        value = crypto::der_element(crypto::der_tag::octet_string, value);

    crypto::CertificateContent content =
        ratls_certificate_content(request.deployed_layout ? "easyenclave-agent" : "easyenclave ratls",
                                  spki_sha256, not_before, not_after);
    content.extensions = request.more_extensions;
    content.extensions.push_back(
        {.oid = std::string(request.deployed_layout ? deployed_ratls_extension_oid : ratls_extension_oid),
         .critical = false,
         .der = request.extension_value.value_or(std::move(value))});
    const crypto::SigningKey stranger = crypto::SigningKey::generate(key.kind());
    return crypto::issue_certificate(content, spki,
                                     {request.signed_by_stranger ? stranger : key, content.subject});
}

}  // namespace ee::attestation

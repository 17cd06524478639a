#pragma once
// What a collateral service answers for one platform: for tests.

#include <string>
#include <string_view>

#include "attestation/directory_source.h"
#include "base/hex.h"
#include "http/client.h"

namespace ee::attestation {

// `target`: path and query as asked. 404 for what no service has.
inline http::ClientAnswer pcs_answer(const Collateral& of, std::string_view target) {
    http::ClientAnswer answer{.status = 200, .fields = {}, .body = {}};
    const auto chain = [&](const char* name, const std::string& pem) {
        answer.fields.push_back({name, percent_encoded_segment(pem)});
    };
    const auto signed_body = [](const char* key, const std::string& text, ByteSpan signature) {
        return std::string("{\"") + key + "\":" + text + ",\"signature\":\"" + to_hex(signature) + "\"}";
    };
    if (target.starts_with("/tdx/certification/v4/tcb?fmspc=")) {
        chain("TCB-Info-Issuer-Chain", of.tcb_info_issuer_chain);
        answer.body = signed_body("tcbInfo", of.tcb_info, of.tcb_info_signature);
    } else if (target.starts_with("/tdx/certification/v4/qe/identity?")) {
        chain("SGX-Enclave-Identity-Issuer-Chain", of.qe_identity_issuer_chain);
        answer.body = signed_body("enclaveIdentity", of.qe_identity, of.qe_identity_signature);
    } else if (target == "/sgx/certification/v4/pckcrl?ca=platform&encoding=der") {
        chain("SGX-PCK-CRL-Issuer-Chain", of.pck_crl_issuer_chain);
        answer.body.assign(of.pck_crl.begin(), of.pck_crl.end());
    } else if (target == "/sgx/certification/v4/rootcacrl") {
        answer.body = to_hex(of.root_ca_crl);
    } else {
        answer.status = 404;
    }
    return answer;
}

}  // namespace ee::attestation

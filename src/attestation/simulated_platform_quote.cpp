#include <algorithm>
#include <span>

#include "attestation/quote.h"
#include "attestation/simulated_platform.h"
#include "attestation/simulated_platform_certificates.h"
#include "attestation/simulated_platform_tcb.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace simulated {

ByteArray<32> qe_mr_signer() {
    return crypto::sha256(as_bytes("easyenclave/simulated/qe_mrsigner"));
}

}  // namespace simulated

namespace {

using crypto::KeyKind;
using crypto::SigningKey;
using enum SimulatedFault;

void append(Bytes& out, ByteSpan bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

// A bad signature is a good one by a key nobody has heard of.
ByteArray<64> sign(const SigningKey& key, ByteSpan message, bool by_stranger) {
    return by_stranger ? SigningKey::generate(KeyKind::p256).sign(message) : key.sign(message);
}

ByteArray<58> pck_facts_for(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request) {
    ByteArray<58> facts = platform.pck_facts;
    if (request.tcb_status != TcbStatus::up_to_date) {
        write_field(facts, "pck_cpusvn",
                    simulated::cpu_svn(simulated::recipe(request.tcb_status).platform_svn));
    }
    apply_overrides(facts, QuotePart::pck, request.fields);
    return facts;
}

// Header, descriptor of version 5, body: what the attestation key signs.
Bytes signed_message(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request) {
    const bool is_v4 = request.format == QuoteFormat::v4;
    const TdBodyType type =
        request.format == QuoteFormat::v5_td_1_5 ? TdBodyType::td_1_5 : TdBodyType::td_1_0;

    ByteArray<48> header{};
    write_number(header, "version", is_v4 ? 4 : 5);
    write_number(header, "attestation_key_type", attestation_key_type_p256);
    write_number(header, "tee_type", tee_type_tdx);
    write_field(header, "qe_vendor_id", qe_vendor_intel);
    apply_overrides(header, QuotePart::header, request.fields);

    ByteArray<6> descriptor{};
    write_number(descriptor, "body_type", static_cast<std::uint16_t>(type));
    write_number(descriptor, "body_size", td_body_size(type));
    apply_overrides(descriptor, QuotePart::descriptor, request.fields);

    Bytes body = to_bytes(ByteSpan(platform.td_report).first(td_body_size(type)));
    write_field(body, "report_data", request.report_data);
    if (request.debug) body[find_quote_field("td_attributes")->offset] |= 1;
    if (request.tcb_status != TcbStatus::up_to_date) {
        const simulated::Recipe& recipe = simulated::recipe(request.tcb_status);
        write_field(body, "tee_tcb_svn", simulated::tee_tcb_svn(recipe.module_svn));
        write_field(body, "tee_tcb_svn2", simulated::tee_tcb_svn(recipe.module_svn_now));
    }
    apply_overrides(body, QuotePart::body, request.fields);

    Bytes message;
    append(message, header);
    if (!is_v4) append(message, descriptor);
    append(message, body);
    return message;
}

ByteArray<384> qe_report_for(const SimulatedQuoteRequest& request, ByteSpan pck_facts,
                             ByteSpan attestation_key) {
    ByteArray<384> report{};
    write_field(report, "qe_cpusvn", pck_facts.subspan(16, 16));
    write_field(report, "qe_attributes", ByteArray<16>{0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7});
    write_field(report, "qe_mrenclave", crypto::sha256(as_bytes("easyenclave/simulated/qe_mrenclave")));
    write_field(report, "qe_mrsigner", simulated::qe_mr_signer());
    write_number(report, "qe_isvprodid", simulated::qe_isv_prod_id);
    write_number(report, "qe_isvsvn", simulated::qe_isv_svn);
    ByteArray<64> report_data{};
    const crypto::Sha256 binding = crypto::sha256({attestation_key, request.qe_auth_data});
    std::copy(binding.begin(), binding.end(), report_data.begin());
    if (request.faults.contains(attestation_key_binding)) {
        const auto other = SigningKey::generate(KeyKind::p256).public_point();
        const crypto::Sha256 wrong = crypto::sha256({other, request.qe_auth_data});
        std::copy(wrong.begin(), wrong.end(), report_data.begin());
    }
    if (request.faults.contains(qe_report_data_tail)) report_data[63] = 1;
    write_field(report, "qe_report_data", report_data);
    apply_overrides(report, QuotePart::qe_report, request.fields);
    return report;
}

ByteArray<64> attestation_key_for(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request) {
    ByteArray<192> signatures{};
    ByteArray<64> key = platform.attestation_key.public_point();
    if (request.faults.contains(attestation_key_off_curve)) key[63] ^= 1;
    write_field(signatures, "attestation_key", key);
    apply_overrides(signatures, QuotePart::signatures, request.fields);
    std::copy_n(signatures.begin() + 64, 64, key.begin());
    return key;
}

ByteArray<64> qe_report_signature_for(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request,
                                      const ByteArray<384>& report) {
    const bool by_stranger = request.faults.contains(SimulatedFault::qe_report_signature);
    if (report == platform.qe_report && !by_stranger) return platform.qe_report_signature;
    return sign(platform.pck_key, report, by_stranger);
}

}  // namespace

void simulated::certify_attestation_key(SimulatedPlatform& platform) {
    platform.qe_report = qe_report_for({}, platform.pck_facts, platform.attestation_key.public_point());
    platform.qe_report_signature = platform.pck_key.sign(platform.qe_report);
}

Bytes make_simulated_quote(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request) {
    const ByteArray<58> pck_facts = pck_facts_for(platform, request);
    const Bytes message = signed_message(platform, request);
    // The key is settled first: a replaced one is bound by the QE report like any other.
    const ByteArray<64> attestation_key = attestation_key_for(platform, request);
    const ByteArray<384> qe_report = qe_report_for(request, pck_facts, attestation_key);
    const std::string chain = simulated::pck_chain(platform, pck_facts, request.faults);

    ByteArray<192> signatures{};
    write_field(signatures, "signature",
                sign(platform.attestation_key, message, request.faults.contains(quote_signature)));
    write_field(signatures, "attestation_key", attestation_key);
    write_field(signatures, "qe_report_signature", qe_report_signature_for(platform, request, qe_report));
    apply_overrides(signatures, QuotePart::signatures, request.fields);

    const std::size_t certification_size = 384 + 64 + 2 + request.qe_auth_data.size() + 2 + 4 + chain.size();
    ByteArray<18> lengths{};
    write_number(lengths, "signature_data_length", 64 + 64 + 2 + 4 + certification_size);
    write_number(lengths, "certification_type", certification_type_qe_report);
    write_number(lengths, "certification_length", certification_size);
    write_number(lengths, "qe_auth_length", request.qe_auth_data.size());
    write_number(lengths, "pck_type", certification_type_pck_chain);
    write_number(lengths, "pck_length", chain.size());
    apply_overrides(lengths, QuotePart::lengths, request.fields);

    const ByteSpan words(lengths);
    const ByteSpan signed_parts(signatures);
    Bytes quote = message;
    append(quote, words.first(4));
    append(quote, signed_parts.first(128));
    append(quote, words.subspan(4, 6));
    append(quote, qe_report);
    append(quote, signed_parts.last(64));
    append(quote, words.subspan(10, 2));
    append(quote, request.qe_auth_data);
    append(quote, words.subspan(12, 6));
    append(quote, as_bytes(chain));
    append(quote, request.trailing);
    return quote;
}

}  // namespace ee::attestation

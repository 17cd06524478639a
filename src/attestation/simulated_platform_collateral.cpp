#include <string>
#include <string_view>

#include "attestation/simulated_platform.h"
#include "attestation/simulated_platform_certificates.h"
#include "attestation/simulated_platform_tcb.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using crypto::SigningKey;
using enum SimulatedFault;

struct Life {
    WallTime from;
    WallTime to;
};

Life life_of(WallTime at, bool expired, bool not_yet_valid) {
    if (expired) return {at - 2 * simulated_collateral_life, at - simulated_collateral_life};
    if (not_yet_valid) return {at + 24h, at + 24h + simulated_collateral_life};
    return {at, at + simulated_collateral_life};
}

std::string upper_hex(ByteSpan bytes) {
    std::string text = to_hex(bytes);
    for (char& c : text) {
        if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
}

void write_components(JsonWriter& json, std::string_view name, ByteSpan svns) {
    json.key(name).begin_array();
    for (const std::uint8_t svn : svns) json.begin_object().field("svn", svn).end_object();
    json.end_array();
}

void write_status(JsonWriter& json, const simulated::Level& level) {
    json.field("tcbDate", level.date).field("tcbStatus", to_string(level.status));
    if (level.advisory != nullptr) json.key("advisoryIDs").begin_array().value(level.advisory).end_array();
}

void write_isvsvn_levels(JsonWriter& json, std::span<const simulated::Level> levels) {
    json.key("tcbLevels").begin_array();
    for (const simulated::Level& level : levels) {
        json.begin_object().key("tcb").begin_object().field("isvsvn", level.svn).end_object();
        write_status(json, level);
        json.end_object();
    }
    json.end_array();
}

void write_platform_level(JsonWriter& json, const simulated::Level& level, std::size_t component_count = 16) {
    const ByteArray<16> sgx = simulated::cpu_svn(level.svn);
    json.begin_object().key("tcb").begin_object();
    write_components(json, "sgxtcbcomponents", ByteSpan(sgx).first(component_count));
    json.field("pcesvn", simulated::pce_svn);
    write_components(json, "tdxtcbcomponents", simulated::tdx_components);
    json.end_object();
    write_status(json, level);
    json.end_object();
}

void write_module_signer(JsonWriter& json) {
    // Intel signs its modules with an all-zero MRSIGNERSEAM.
    json.field("mrsigner", std::string(96, '0'))
        .field("attributes", std::string(16, '0'))
        .field("attributesMask", std::string(16, 'F'));
}

// Intel PCS API version 4, "TDX TCB info", version 3.
std::string tcb_info(const SimulatedPlatform& platform, WallTime at, const SimulatedFaults& faults) {
    const Life life = life_of(at, faults.contains(tcb_info_expired), faults.contains(tcb_info_not_yet_valid));
    const ByteSpan facts(platform.pck_facts);
    Bytes fmspc = to_bytes(facts.subspan(36, 6));
    if (faults.contains(tcb_info_fmspc)) fmspc[5] ^= 1;
    Bytes pce_id = to_bytes(facts.subspan(34, 2));
    if (faults.contains(tcb_info_pce_id)) pce_id[0] ^= 1;

    std::string text;
    JsonWriter json(text);
    json.begin_object()
        .field("id", faults.contains(tcb_info_id) ? "SGX" : "TDX")
        .field("version", faults.contains(tcb_info_version) ? 2 : 3)
        .field("issueDate", to_rfc3339(life.from))
        .field("nextUpdate", to_rfc3339(life.to))
        .field("fmspc", upper_hex(fmspc))
        .field("pceId", upper_hex(pce_id))
        .field("tcbType", faults.contains(tcb_info_tcb_type) ? 1 : 0)
        .field("tcbEvaluationDataNumber", simulated::evaluation_number);
    json.key("tdxModule").begin_object();
    write_module_signer(json);
    json.end_object();
    json.key("tdxModuleIdentities").begin_array().begin_object().field("id", "TDX_01");
    write_module_signer(json);
    write_isvsvn_levels(json, simulated::module_levels);
    json.end_object().end_array();

    json.key("tcbLevels").begin_array();
    if (faults.contains(tcb_info_duplicate_level)) write_platform_level(json, simulated::platform_levels[0]);
    if (faults.contains(tcb_info_component_missing))
        write_platform_level(json, simulated::platform_levels[0], 15);
    for (const simulated::Level& level : simulated::platform_levels) write_platform_level(json, level);
    json.end_array();
    if (faults.contains(tcb_info_key_twice)) json.field("version", 3);
    json.end_object();
    // The last component of the last level, which is 0 elsewhere.
    if (faults.contains(tcb_info_component_large)) text.replace(text.rfind("\"svn\":0") + 6, 1, "256");
    return text;
}

// Intel PCS API version 4, "TD QE identity", version 2.
std::string qe_identity(WallTime at, const SimulatedFaults& faults) {
    const Life life =
        life_of(at, faults.contains(qe_identity_expired), faults.contains(qe_identity_not_yet_valid));
    std::string text;
    JsonWriter json(text);
    json.begin_object()
        .field("id", faults.contains(qe_identity_id) ? "QE" : "TD_QE")
        .field("version", faults.contains(qe_identity_version) ? 1 : 2)
        .field("issueDate", to_rfc3339(life.from))
        .field("nextUpdate", to_rfc3339(life.to))
        .field("tcbEvaluationDataNumber", simulated::evaluation_number)
        .field("miscselect", "00000000")
        .field("miscselectMask", "FFFFFFFF")
        .field("attributes", "11000000000000000000000000000000")
        .field("attributesMask", "FBFFFFFFFFFFFFFF0000000000000000")
        .field("mrsigner", upper_hex(simulated::qe_mr_signer()))
        .field("isvprodid", simulated::qe_isv_prod_id);
    if (faults.contains(qe_identity_duplicate_level))
        write_isvsvn_levels(json, simulated::qe_levels_twice);
    else
        write_isvsvn_levels(json, simulated::qe_levels);
    if (faults.contains(qe_identity_key_twice)) json.field("isvprodid", simulated::qe_isv_prod_id);
    json.end_object();
    return text;
}

std::string signature_hex(const SigningKey& key, std::string_view text, bool by_stranger) {
    if (by_stranger) return to_hex(SigningKey::generate(crypto::KeyKind::p256).sign(as_bytes(text)));
    return to_hex(key.sign(as_bytes(text)));
}

Bytes root_crl(const SimulatedPlatform& platform, WallTime at, const SimulatedFaults& faults) {
    const Life life = life_of(at, faults.contains(root_crl_expired), faults.contains(root_crl_not_yet_valid));
    crypto::CrlContent content{.this_update = life.from, .next_update = life.to, .number = 1, .revoked = {}};
    content.revoked.push_back({simulated::revoked_platform_ca_serial(), platform.made_at});
    if (faults.contains(tcb_signer_revoked)) {
        content.revoked.push_back({simulated::tcb_signing_serial(), platform.made_at});
    }
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const SigningKey& signer = faults.contains(root_crl_signature) ? stranger : platform.root_key;
    const std::string_view issuer =
        faults.contains(root_crl_issuer) ? simulated::processor_ca_common_name : simulated::root_common_name;
    return crypto::issue_crl(content, {signer, simulated::intel_name(issuer)});
}

Bytes pck_crl(const SimulatedPlatform& platform, WallTime at, const SimulatedFaults& faults) {
    const Life life = life_of(at, faults.contains(pck_crl_expired), faults.contains(pck_crl_not_yet_valid));
    crypto::CrlContent content{.this_update = life.from, .next_update = life.to, .number = 1, .revoked = {}};
    content.revoked.push_back({simulated::revoked_pck_serial(), platform.made_at});
    const SigningKey stranger = SigningKey::generate(crypto::KeyKind::p256);
    const SigningKey& signer = faults.contains(pck_crl_signature) ? stranger : platform.platform_ca_key;
    const std::string_view issuer = faults.contains(pck_crl_issuer) ? simulated::processor_ca_common_name
                                                                    : simulated::platform_ca_common_name;
    return crypto::issue_crl(content, {signer, simulated::intel_name(issuer)});
}

}  // namespace

std::string make_simulated_collateral(const SimulatedPlatform& platform, WallTime at,
                                      const SimulatedFaults& faults) {
    const std::string root = crypto::certificate_to_pem(platform.root_certificate);
    const std::string signer_chain = simulated::tcb_signer_chain(platform, faults);
    const std::string tcb = tcb_info(platform, at, faults);
    const std::string qe = qe_identity(at, faults);

    std::string text;
    JsonWriter json(text);
    json.begin_object();
    json.field("pck_crl_issuer_chain", crypto::certificate_to_pem(platform.platform_ca_certificate) + root);
    json.key("root_ca_crl");
    faults.contains(root_crl_missing) ? json.null() : json.value(to_hex(root_crl(platform, at, faults)));
    json.key("pck_crl");
    faults.contains(pck_crl_missing) ? json.null() : json.value(to_hex(pck_crl(platform, at, faults)));
    // One more space means the same and is not what was signed.
    const auto write_document = [&](std::string_view name, const std::string& document, bool missing,
                                    bool spelled_otherwise) {
        json.key(name);
        missing ? json.null() : json.value(document + (spelled_otherwise ? " " : ""));
    };
    json.field("tcb_info_issuer_chain", signer_chain);
    write_document("tcb_info", tcb, faults.contains(tcb_info_missing), faults.contains(tcb_info_spelling));
    json.field("tcb_info_signature",
               signature_hex(platform.tcb_signing_key, tcb, faults.contains(tcb_info_signature)));
    json.field("qe_identity_issuer_chain", signer_chain);
    write_document("qe_identity", qe, faults.contains(qe_identity_missing),
                   faults.contains(qe_identity_spelling));
    json.field("qe_identity_signature",
               signature_hex(platform.tcb_signing_key, qe, faults.contains(qe_identity_signature)));
    json.end_object();
    return text + "\n";
}

}  // namespace ee::attestation

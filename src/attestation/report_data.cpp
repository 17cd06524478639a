#include "attestation/report_data.h"

#include <array>

#include "base/big_endian.h"
#include "base/check.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace {

constexpr std::string_view attest_label = "easyenclave/attest/2";
constexpr std::string_view ratls_label = "easyenclave/ratls/2";
constexpr std::string_view connect_label = "easyenclave/connect/2";
constexpr std::string_view control_label = "easyenclave/control/2";
constexpr std::string_view session_label = "easyenclave/session/2";

// The claims of the legacy layout, by the name its text gives them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> legacy_claims = {{
    {"agent_dir", "agent_dir_sha256"},
    {"agent_py", "agent_py_sha256"},
    {"vm_image_id", "vm_image_id"},
    {"sealed", "sealed"},
}};

void append(Bytes& out, ByteSpan bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

// L(x): the length keeps one field's end from becoming the next one's beginning.
void append_counted(Bytes& out, ByteSpan bytes) {
    EE_CHECK(bytes.size() <= 0xffff);
    append(out, big_endian<2>(bytes.size()));
    append(out, bytes);
}

void append_counted(Bytes& out, std::string_view text) {
    append_counted(out, as_bytes(text));
}

void append_counted(Bytes& out, WallTime time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
    append_counted(out, ByteSpan(big_endian<8>(static_cast<std::uint64_t>(seconds))));
}

// A SHA-256 in the first half, zeros in the other.
ReportData padded(const crypto::Sha256& digest) {
    ReportData out{};
    std::copy(digest.begin(), digest.end(), out.begin());
    return out;
}

}  // namespace

ReportData report_data_layout2(const ReportDataInput& input) {
    Bytes message;
    message.reserve(512);
    append(message, as_bytes(attest_label));
    message.push_back(0);
    append_counted(message, input.role);
    append(message, input.nonce);
    if (input.agent_key.empty())
        append_counted(message, ByteSpan{});
    else
        append_counted(message, ByteSpan(crypto::sha256(input.agent_key)));
    append_counted(message, input.channel);
    append_counted(message, input.wire);
    append_counted(message, input.identity.agent_id);
    append_counted(message, input.identity.node_id);
    append_counted(message, input.identity.app_name);
    append_counted(message, input.identity.repo);
    append_counted(message, input.identity.release_tag);
    append_counted(message, input.identity.network);
    append_counted(message, ByteSpan(crypto::sha256(as_bytes(canonical_json(input.measurements)))));
    return crypto::sha512({message});
}

ReportData report_data_ratls(const RatlsIdentity& identity, const ByteArray<32>& spki_sha256,
                             WallTime not_before, WallTime not_after) {
    Bytes message = to_bytes(as_bytes(ratls_label));
    message.push_back(0);
    append_counted(message, identity.role);
    append_counted(message, ByteSpan(spki_sha256));
    append_counted(message, not_before);
    append_counted(message, not_after);
    append_counted(message, identity.app_name);
    append_counted(message, identity.repo);
    append_counted(message, identity.release_tag);
    append_counted(message, identity.network);
    return crypto::sha512({message});
}

ReportData report_data_connect(const ByteArray<32>& nonce, ByteSpan exporter,
                               const ByteArray<32>& spki_sha256) {
    Bytes message = to_bytes(as_bytes(connect_label));
    message.push_back(0);
    append(message, nonce);
    append_counted(message, exporter);
    append_counted(message, ByteSpan(spki_sha256));
    return crypto::sha512({message});
}

ReportData report_data_control(const ByteArray<32>& nonce, const ControlIdentity& identity) {
    Bytes message = to_bytes(as_bytes(control_label));
    message.push_back(0);
    append(message, nonce);
    append_counted(message, identity.tls_spki_sha256);
    append_counted(message, identity.ledger_public_key);
    append_counted(message, identity.log_id);
    append_counted(message, identity.repo);
    append_counted(message, identity.release_tag);
    return crypto::sha512({message});
}

ByteArray<32> log_key_nonce(std::string_view log_id, std::uint64_t last_size,
                            const ByteArray<32>& last_root) {
    return crypto::sha256({as_bytes(log_id), big_endian<8>(last_size), last_root});
}

ReportData report_data_deployed_ratls(const ByteArray<32>& spki_sha256) {
    return padded(spki_sha256);
}

Bytes session_message(const ReportData& report_data) {
    Bytes message = to_bytes(as_bytes(session_label));
    message.push_back(0);
    append(message, report_data);
    return message;
}

Claims legacy_bound_claims(const Claims& measurements) {
    Claims bound;
    for (const auto& [label, name] : legacy_claims) {
        const auto claim = measurements.find(name);
        if (claim != measurements.end()) bound.insert(*claim);
    }
    return bound;
}

std::optional<ReportData> report_data_legacy(const Claims& measurements) {
    std::string text;
    for (const auto& [label, name] : legacy_claims) {
        // One that is missing is of no type.
        const auto found = measurements.find(name);
        const Claim* claim = found == measurements.end() ? nullptr : &found->second;
        if (!text.empty()) text += '\n';
        text.append(label).append("=");
        if (name == "sealed") {
            const bool* sealed = std::get_if<bool>(claim);
            if (sealed == nullptr) return std::nullopt;
            text += *sealed ? "true" : "false";
        } else {
            const std::string* value = std::get_if<std::string>(claim);
            if (value == nullptr || value->find('\n') != std::string::npos) return std::nullopt;
            text += *value;
        }
    }
    return padded(crypto::sha256(as_bytes(text)));
}

}  // namespace ee::attestation

#pragma once
// What the 64 bytes of report data in a quote must be: computed here by the agent and by its judge alike.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/claims.h"
#include "base/time.h"

namespace ee::attestation {

using ReportData = ByteArray<64>;

// Who says it is answering, as registered. `node_id` may be empty.
struct AgentIdentity {
    std::string agent_id;
    std::string node_id;
    std::string app_name;
    std::string repo;  // owner/name
    std::string release_tag;
    std::string network;

    friend bool operator==(const AgentIdentity&, const AgentIdentity&) = default;
};

inline constexpr std::string_view agent_role = "agent";

struct ReportDataInput {
    std::string_view role = agent_role;
    const ByteArray<32>& nonce;
    ByteSpan agent_key;     // DER SubjectPublicKeyInfo; empty without a key
    ByteSpan channel;       // TLS 1.3 exporter (RFC 9266), 32 bytes; empty when TLS does not end at the peer
    std::string_view wire;  // "1" or "2"
    const AgentIdentity& identity;
    const Claims& measurements;
};

// Layout 2: SHA-512("easyenclave/attest/2" || 0x00 || L(role) || nonce || L(SHA-256(agent key) or empty) ||
// L(channel) || L(wire) || L(agent_id) || L(node_id) || L(app_name) || L(repo) || L(release_tag) ||
// L(network) || L(SHA-256(measurements as RFC 8785 JSON))), where L(x) is a 16-bit big-endian length and x.
// No text may be longer than 65535 bytes.
ReportData report_data_layout2(const ReportDataInput& input);

// What an RA-TLS certificate of ours names besides its key and its validity.
struct RatlsIdentity {
    std::string role;  // "agent" or "control"
    std::string app_name;
    std::string repo;
    std::string release_tag;
    std::string network;

    friend bool operator==(const RatlsIdentity&, const RatlsIdentity&) = default;
};

// For the quote in an RA-TLS certificate: SHA-512("easyenclave/ratls/2" || 0x00 || L(role) ||
// L(SHA-256(SPKI))
// || L(notBefore) || L(notAfter) || L(app) || L(repo) || L(release_tag) || L(network)), times as 8-byte
// big-endian Unix seconds. No text may be longer than 65535 bytes.
ReportData report_data_ratls(const RatlsIdentity& identity, const ByteArray<32>& spki_sha256,
                             WallTime not_before, WallTime not_after);

// The protocol name (ALPN, RFC 7301) by which a client of an agent's own TLS asks for a fresh quote. It sends
// a nonce, and before anything else reads a 32-bit big-endian length and a quote over report_data_connect().
inline constexpr std::string_view connect_alpn = "easyenclave-connect/1";
inline constexpr std::size_t connect_nonce_size = 32;

// For that quote: SHA-512("easyenclave/connect/2" || 0x00 || nonce || L(exporter) || L(SHA-256(SPKI))), with
// the TLS exporter of RFC 9266 of this very connection and the key of the certificate that it shows.
ReportData report_data_connect(const ByteArray<32>& nonce, ByteSpan exporter,
                               const ByteArray<32>& spki_sha256);

// Who a control plane is, to those it answers and in its log.
struct ControlIdentity {
    ByteSpan tls_spki_sha256;    // of the certificate served; empty without TLS and in the log
    ByteSpan ledger_public_key;  // Ed25519, its 32 raw bytes; empty without a ledger
    std::string_view log_id;     // 32 hex characters
    std::string_view repo;       // owner/name
    std::string_view release_tag;
};

// For the control plane's own quote: SHA-512("easyenclave/control/2" || 0x00 || nonce || L(SHA-256(TLS SPKI))
// || L(ledger public key) || L(log id) || L(repo) || L(release_tag)). No text may be longer than 65535 bytes.
ReportData report_data_control(const ByteArray<32>& nonce, const ControlIdentity& identity);

// The nonce of the quote that binds a key in the log: SHA-256(log id || u64 last size || last root), the size
// big-endian, size and root those of the log before the key was noted in it.
ByteArray<32> log_key_nonce(std::string_view log_id, std::uint64_t last_size, const ByteArray<32>& last_root);

// For the quote in deployed agents' certificates: SHA-256(SPKI) || 32 zeros.
ReportData report_data_deployed_ratls(const ByteArray<32>& spki_sha256);

// What the agent's key signs: "easyenclave/session/2" || 0x00 || report data.
Bytes session_message(const ReportData& report_data);

// The four claims deployed agents bind, and no others.
Claims legacy_bound_claims(const Claims& measurements);

// Deployed agents' layout: SHA-256("agent_dir=...\nagent_py=...\nvm_image_id=...\nsealed=...") || 32 zeros
// over those claims; nullopt when one is absent, of another type, or has a line break in it (two different
// sets of claims could then hash alike).
std::optional<ReportData> report_data_legacy(const Claims& measurements);

}  // namespace ee::attestation

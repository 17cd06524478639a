#pragma once
// One agent of an app, as routing, operators and evidence see it. Plain values; only the registry changes
// them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "registry/node.h"

namespace ee::registry {

// Names one tunnel of this process; never used twice.
using TunnelId = std::uint64_t;
constexpr TunnelId no_tunnel = 0;

// What an accepted verdict says about an agent.
struct AttestedVerdict {
    std::string binding{};  // "none", "nonce", "key", "ratls", "channel"
    bool sealed = false;
    bool simulated = false;  // the quote's root is not Intel's
    std::string tcb_status{};
    std::vector<std::string> advisory_ids{};
    // Proven by the agent's signature; empty below binding level "key".
    Bytes agent_key{};
    Bytes report_data{};
    // Which platform and TD the quote was of (attestation::Verdict::subject).
    Bytes subject{};
    Bytes nonce{};
    std::string allowlist_sha256{};
    // The allowlist was fetched, or known to be absent, within EE_ALLOWLIST_TTL_SEC.
    bool renews_registration = true;
    // When the evidence arrived; when it was judged.
    Moment answered_at{};
    Moment judged_at{};
};

// Counted by the tunnel and the proxy, on the registry's thread.
struct AgentTraffic {
    std::size_t open_streams = 0;
    std::size_t stream_limit = 1;
    std::uint64_t requests = 0;
    std::uint64_t bytes_in = 0;   // From the agent.
    std::uint64_t bytes_out = 0;  // To the agent.
    std::size_t held_bytes = 0;   // Of bodies that wait: see tunnel::Session.
    std::optional<std::chrono::microseconds> rtt{};
};

enum class Standing { valid, inconclusive, invalid };

struct Agent {
    std::string agent_id{};
    std::optional<std::string> node_id{};
    const Node* node = nullptr;  // The one of this id; nullptr: it has none.
    std::string release_tag{};
    std::string peer_address{};
    std::string tunnel_version{};
    std::uint64_t generation = 0;
    TunnelId tunnel = no_tunnel;  // no_tunnel: disconnected.
    WallTime connected_at{};
    std::optional<WallTime> disconnected_at{};
    std::string disconnect_reason{};

    Standing standing = Standing::valid;
    std::string standing_reason{};  // The code of an inconclusive or refused verdict.
    AttestedVerdict verdict{};      // The last good one.

    bool backend_passes = true;
    std::string health_detail{};
    Moment health_at{};
    bool draining = false;
    AgentTraffic traffic;
};

}  // namespace ee::registry

#pragma once
// One agent of an app, as routing, operators and evidence see it. Plain values; only the registry changes
// them.

#include <algorithm>
#include <cstdint>
#include <memory>
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

// What every answer of an agent tells its visitor of the verdict. Made once a verdict, kept by the requests
// that it was good for.
struct ShownVerdict {
    std::string agent{};        // Its public name: attestation::hashed_agent_id().
    std::string attested_at{};  // When the evidence arrived, RFC 3339.
    std::string
        tcb_status{};  // A token (RFC 9651); with the parameter `unbound` where the quote is not bound.
    std::string attestation{};  // The evidence's id.
};

// mrtd, rtmr0 to rtmr3.
inline constexpr std::size_t measured_bytes = 5 * 48;

// What an accepted verdict says about an agent.
struct AttestedVerdict {
    // When it was judged; when the evidence arrived.
    Moment judged_at{};
    Moment answered_at{};
    std::string binding{};   // "none", "nonce", "key", "ratls", "channel"
    bool sealed = false;     // false also where the quote is not bound to this agent's challenge
    bool simulated = false;  // the quote's root is not Intel's
    std::string tcb_status{};
    std::vector<std::string> advisory_ids{};
    // Proven by the agent's signature; empty below binding level "key".
    Bytes agent_key{};
    Bytes report_data{};
    // Which platform and TD the quote was of (attestation::Verdict::subject).
    Bytes subject{};
    Bytes nonce{};
    // As many as measured_bytes; empty where the quote is not bound to this agent's challenge: then it may be
    // anybody's.
    Bytes measured{};
    std::shared_ptr<const ShownVerdict> shown{};  // Null only in tests.
    std::string allowlist_sha256{};
    // The allowlist was fetched, or known to be absent, within EE_ALLOWLIST_TTL_SEC.
    bool renews_registration = true;
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

// Its release is not in the app's rollout, or there is none.
constexpr std::uint8_t no_rollout_place = 255;
// Which changes of something are events. An agent says of its backend what it likes as often as it likes, who
// pays for an app takes and releases locks: all of that would push out what others did. What is passed over
// is made up for when it may be told again.
template <class Value>
class News {
public:
    explicit News(Value known) : told_(known) {}
    // Whether this is to be told now.
    bool tells(Value value, MonoTime now) {
        if (value == told_) return false;
        if (left_ == burst_max) counted_until_ = now;
        const auto more = (now - counted_until_) / interval;
        left_ = static_cast<int>(std::min<std::int64_t>(burst_max, left_ + more));
        counted_until_ += more * interval;
        if (left_ == 0) return false;
        --left_;
        told_ = value;
        return true;
    }
    // Whatever comes next is news.
    void forget() { told_.reset(); }

private:
    std::optional<Value> told_;
    int left_ = burst_max;
    MonoTime counted_until_{};
    static constexpr int burst_max = 10;
    static constexpr std::chrono::seconds interval{10};  // One more each.
};

enum class Standing { valid, inconclusive, invalid };

// What its node comes to for an agent, as it was found last, and what that holds for: see Registry::sight_of.
struct NodeSight {
    std::uint64_t node_version = 0;  // 0: nothing was found yet.
    std::uint64_t app_version = 0;
    NodeSpan span{};
    NodeLack lack = NodeLack::nothing;
    Offer offer{};
};

// What each request looks at comes first, together: with many apps an agent is in no cache.
struct alignas(64) Agent {
    TunnelId tunnel = no_tunnel;  // no_tunnel: disconnected.
    const Node* node = nullptr;   // The one of `node_id`; nullptr: it has none.
    const std::uint64_t* node_version = nullptr;
    Standing standing = Standing::valid;
    bool backend_passes = true;
    bool draining = false;
    // Of its app's rollout: whether its release gets no request, and the place of that.
    bool left_out = false;
    std::uint8_t rollout_place = no_rollout_place;
    Moment health_at{};
    std::string release_tag{};
    mutable NodeSight sight{};  // The registry's.
    AttestedVerdict verdict{};  // The last good one.

    std::string agent_id{};
    std::optional<std::string> node_id{};
    std::string peer_address{};
    std::string tunnel_version{};
    std::uint64_t generation = 0;
    WallTime connected_at{};
    std::optional<WallTime> disconnected_at{};
    std::string disconnect_reason{};

    std::string standing_reason{};  // The code of an inconclusive or refused verdict.
    std::string health_detail{};
    News<bool> health_news{true};  // A successful attestation is the first pass.
    News<NodeLack> lack_news{NodeLack::nothing};
    News<bool> ejection_news{false};
    bool told_silent = false;  // By an event; so is the next.
    bool told_lapsed = false;
    AgentTraffic traffic;
};

}  // namespace ee::registry

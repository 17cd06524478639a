#pragma once
// The messages of the tunnel, both directions. A value of these types has passed every check of its fields.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/claims.h"
#include "base/result.h"
#include "base/secret.h"
#include "protocol/header_field.h"

namespace ee::protocol {

inline constexpr std::string_view default_network = "forge-1";
// What an agent says in `error` when its backend gave no answer that could be passed on.
inline constexpr std::string_view backend_unreachable = "backend_unreachable";
inline constexpr std::string_view backend_timeout = "backend_timeout";
inline constexpr std::string_view bad_backend_answer = "bad_backend_answer";

// ---- Agent to control plane ----

struct Register {
    std::string repo{};
    std::string release_tag{};
    std::string app_name{};
    std::string network{default_network};
    std::string agent_id{};
    std::optional<std::string> node_id{};
    std::optional<std::string> tunnel_version{};
    std::optional<std::string> checkpoint{};
    // v1: how many requests the agent takes before it has answered the first. Deployed agents: one.
    std::uint32_t max_requests = 1;
};

struct AttestResponse {
    ByteArray<32> nonce{};
    Bytes quote{};
    ByteArray<64> report_data{};
    Claims measurements{};
    // Layout 2 binds the answer to this challenge; without it the answer is a legacy one.
    bool layout2 = false;
    Bytes agent_key{};  // DER SubjectPublicKeyInfo; empty: none.
    Bytes signature{};  // Empty: none.
    std::optional<Secret> node_token{};
};

struct Health {
    bool pass = false;
    std::string detail{};
    std::optional<std::string> checkpoint{};
};

// The app's answer to one proxied request (v1).
struct ProxyAnswer {
    int status = 0;  // 200-599
    HeaderFields headers{};
    std::string body{};
};

// An answer that breaks a rule still names its request: `answer` is then `bad_agent_answer`, or, when the
// agent says what happened to its backend, `backend_unreachable` or `proxy_timeout`; only that request fails.
struct ProxyResponse {
    std::string request_id{};
    Result<ProxyAnswer> answer;
};

using AgentMessage = std::variant<Register, AttestResponse, Health, ProxyResponse>;

// ---- Control plane to agent ----

enum class ChallengeReason { registration, periodic, operator_request };
// "register", "periodic", "operator"
std::string_view to_word(ChallengeReason reason);

struct AttestRequest {
    ByteArray<32> nonce{};
    std::uint32_t deadline_s = 0;
    ChallengeReason reason = ChallengeReason::registration;
    bool layout2 = true;
    // The least binding the network accepts: "none", "nonce", "key", "ratls", "channel".
    std::string binding{};
};

enum class StatusState { ok, warning, invalid, draining };
std::string_view to_word(StatusState state);

struct Status {
    StatusState state = StatusState::ok;
    std::string reason{};
    std::string detail{};  // Empty: not sent.
    std::optional<std::uint32_t> retry_after_s{};
    std::optional<std::uint32_t> reconnect_after_ms{};
    std::optional<std::string> checkpoint{};
    std::optional<std::string> consistency_proof{};
};

// As the agent reads it (v1).
struct ProxyRequest {
    std::string request_id{};
    std::string method{};
    std::string path{};  // With the query.
    HeaderFields headers{};
    std::string body{};
};

using ControlMessage = std::variant<AttestRequest, Status, ProxyRequest>;

}  // namespace ee::protocol

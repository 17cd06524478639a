#pragma once
// Sizes that both ends of a tunnel hold to.

#include <cstddef>
#include <cstdint>

#include "base/base64.h"

namespace ee::protocol {

constexpr std::size_t kib = 1024;

// Text messages: until the tunnel is attested, and on v2.
constexpr std::size_t text_bytes_max_unattested = 64 * kib;
constexpr std::size_t text_bytes_max_v2 = 256 * kib;
// A v1 message from the control plane, as `easyenclave-agent` takes it.
constexpr std::size_t control_text_bytes_max = 4 * kib * kib;
// A v1 request that the control plane sends: deployed agents close the tunnel on a message of 4 MiB.
constexpr std::size_t request_text_bytes_max = 4 * kib * kib - 1;
// A v1 message from an attested agent: the base64 of the largest body, and room for the head.
constexpr std::size_t answer_text_bytes_max(std::size_t body_bytes_max) {
    return base64_size(body_bytes_max) + 64 * kib;
}

constexpr std::size_t json_depth_max = 32;
constexpr std::size_t quote_bytes_max = 16 * kib;
constexpr std::size_t claims_bytes_max = 64 * kib;
constexpr std::size_t agent_key_bytes_max = kib;
constexpr std::size_t signature_bytes_max = kib;
constexpr std::size_t node_token_bytes_max = 512;
constexpr std::size_t checkpoint_bytes_max = 8 * kib;
constexpr std::size_t tunnel_version_bytes_max = 64;
// Longer health details are cut.
constexpr std::size_t health_detail_bytes_max = kib;

constexpr std::uint32_t requests_outstanding_max = 256;

// Of a head: what a listener takes of a visitor, and is taken of an agent's answer.
constexpr std::size_t answer_fields_max = 200;
constexpr std::size_t answer_head_bytes_max = 64 * kib;
// Of a request on the tunnel: that, and what is added on the way.
constexpr std::size_t head_fields_max = 256;
constexpr std::size_t head_bytes_max = 80 * kib;
// A body that fits into a v1 request behind any such head, in which every character may be escaped.
constexpr std::size_t request_body_bytes_max = (request_text_bytes_max - 2 * head_bytes_max) / 4 * 3;

}  // namespace ee::protocol

#pragma once
// W3C Trace Context (level 1) and request ids. Randomness is an argument.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace ee::telemetry {

struct TraceContext {
    ByteArray<16> trace_id{};
    ByteArray<8> parent_id{};
    std::uint8_t flags = 0;  // Bit 0: sampled.

    friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

inline constexpr std::size_t traceparent_size = 55;

// A traceparent header value; nullopt for anything the recommendation says must be ignored. Of versions
// above 00 the first four fields are read.
std::optional<TraceContext> parse_traceparent(std::string_view text);

// "00-<trace id>-<parent id>-<flags>", 55 characters.
std::string to_traceparent(const TraceContext& context);
void append_traceparent(std::string& out, const TraceContext& context);

// A trace that starts here, not sampled.
TraceContext begin_trace(const ByteArray<24>& random);
// The same trace with this hop as the parent.
TraceContext continue_trace(const TraceContext& incoming, const ByteArray<8>& random);

// True for 1-128 of [A-Za-z0-9._:-]: an X-Request-Id that may be passed on and logged.
bool is_sane_request_id(std::string_view text);
// 32 hexadecimal characters.
std::string make_request_id(const ByteArray<16>& random);

}  // namespace ee::telemetry

#pragma once
// Errors as application/problem+json (RFC 9457).

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/message.h"

namespace ee::http {

inline constexpr std::string_view problem_content_type = "application/problem+json";

// The body: type, title, status, detail, and the stable code as `reason` and as `error`, which is the field
// that existing clients read.
std::string problem_body(int status, std::string_view reason, std::string_view detail);

// The value of Server-Timing: how long a request has been there.
std::string server_timing(MonoTime begun_at);

// The fields of a codec's refusal, in `into`; Retry-After where waiting helps. `timing` may be empty.
std::span<const Field> refusal_fields(int status, std::string_view request_id, std::string_view timing,
                                      std::array<Field, 4>& into);

}  // namespace ee::http

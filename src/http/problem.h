#pragma once
// Errors as application/problem+json (RFC 9457).

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ee::http {

inline constexpr std::string_view problem_content_type = "application/problem+json";

// The body: type, title, status, detail, and the stable code as `reason` and as `error`, which is the field
// that existing clients read.
std::string problem_body(int status, std::string_view reason, std::string_view detail);

// The fields of a codec's refusal, in `into`; Retry-After where waiting helps.
std::span<const Field> refusal_fields(int status, std::string_view request_id, std::array<Field, 3>& into);

}  // namespace ee::http

#pragma once
// Errors as application/problem+json (RFC 9457).

#include <string>
#include <string_view>

namespace ee::http {

inline constexpr std::string_view problem_content_type = "application/problem+json";

// The body: type, title, status, detail, and the stable code as `reason` and as `error`, which is the field
// that existing clients read.
std::string problem_body(int status, std::string_view reason, std::string_view detail);

}  // namespace ee::http

#include "http/problem.h"

#include "base/json_writer.h"
#include "http/http1_writer.h"

namespace ee::http {

std::string problem_body(int status, std::string_view reason, std::string_view detail) {
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    json.field("type", "about:blank").field("title", reason_phrase(status)).field("status", status);
    if (!detail.empty()) json.field("detail", detail);
    json.field("reason", reason).field("error", reason).end_object();
    return body;
}

std::span<const Field> refusal_fields(int status, std::string_view request_id, std::array<Field, 3>& into) {
    into = {{{"Content-Type", problem_content_type}, {"X-Request-Id", request_id}, {"Retry-After", "2"}}};
    return std::span(into).first(status == 503 ? 3 : 2);
}

}  // namespace ee::http

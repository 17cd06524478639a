#include "http/problem.h"

#include <fmt/format.h>

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

std::string server_timing(MonoTime begun_at) {
    const auto spent = std::chrono::steady_clock::now() - begun_at;
    return fmt::format("handler;dur={:.3f}", std::chrono::duration<double, std::milli>(spent).count());
}

std::span<const Field> refusal_fields(int status, std::string_view request_id, std::string_view timing,
                                      std::array<Field, 4>& into) {
    into = {{{"Content-Type", problem_content_type}, {"X-Request-Id", request_id}}};
    std::size_t count = 2;
    if (!timing.empty()) into[count++] = {"Server-Timing", timing};
    if (status == 503) into[count++] = {"Retry-After", "2"};
    return std::span(into).first(count);
}

}  // namespace ee::http

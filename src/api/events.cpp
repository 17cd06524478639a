// GET /v1/events: every change of state, as server-sent events.

#include "api/event_streams.h"
#include "api/routes.h"
#include "events/sse.h"
#include "http/fields.h"
#include "http/target.h"

namespace ee::api {
namespace {

struct Asked {
    std::uint64_t position = 0;
    events::Filter filter{};
};

Result<std::optional<std::uint64_t>> position_in(std::string_view text, std::string_view name) {
    if (text.empty()) return std::optional<std::uint64_t>();
    const auto position = events::parse_position(text);
    if (position) return position;
    return fail("invalid_parameter:" + std::string(name),
                std::string(name) + " must be the number of an event");
}

// A reader that comes back says `Last-Event-ID`, which is newer than the `after` its URL began with.
Result<std::uint64_t> read_position(const Request& request) {
    const auto field = http::find(request.exchange.head().fields, "last-event-id");
    const auto last = position_in(field.value_or(""), "last_event_id");
    if (!last) return fail(last.error());
    const auto parameter = http::query_parameter(request.query, "after");
    if (!parameter) return fail(parameter.error());
    const auto after = position_in(parameter->value_or(""), "after");
    if (!after) return fail(after.error());
    if (*last) return **last;
    return after->value_or(request.services.event_streams.log().newest());
}

Result<Asked> read_query(const Request& request) {
    const auto position = read_position(request);
    if (!position) return fail(position.error());
    const auto app = http::query_parameter(request.query, "app"),
               kind = http::query_parameter(request.query, "kind");
    if (!app) return fail(app.error());
    if (!kind) return fail(kind.error());
    if (*kind && !events::is_kind(**kind))
        return fail("invalid_parameter:kind", "no kind of event is called " + **kind);
    return Asked{.position = *position, .filter = {app->value_or(""), kind->value_or("")}};
}

}  // namespace

void get_events(Request& request) {
    auto asked = read_query(request);
    if (!asked) return request.refuse(asked.error());
    if (request.services.readiness().draining)
        return request.refuse({"not_ready", "the control plane is stopping"});
    EventStreams& streams = request.services.event_streams;
    if (streams.is_full())
        return request.refuse(
            {"overloaded", std::to_string(streams.size()) + " readers of events, and no more are served"});
    const std::string timing = request.server_timing();
    const std::vector<http::Field> fields{{"Content-Type", events::sse_content_type},
                                          {"X-Content-Type-Options", "nosniff"},
                                          {"X-Request-Id", request.request_id},
                                          {"Server-Timing", timing},
                                          {"Cache-Control", "no-store"},
                                          {"X-Accel-Buffering", "no"}};
    if (request.exchange.head().method == "HEAD") return request.exchange.respond(200, fields, "");
    if (!streams.open(request.exchange, fields, asked->position, std::move(asked->filter)))
        request.refuse({"bad_request", "the answer's fields cannot be written"});
}

}  // namespace ee::api

// GET /v1/audit: who did what, when and from where, and how often what was refused.

#include "api/audit.h"

#include "api/ledger_request.h"
#include "api/refusal_counts.h"
#include "api/routes.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "http/target.h"

namespace ee::api {
namespace {

// What of a path is a name of something, such as `n1` of `/v1/nodes/n1/ban`.
std::string resource_of(const Match& match) {
    std::string out;
    for (const std::string& parameter : match.parameters) out += (out.empty() ? "" : "/") + parameter;
    return out;
}

void append_call(JsonWriter& json, const ledger::CallRecord& call) {
    const Match match = find_route(call.method, call.path);
    json.begin_object()
        .field("time", ledger::to_text(call.at))
        .field("principal", call.principal)
        .field("method", call.method);
    json.field_or_null("route", match.route == nullptr ? "" : match.route->path);
    json.field_or_null("resource", resource_of(match));
    json.field("path", call.path);
    json.field_or_null("request_id", call.request_id);
    json.field("address_salted", to_hex(call.address)).field("leaf_index", call.leaf_index).end_object();
}

void append_refusal(JsonWriter& json, const RefusalCounts::Row& row) {
    json.begin_object().field("minute", to_rfc3339(row.minute)).field("code", row.code);
    json.field_or_null("route", row.route);
    json.field("network", row.network).field("count", row.count).end_object();
}

std::string body_of(const ledger::CallPage& page, const std::vector<RefusalCounts::Row>& refusals) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("items").begin_array();
    for (const ledger::CallRecord& call : page.calls) append_call(json, call);
    json.end_array().key("next_cursor");
    page.next ? json.value(to_base64(as_bytes(*page.next))) : json.null();
    json.key("refusals").begin_array();
    for (const RefusalCounts::Row& row : refusals) append_refusal(json, row);
    json.end_array().end_object();
    return body;
}

void answer_again(Request& request, const std::string& key, std::function<void(Request&)> then) {
    const Complete complete = answer_later(request);
    request.services.find_app_answer(
        key, [complete, then = std::move(then)](const Result<std::optional<registry::KeptAnswer>>& kept) {
            complete([&](Request& pending) {
                if (!kept) return pending.refuse(kept.error());
                if (!*kept) return then(pending);
                const http::Field replayed{"Idempotency-Replayed", "true"};
                pending.reply((*kept)->status, "application/json", (*kept)->body, {&replayed, 1});
            });
        });
}

}  // namespace

void audited(Request& request, std::function<void(Request&)> then) {
    audited_once(request, "", std::move(then));
}

void audited_once(Request& request, const std::string& key, std::function<void(Request&)> then) {
    ledger::Request call = ledger_request(request);
    call.idempotency_key = key;
    call.command = ledger::RecordCall{};
    const Complete complete = answer_later(request);
    request.services.ledger.run(
        std::move(call), [complete, key, then = std::move(then)](const Result<ledger::Reply>& written) {
            complete([&](Request& pending) {
                if (!written) return refuse_call(pending, written.error());
                if (written->replayed) return answer_again(pending, key, then);
                then(pending);
            });
        });
}

void get_audit(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    // With the newest calls only: they are not paged.
    const auto refusals =
        page->after.empty() ? request.services.refusals.rows() : std::vector<RefusalCounts::Row>();
    show(request, [page = *page, refusals](const ledger::Views& views) -> Result<Shown> {
        const auto calls = views.calls(page);
        if (!calls) return fail(calls.error());
        return Shown{body_of(*calls, refusals)};
    });
}

}  // namespace ee::api

// GET /v1/apps/{app}/evidence, GET /v1/collateral/{sha256}: what verdicts were reached by, for everybody.

#include <charconv>

#include "api/evidence_source.h"
#include "api/ledger_request.h"
#include "api/pending_answer.h"
#include "api/routes.h"
#include "base/base64.h"
#include "base/hex.h"
#include "http/fields.h"
#include "http/target.h"

namespace ee::api {
namespace {

constexpr std::size_t limit_default = 50;
constexpr std::size_t limit_max = 500;  // of names; a page's bytes have a limit of their own

template <class Ask>
void answer_with(Request& request, std::vector<http::OwnedField> fields, Ask ask) {
    const Complete complete = answer_later(request);
    const bool asked = ask([complete, fields = std::move(fields)](const Result<EvidenceAnswer>& answer) {
        complete([&](Request& pending) {
            if (!answer) return pending.refuse(answer.error());
            const std::vector<http::Field> views(fields.begin(), fields.end());
            pending.reply(200, answer->media_type, answer->body, views);
        });
    });
    if (!asked)
        complete(
            [](Request& pending) { pending.refuse({"overloaded", "too many questions for evidence wait"}); });
}

Result<void> read_include(const std::optional<std::string>& include, EvidenceQuestion& out) {
    if (!include) return {};
    bool known = true;
    http::for_each_token(*include, [&](std::string_view word) {
        if (word == "collateral")
            out.with_collateral = true;
        else if (word == "allowlist")
            out.with_allowlist = true;
        else
            known = false;
    });
    if (known) return {};
    return fail("invalid_parameter:include", "include takes collateral and allowlist, separated by commas");
}

Result<EvidenceQuestion> parse_question(std::string_view query) {
    EvidenceQuestion out{.limit = limit_default};
    const auto id = http::query_parameter(query, "id"), include = http::query_parameter(query, "include"),
               cursor = http::query_parameter(query, "cursor"), limit = http::query_parameter(query, "limit");
    for (const auto* parameter : {&id, &include, &cursor, &limit})
        if (!*parameter) return fail(parameter->error());
    if (auto read = read_include(*include, out); !read) return fail(std::move(read.error()));
    if (*id && !from_hex_exact<32>(**id))
        return fail("unknown_evidence", "an id of evidence has 64 hexadecimal digits");
    out.id = id->value_or("");
    if (*cursor && !append_from_base64(out.after, **cursor))
        return fail("invalid_cursor", "the cursor is not one of ours");
    if (*limit) {
        const std::string& text = **limit;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.limit);
        if (error != std::errc{} || end != text.data() + text.size() || out.limit < 1 ||
            out.limit > limit_max)
            return fail("invalid_parameter:limit", "limit must be 1 to " + std::to_string(limit_max));
    }
    return out;
}

}  // namespace

void get_evidence(Request& request) {
    Services& services = request.services;
    const std::string& app = request.parameters[0];
    const auto resolution = services.registry.resolve(app, services.now());
    if (!resolution) return request.refuse({"unknown_app", "no app is called " + app});
    if (!services.evidence.is_public(resolution->network)) {
        const auto allowed = services.access.check(Role::admin | Role::app, request.exchange.head(),
                                                   request.visitor.client, services.loop.now());
        if (!allowed) return refuse_caller(request, allowed.error());
        if (const auto other = not_the_app(*allowed, app)) return request.refuse(*other);
    }
    auto question = parse_question(request.query);
    if (!question) return request.refuse(question.error());
    question->app_name = app;
    question->now = services.now().wall;
    if (question->id.empty()) {
        for (const registry::TunnelId tunnel : services.registry.tunnels_of(app))
            if (const registry::Agent* agent = services.registry.agent_of(tunnel))
                question->agent_ids.push_back(agent->agent_id);
    }
    answer_with(request, {}, [&](EvidenceSource::OnAnswer on_answer) {
        return services.evidence.ask(std::move(*question), std::move(on_answer));
    });
}

void get_collateral(Request& request) {
    const std::string& sha256 = request.parameters[0];
    const auto digest = from_hex_exact<32>(sha256);
    if (!digest || to_hex(*digest) != sha256)
        return request.refuse(
            {"unknown_collateral", "collateral is named by 64 lower-case hexadecimal digits"});
    const std::string tag = "\"" + sha256 + "\"";
    std::vector<http::OwnedField> fields{{"Cache-Control", "public, max-age=31536000, immutable"},
                                         {"ETag", tag}};
    // Whoever has content of this digest has this content.
    if (http::has_token(request.exchange.head().fields, "if-none-match", tag)) {
        const std::vector<http::Field> views(fields.begin(), fields.end());
        return request.reply(304, "application/octet-stream", "", views);
    }
    answer_with(request, std::move(fields), [&](EvidenceSource::OnAnswer on_answer) {
        return request.services.evidence.ask_collateral(sha256, std::move(on_answer));
    });
}

}  // namespace ee::api

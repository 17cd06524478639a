// Settlements.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "http/target.h"

namespace ee::api {
namespace {

Result<bool> flag_in(std::string_view query, std::string_view name) {
    const auto text = http::query_parameter(query, name);
    if (!text) return fail(text.error());
    if (!*text || **text == "false") return false;
    if (**text == "true") return true;
    return fail("invalid_parameter:" + std::string(name), std::string(name) + " must be true or false");
}

}  // namespace

void post_finalize(Request& request) {
    const auto period = ledger::parse_period(request.parameters[0]);
    if (!period) return request.refuse(period.error());
    const auto dry_run = flag_in(request.query, "dry_run");
    if (!dry_run) return request.refuse(dry_run.error());
    JsonBody body(request.exchange.body());
    const ledger::Finalize command{.period = *period,
                                   .node = body.optional_name("node_id"),
                                   .allow_pending = body.flag_or("allow_pending", false)};
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    if (!*dry_run) return run_command(request, command);
    show(request, [command](const ledger::Views& views) -> Result<Shown> {
        auto answer = views.dry_run(command);
        if (!answer) return fail(answer.error());
        return Shown{std::move(answer->body)};
    });
}

void post_resolve(Request& request) {
    const auto period = ledger::parse_period(request.parameters[0]);
    if (!period) return request.refuse(period.error());
    run_body(request, [&](JsonBody& body) {
        const std::string outcome = body.text("outcome");
        if (outcome != "pass" && outcome != "fail" && body.has("outcome"))
            body.refuse("invalid_field:outcome", "outcome must be pass or fail");
        return ledger::Resolve{.period = *period,
                               .node = body.text("node_id"),
                               .app = body.optional_name("app_name"),
                               .pass = outcome == "pass",
                               .allow_pending = body.flag_or("allow_pending", false),
                               .reason = body.text("reason")};
    });
}

void get_settlements(Request& request) {
    const auto period = ledger::parse_period(request.parameters[0]);
    if (!period) return request.refuse(period.error());
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    const auto node = http::query_parameter(request.query, "node_id"),
               app = http::query_parameter(request.query, "app_name");
    for (const auto* parameter : {&node, &app})
        if (!*parameter) return request.refuse(parameter->error());
    show(request,
         [period = *period, page = *page, node = *node,
          app = *app](const ledger::Views& views) -> Result<Shown> {
             auto listed = views.settlements(period, node, app, page);
             if (!listed) return fail(listed.error());
             return Shown{std::move(listed->body), listed->leaf_index};
         });
}

}  // namespace ee::api

// Abuse reports.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "http/target.h"

namespace ee::api {

void post_abuse_report(Request& request) {
    run_body(request, [](JsonBody& body) {
        return ledger::FileAbuse{.node = body.text("node_id"),
                                 .app = body.optional_name("app_name"),
                                 .period = body.optional_period(),
                                 .reason = body.text("reason"),
                                 .reported_by = body.text_or_empty("reported_by"),
                                 .evidence_url = body.text_or_empty("evidence_url")};
    });
}

void post_abuse_decision(Request& request) {
    const auto id = id_in(request.parameters[0], "unknown_report");
    if (!id) return request.refuse(id.error());
    run_body(request, [id = *id](JsonBody& body) {
        const std::string action = body.text("action");
        if (action != "authorize" && action != "deny" && body.has("action"))
            body.refuse("invalid_field:action", "action must be authorize or deny");
        return ledger::DecideAbuse{.report = id,
                                   .authorize = action == "authorize",
                                   .decided_by = body.text_or_empty("authorized_by")};
    });
}

void get_abuse_reports(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    const auto status = http::query_parameter(request.query, "status");
    if (!status) return request.refuse(status.error());
    std::optional<ledger::AbuseState> state;
    for (const auto candidate :
         {ledger::AbuseState::pending, ledger::AbuseState::authorized, ledger::AbuseState::denied})
        if (*status && to_word(candidate) == **status) state = candidate;
    if (*status && !state)
        return request.refuse({"invalid_parameter:status", "status must be pending, authorized or denied"});
    show(request, [page = *page, state](const ledger::Views& views) -> Result<Shown> {
        auto body = views.abuse_reports(state, page);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

}  // namespace ee::api

// Locks and usage.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "base/names.h"

namespace ee::api {
namespace {

// Absent: none.
std::string app_name(JsonBody& body) {
    auto name = body.optional_name("app_name");
    if (!name.empty() && !is_app_name(name))
        body.refuse("invalid_field:app_name", "app_name must be a DNS label in lower case");
    return name;
}

}  // namespace

void post_locks(Request& request) {
    run_body(request, [](JsonBody& body) {
        ledger::TakeLock command{.account = body.text("account_id"),
                                 .node = body.text("node_id"),
                                 .app = app_name(body),
                                 .period = body.period(),
                                 .hours = body.optional_hours("vcpu_hours"),
                                 .amount = body.optional_amount("amount_usd", "amount")};
        if (command.hours.has_value() == command.amount.has_value())
            body.refuse("invalid_field:vcpu_hours", "a lock has vcpu_hours or amount_usd, and not both");
        return command;
    });
}

void get_lock(Request& request) {
    const auto id = id_in(request.parameters[0], "unknown_lock");
    if (!id) return request.refuse(id.error());
    show(request, [id = *id](const ledger::Views& views) -> Result<Shown> {
        auto body = views.lock(id);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void post_lock_release(Request& request) {
    const auto id = id_in(request.parameters[0], "unknown_lock");
    if (!id) return request.refuse(id.error());
    run_body(request, [id = *id](JsonBody&) { return ledger::ReleaseLock{.lock = id}; });
}

void post_usage(Request& request) {
    run_body(request, [](JsonBody& body) {
        return ledger::ReportUsage{.account = body.text("account_id"),
                                   .node = body.text("node_id"),
                                   .app = app_name(body),
                                   .period = body.period(),
                                   .hours = body.hours("vcpu_hours"),
                                   .report_id = body.optional_name("report_id")};
    });
}

}  // namespace ee::api

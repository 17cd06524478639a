// Accounts and credits.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "http/target.h"

namespace ee::api {
namespace {

Result<std::optional<ledger::LedgerTime>> time_in(std::string_view query) {
    const auto text = http::query_parameter(query, "at");
    if (!text) return fail(text.error());
    if (!*text) return std::optional<ledger::LedgerTime>();
    const auto at = ledger_time(**text);
    if (!at) return fail("invalid_parameter:at", "at must be a time such as 2026-01-15T10:30:00Z");
    return at;
}

}  // namespace

void post_accounts(Request& request) {
    JsonBody body(request.exchange.body());
    NewToken token = make_token();
    ledger::OpenAccount command{.account = body.text("account_id"), .token = token.hash};
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    run_command(request, std::move(command), std::move(token.token));
}

void post_account_token(Request& request) {
    JsonBody body(request.exchange.body());
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    NewToken token = make_token();
    run_command(request, ledger::RotateToken{.account = request.parameters[0], .token = token.hash},
                std::move(token.token));
}

void post_purchase(Request& request) {
    run_body(request, [](JsonBody& body) {
        return ledger::Purchase{.account = body.text("account_id"),
                                .amount = body.amount("amount_usd", "amount"),
                                .payment_ref = body.optional_name("payment_ref")};
    });
}

void post_redeem(Request& request) {
    run_body(request, [](JsonBody& body) {
        return ledger::Redeem{.account = body.text("account_id"),
                              .amount = body.amount("amount_usd", "amount"),
                              .payment_ref = body.optional_name("payment_ref")};
    });
}

void post_transfer(Request& request) {
    run_body(request, [](JsonBody& body) {
        return ledger::Transfer{.from = body.text("from_account"),
                                .to = body.text("to_account"),
                                .amount = body.amount("amount_usd", "amount"),
                                .memo = body.text_or_empty("memo")};
    });
}

void get_balance(Request& request) {
    const auto at = time_in(request.query);
    if (!at) return request.refuse(at.error());
    show(request, [account = request.parameters[0], at = *at](const ledger::Views& views) -> Result<Shown> {
        auto body = views.balance(account, at);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void get_entries(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    show(request,
         [account = request.parameters[0], page = *page](const ledger::Views& views) -> Result<Shown> {
             auto body = views.entries(account, page);
             if (!body) return fail(body.error());
             return Shown{*std::move(body)};
         });
}

}  // namespace ee::api

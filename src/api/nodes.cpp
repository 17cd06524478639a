// Nodes: registration, stake, what was seen of them from outside, slashing.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "http/fields.h"
#include "http/target.h"

namespace ee::api {
namespace {

std::optional<ledger::Tier> tier_in(JsonBody& body) {
    const auto word = body.optional_text("stake_tier");
    if (!word) return std::nullopt;
    for (const ledger::Tier tier : {ledger::Tier::premium, ledger::Tier::standard, ledger::Tier::economy})
        if (to_word(tier) == *word) return tier;
    body.refuse("invalid_field:stake_tier", "stake_tier must be premium, standard or economy");
    return std::nullopt;
}

ledger::LedgerTime time_in(JsonBody& body, std::string_view name) {
    const auto time = ledger_time(body.text(name));
    if (!time && body.has(name))
        body.refuse("invalid_field:" + std::string(name), "it must be a time such as 2026-01-15T10:30:00Z");
    return time.value_or(ledger::LedgerTime{});
}

ledger::ObservationType observation_type(JsonBody& body) {
    using enum ledger::ObservationType;
    const std::string word = body.text("type");
    for (const auto type : {health_pass, health_miss, attest_miss, downtime_migration})
        if (to_word(type) == word) return type;
    if (body.has("type"))
        body.refuse("invalid_field:type",
                    "type must be health_pass, health_miss, attest_miss or downtime_migration");
    return health_pass;
}

constexpr std::size_t reason_max = 256;

std::string reason_in(JsonBody& body, std::string text) {
    if (text.size() > reason_max) body.refuse("invalid_field:reason", "reason must be at most 256 bytes");
    return text;
}

}  // namespace

void post_node(Request& request) {
    JsonBody body(request.exchange.body());
    NewToken token = make_token();
    ledger::RegisterNode command{
        .node = body.text("node_id"),
        .capacity_vcpus = body.optional_integer("capacity_vcpus"),
        .price = body.optional_amount_or_zero("price_usd_per_vcpu_hour", "price_usd"),
        .tier = tier_in(body),
        .stake = body.optional_amount_or_zero("stake_amount_usd"),
        .owner = body.optional_text("owner_account"),
        .owner_token = std::nullopt,
        .rotate_token = body.flag_or("rotate_token", false),
        .token = token.hash};
    if (const auto owner = http::find(request.exchange.head().fields, "x-ee-owner-token"))
        command.owner_token = crypto::sha256(as_bytes(*owner));
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    run_command(request, std::move(command), std::move(token.token));
}

void get_nodes(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    show(request, [page = *page](const ledger::Views& views) -> Result<Shown> {
        auto body = views.nodes(page);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void get_node(Request& request) {
    show(request, [id = request.parameters[0]](const ledger::Views& views) -> Result<Shown> {
        auto body = views.node(id);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void post_node_event(Request& request) {
    run_body(request, [&](JsonBody& body) {
        ledger::Observe command{.node = request.parameters[0], .event_id = body.text("event_id")};
        command.observation = {.type = observation_type(body),
                               .app = body.optional_name("app_name"),
                               .from = time_in(body, "from"),
                               .to = time_in(body, "to"),
                               .evidence_url = body.text_or_empty("evidence_url")};
        return command;
    });
}

void post_node_slash(Request& request) {
    run_body(request, [&](JsonBody& body) {
        return ledger::Slash{.node = request.parameters[0],
                             .cause = body.text("cause"),
                             .amount = body.optional_amount("amount_usd", "amount"),
                             .event_ids = body.texts("event_ids"),
                             .reason = body.text("reason")};
    });
}

void post_node_ban(Request& request) {
    run_body(request, [&](JsonBody& body) {
        return ledger::Ban{.node = request.parameters[0], .reason = reason_in(body, body.text("reason"))};
    });
}

void post_node_unstake(Request& request) {
    run_body(request, [&](JsonBody& body) {
        return ledger::Unstake{.node = request.parameters[0],
                               .reason = reason_in(body, body.text_or_empty("reason"))};
    });
}

void post_slashing_dismissal(Request& request) {
    const auto id = id_in(request.parameters[0], "unknown_slashing");
    if (!id) return request.refuse(id.error());
    run_body(request, [id = *id](JsonBody& body) {
        return ledger::DismissSlashing{.slashing = id, .reason = body.text("reason")};
    });
}

void get_slashings(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    const auto status = http::query_parameter(request.query, "status");
    if (!status) return request.refuse(status.error());
    std::optional<ledger::SlashingState> state;
    for (const auto candidate :
         {ledger::SlashingState::proposed, ledger::SlashingState::done, ledger::SlashingState::dismissed})
        if (*status && to_word(candidate) == **status) state = candidate;
    if (*status && !state)
        return request.refuse({"invalid_parameter:status", "status must be proposed, done or dismissed"});
    show(request, [page = *page, state](const ledger::Views& views) -> Result<Shown> {
        auto body = views.slashings(state, page);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

}  // namespace ee::api

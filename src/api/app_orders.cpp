// What an admin may do with apps: POST /v1/apps, DELETE /v1/apps/{app}, POST /v1/apps/{app}/attest; and with
// their owner POST /v1/apps/{app}/agents/{agent_id}/drain.

#include "api/app_change.h"
#include "api/app_json.h"
#include "api/audit.h"
#include "api/json_body.h"
#include "api/ledger_request.h"
#include "api/routes.h"
#include "base/names.h"
#include "ledger/account_name.h"
#include "tunnel/tunnels.h"

namespace ee::api {
namespace {

registry::AppOrder order_in(JsonBody& body) {
    registry::AppOrder order{.app_name = body.text("app_name"),
                             .repo = body.text("repo"),
                             .network = body.text("network"),
                             .billing_account = body.optional_text("billing_account"),
                             .token = {},
                             .rotate_token = body.flag_or("rotate_token", false)};
    if (body.has("app_name") && !is_app_name(order.app_name))
        body.refuse("invalid_field:app_name", "app_name must be a DNS label: 1 to 63 of a-z, 0-9 and '-'");
    if (body.has("repo") && !is_repo(order.repo))
        body.refuse("invalid_field:repo", "repo must be owner/name");
    if (order.billing_account && !order.billing_account->empty() &&
        !ledger::is_user_name(*order.billing_account))
        body.refuse("invalid_field:billing_account",
                    "billing_account must be an account's name: 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'");
    return order;
}

void close(Services& services, const std::vector<registry::TunnelId>& tunnels, const Error& why) {
    for (const registry::TunnelId id : tunnels)
        if (tunnel::Session* session = services.tunnels.find(id)) session->refuse(why, std::nullopt);
}

void close_moved(Services& services, const registry::AppMade& made) {
    const registry::AppRecord& record = made.record;
    for (const registry::TunnelId id : made.lost) {
        const tunnel::Session* session = services.tunnels.find(id);
        if (session == nullptr) continue;
        const bool other_repo = session->registration()->repo != record.repo;
        close(services, {id},
              {other_repo ? "app_bound_to_other_repo" : "app_bound_to_other_network",
               record.app_name + " was moved to " + record.repo + " on " + record.network});
    }
}

// `token`: empty where it is not to be shown.
std::string made_json(const registry::AppMade& made, const std::string& token) {
    std::string text;
    JsonWriter json(text);
    json.begin_object()
        .field("app_name", made.record.app_name)
        .field("repo", made.record.repo)
        .field("network", made.record.network)
        .field("registration_expires_at", to_rfc3339(made.record.expires_at));
    append_record(json, made.record);
    json.field("closed_tunnels", made.lost.size()).key("token");
    if (made.has_new_token && !token.empty())
        json.value(token);
    else
        json.null().field("secret_omitted", true);
    json.end_object();
    return text;
}

void make_app(Request& request, registry::AppOrder order, const std::string& key) {
    Services& services = request.services;
    const NewToken token = make_token(app_token_prefix);
    order.token = token.hash;
    auto made = services.registry.make_app(order, services.now().wall);
    if (!made) return request.refuse(made.error());
    close_moved(services, *made);
    StoredAnswer answer{
        .status = made->is_new ? 201 : 200, .body = made_json(*made, token.token), .undo = {}, .kept = {}};
    // A secret is not stored.
    if (!key.empty()) answer.kept = {.key = key, .status = answer.status, .body = made_json(*made, "")};
    // Nobody was told the token: who asks again is given another.
    if (made->has_new_token)
        answer.undo = [&registry = services.registry, app = order.app_name, hash = token.hash] {
            registry.drop_token(app, hash);
        };
    answer_stored(request, std::move(made->record), std::move(answer));
}

// Empty, or an empty object.
bool takes_empty_body(Request& request) {
    JsonBody body(request.exchange.body());
    const auto refusal = body.refusal();
    if (refusal) request.refuse(*refusal);
    return !refusal;
}

}  // namespace

void post_apps(Request& request) {
    JsonBody body(request.exchange.body());
    const registry::AppOrder order = order_in(body);
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    const auto key = idempotency_key(request);
    if (!key) return request.refuse(key.error());
    audited_once(request, *key, [order, key = *key](Request& sound) { make_app(sound, order, key); });
}

void delete_app(Request& request) {
    if (!takes_empty_body(request)) return;
    change_app(request, [](Request& sound, const std::string& app) {
        Services& services = sound.services;
        const auto lost = services.registry.forget(app, services.now().wall);
        if (!lost) return sound.refuse(unknown_app(app));
        close(services, *lost, {"app_forgotten", app + " was deleted; whoever attests next may register it"});
        std::string text;
        JsonWriter(text)
            .begin_object()
            .field("app_name", app)
            .field("closed_tunnels", lost->size())
            .end_object();
        answer_unstored(sound, app, std::move(text));
    });
}

void post_app_attest(Request& request) {
    if (!takes_empty_body(request)) return;
    change_app(request, [](Request& sound, const std::string& app) {
        const auto tunnels = sound.services.registry.tunnels_of(app);
        sound.services.challenge(
            {.agents = tunnels, .app = app, .request_id = sound.request_id, .client = sound.visitor.client});
        std::string text;
        JsonWriter(text)
            .begin_object()
            .field("app_name", app)
            .field("challenged", tunnels.size())
            .end_object();
        sound.reply_json(202, text);
    });
}

void post_agent_drain(Request& request) {
    if (!takes_empty_body(request)) return;
    Services& services = request.services;
    const std::string name = request.parameters[0], agent = request.parameters[1];
    if (!services.registry.status(name, services.now())) return request.refuse(unknown_app(name));
    const Error gone{"unknown_agent", "no agent of " + name + " is connected as " + agent};
    if (services.registry.tunnel_of(name, agent) == registry::no_tunnel) return request.refuse(gone);
    change_app(request, [agent, gone](Request& sound, const std::string& app) {
        Services& here = sound.services;
        tunnel::Session* session = here.tunnels.find(here.registry.tunnel_of(app, agent));
        if (session == nullptr) return sound.refuse(gone);
        session->drain("draining", std::nullopt);
        std::string text;
        JsonWriter(text)
            .begin_object()
            .field("app_name", app)
            .field("agent_id", agent)
            .field("status", "draining")
            .end_object();
        sound.reply_json(202, text);
    });
}

}  // namespace ee::api

// POST /v1/apps/{app}/allowlist: the admin accepts an asset that was replaced under its tag.

#include "api/allowlist_acceptance.h"

#include "api/audit.h"
#include "api/json_body.h"
#include "api/routes.h"
#include "attestation/release_source.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "base/names.h"

namespace ee::api {

Result<AllowlistAcceptance> parse_allowlist_acceptance(std::string_view json) {
    JsonBody body(json);
    const std::string tag = body.text("release_tag");
    const auto digest = from_hex_exact<32>(body.text("sha256"));
    if (body.has("release_tag") && !is_release_tag(tag))
        body.refuse("invalid_field:release_tag", "release_tag is no release's tag");
    if (body.has("sha256") && !digest)
        body.refuse("invalid_field:sha256", "sha256 must be 64 hexadecimal digits");
    if (auto refusal = body.refusal()) return fail(*std::move(refusal));
    return AllowlistAcceptance{tag, *digest};
}

void post_allowlist(Request& request) {
    Services& services = request.services;
    const std::string& app = request.parameters[0];
    const auto resolution = services.registry.resolve(app, services.now());
    if (!resolution) return request.refuse({"unknown_app", "no app is called " + app});
    auto body = parse_allowlist_acceptance(request.exchange.body());
    if (!body) return request.refuse(body.error());
    audited(request, [repo = resolution->repo, body = *std::move(body)](Request& pending) {
        const auto accepted = pending.services.accept_allowlist({repo, body.release_tag}, body.sha256);
        if (!accepted) return pending.refuse(accepted.error());
        pending.services.registry.allowlist_accepted(repo, body.release_tag, to_hex(body.sha256),
                                                     pending.services.now().wall);
        std::string text;
        JsonWriter(text)
            .begin_object()
            .field("app_name", pending.parameters[0])
            .field("repo", repo)
            .field("release_tag", body.release_tag)
            .field("sha256", to_hex(body.sha256))
            .end_object();
        pending.reply_json(200, text);
    });
}

}  // namespace ee::api

// POST /v1/apps/{app}/allowlist: the admin accepts an asset that was replaced under its tag.

#include "api/allowlist_acceptance.h"

#include <algorithm>
#include <optional>

#include <simdjson.h>

#include "api/audit.h"
#include "api/routes.h"
#include "attestation/release_source.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "base/names.h"

namespace ee::api {
namespace {

constexpr std::size_t depth_max = 32;

}  // namespace

Result<AllowlistAcceptance> parse_allowlist_acceptance(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::object object;
    if (json.empty() ||
        parser.allocate(std::max<std::size_t>(json.size(), 64), depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root.get_object().get(object) != simdjson::SUCCESS)
        return fail("invalid_json", "the body must be a JSON object");
    std::optional<std::string_view> tag, digest;
    for (const auto& [name, value] : object) {
        if (name != "release_tag" && name != "sha256")
            return fail("unknown_field:" + std::string(name.substr(0, 64)),
                        "the body may have release_tag and sha256");
        auto& target = name == "sha256" ? digest : tag;
        std::string_view text;
        if (target) return fail("invalid_field:" + std::string(name), std::string(name) + " is there twice");
        if (value.get_string().get(text) != simdjson::SUCCESS)
            return fail("invalid_field:" + std::string(name), std::string(name) + " must be a string");
        target = text;
    }
    if (!tag || !digest) return fail("missing_fields", "the body must have release_tag and sha256");
    if (!is_release_tag(*tag)) return fail("invalid_field:release_tag", "release_tag is no release's tag");
    const auto bytes = from_hex_exact<32>(*digest);
    if (!bytes) return fail("invalid_field:sha256", "sha256 must be 64 hexadecimal digits");
    return AllowlistAcceptance{std::string(*tag), *bytes};
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

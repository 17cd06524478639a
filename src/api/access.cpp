#include "api/access.h"

#include <optional>

#include "http/fields.h"

namespace ee::api {
namespace {

constexpr int wrong_tokens_max = 10;
constexpr std::chrono::minutes wrong_tokens_window{1};
constexpr std::size_t addresses_max = 10000;

struct Configured {
    Role role;
    std::string_view setting;
};
constexpr Configured configured_roles[] = {{Role::admin, "EE_ADMIN_TOKEN"},
                                           {Role::metrics, "EE_METRICS_TOKEN"},
                                           {Role::launcher, "EE_LAUNCHER_TOKEN"},
                                           {Role::uptime, "EE_UPTIME_TOKEN"},
                                           {Role::auditor, "EE_AUDITOR_TOKEN"}};

std::vector<crypto::Sha256> hashes(const std::vector<Secret>& tokens) {
    std::vector<crypto::Sha256> out;
    for (const Secret& token : tokens) out.push_back(crypto::sha256(as_bytes(token.reveal())));
    return out;
}

// Looks at every hash, so that the time taken does not say which one matched.
bool matches(const std::vector<crypto::Sha256>& known, const crypto::Sha256& hash) {
    bool found = false;
    for (const crypto::Sha256& candidate : known) found = constant_time_equal(candidate, hash) || found;
    return found;
}

std::optional<std::string_view> bearer(std::string_view authorization) {
    constexpr std::string_view scheme = "Bearer ";
    if (authorization.size() <= scheme.size() ||
        !http::iequals(authorization.substr(0, scheme.size()), scheme))
        return std::nullopt;
    return http::trim_whitespace(authorization.substr(scheme.size()));
}

bool is_holder_token(std::string_view token) {
    return token.starts_with(holder_token_prefix) && token.size() == holder_token_size;
}

bool is_app_token(std::string_view token) {
    return token.starts_with(app_token_prefix) && token.size() == app_token_size;
}

}  // namespace

std::optional<Error> not_the_app(const Caller& caller, std::string_view app) {
    if (caller.role != Role::app || caller.app == app) return std::nullopt;
    return Error{"forbidden", "this token is of " + caller.app + ", not of " + std::string(app)};
}

void AccessControl::set_tokens(const RoleTokens& tokens) {
    hashes_ = {};
    const auto set = [&](Role role, const std::vector<Secret>& secrets) {
        hashes_[static_cast<std::size_t>(role)] = hashes(secrets);
    };
    set(Role::admin, tokens.admin);
    set(Role::metrics, tokens.metrics);
    set(Role::launcher, tokens.launcher);
    set(Role::uptime, tokens.uptime);
    set(Role::auditor, tokens.auditor);
}

bool AccessControl::is_closed(Access access) const {
    if (access.includes(Role::holder)) return false;
    for (const Configured& configured : configured_roles)
        if (access.includes(configured.role) && !hashes_of(configured.role).empty()) return false;
    return true;
}

Result<Caller> AccessControl::check(Access access, const http::RequestHead& head,
                                    const net::IpAddress& client, MonoTime now) {
    if (access.includes(Role::anyone)) return Caller{};
    const auto authorization = http::find(head.fields, "authorization");
    const auto token = authorization ? bearer(*authorization) : std::nullopt;
    const bool is_app = token && is_app_token(*token);
    if (is_closed(access) && !(is_app && access.includes(Role::app))) {
        std::string settings;
        for (const Configured& configured : configured_roles)
            if (access.includes(configured.role))
                settings.append(settings.empty() ? "" : " or ").append(configured.setting);
        return fail("role_not_configured", settings + " is not set, so this endpoint is closed");
    }
    if (!token) return fail("unauthorized", "this endpoint takes \"Authorization: Bearer <token>\"");
    const crypto::Sha256 hash = crypto::sha256(as_bytes(*token));
    // Each is looked at, so that the time taken does not say which one it was.
    std::optional<Role> allowed;
    bool is_known = false;
    for (const Configured& configured : configured_roles) {
        if (!matches(hashes_of(configured.role), hash)) continue;
        is_known = true;
        if (access.includes(configured.role) && !allowed) allowed = configured.role;
    }
    if (allowed) return Caller{.role = *allowed};
    if (is_known) return fail("forbidden", "this token's role may not call this endpoint");
    if (is_app) return check_app(access, hash, client, now);
    if (access.includes(Role::holder)) return Caller{.role = Role::holder, .token = hash};
    if (is_holder_token(*token)) return fail("forbidden", "this endpoint is not for accounts and nodes");
    return fail(refuse_wrong(client, now));
}

// It is looked up by its hash, which nobody can steer towards another's.
Result<Caller> AccessControl::check_app(Access access, const crypto::Sha256& token,
                                        const net::IpAddress& client, MonoTime now) {
    const std::string_view app = app_of_token_ ? app_of_token_(token) : std::string_view();
    if (app.empty()) return fail(refuse_wrong(client, now));
    if (!access.includes(Role::app)) return fail("forbidden", "this endpoint is not for apps");
    return Caller{.role = Role::app, .token = {}, .app = std::string(app)};
}

std::optional<crypto::Sha256> AccessControl::holder_token(const http::RequestHead& head) const {
    const auto authorization = http::find(head.fields, "authorization");
    const auto token = authorization ? bearer(*authorization) : std::nullopt;
    if (!token || !is_holder_token(*token)) return std::nullopt;
    return crypto::sha256(as_bytes(*token));
}

Error AccessControl::refuse_wrong(const net::IpAddress& client, MonoTime now) {
    if (wrong_.size() >= addresses_max) wrong_.clear();
    Wrong& wrong = wrong_[client];
    if (now - wrong.since > wrong_tokens_window) wrong = {now, 0};
    if (++wrong.count > wrong_tokens_max)
        return {"too_many_wrong_tokens",
                "more than " + std::to_string(wrong_tokens_max) + " wrong tokens a minute from this address"};
    return {"unauthorized", "the token is not known"};
}

bool AccessControl::is_own_token(std::string_view authorization) const {
    const auto token = bearer(authorization);
    if (!token) return false;
    // Holders' and apps' tokens are made by us and say so.
    bool found = is_holder_token(*token) || is_app_token(*token);
    const crypto::Sha256 hash = crypto::sha256(as_bytes(*token));
    for (const Hashes& known : hashes_) found = matches(known, hash) || found;
    return found;
}

}  // namespace ee::api

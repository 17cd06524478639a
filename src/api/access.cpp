#include "api/access.h"

#include <optional>

#include "http/fields.h"

namespace ee::api {
namespace {

constexpr int wrong_tokens_max = 10;
constexpr std::chrono::minutes wrong_tokens_window{1};
constexpr std::size_t addresses_max = 10000;

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

}  // namespace

AccessControl::AccessControl(const std::vector<Secret>& admin_tokens,
                             const std::vector<Secret>& metrics_tokens)
    : admin_(hashes(admin_tokens)), metrics_(hashes(metrics_tokens)) {}

void AccessControl::set_tokens(const std::vector<Secret>& admin_tokens,
                               const std::vector<Secret>& metrics_tokens) {
    admin_ = hashes(admin_tokens);
    metrics_ = hashes(metrics_tokens);
}

Result<void> AccessControl::check(Access access, const http::RequestHead& head, const net::IpAddress& client,
                                  MonoTime now) {
    if (access == Access::anyone) return {};
    if (admin_.empty() && (access == Access::admin || metrics_.empty()))
        return fail("role_not_configured",
                    access == Access::admin
                        ? "EE_ADMIN_TOKEN is not set, so this endpoint is closed"
                        : "neither EE_METRICS_TOKEN nor EE_ADMIN_TOKEN is set, so this endpoint is closed");
    const auto authorization = http::find(head.fields, "authorization");
    const auto token = authorization ? bearer(*authorization) : std::nullopt;
    if (!token) return fail("unauthorized", "this endpoint takes \"Authorization: Bearer <token>\"");
    const crypto::Sha256 hash = crypto::sha256(as_bytes(*token));
    const bool is_admin = matches(admin_, hash), is_metrics = matches(metrics_, hash);
    if (is_admin || (access == Access::metrics && is_metrics)) return {};
    if (is_metrics) return fail("forbidden", "this token's role may not call this endpoint");
    return refuse_wrong(client, now);
}

Result<void> AccessControl::refuse_wrong(const net::IpAddress& client, MonoTime now) {
    if (wrong_.size() >= addresses_max) wrong_.clear();
    Wrong& wrong = wrong_[client];
    if (now - wrong.since > wrong_tokens_window) wrong = {now, 0};
    if (++wrong.count > wrong_tokens_max)
        return fail("too_many_wrong_tokens", "more than " + std::to_string(wrong_tokens_max) +
                                                 " wrong tokens a minute from this address");
    return fail("unauthorized", "the token is not known");
}

bool AccessControl::is_own_token(std::string_view authorization) const {
    const auto token = bearer(authorization);
    if (!token) return false;
    const crypto::Sha256 hash = crypto::sha256(as_bytes(*token));
    return matches(admin_, hash) || matches(metrics_, hash);
}

}  // namespace ee::api

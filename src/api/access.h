#pragma once
// Who may call what: bearer tokens (RFC 6750), compared as hashes in constant time.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "http/message.h"
#include "net/address.h"

namespace ee::api {

// Whose token it is. Holders' tokens are of accounts and nodes: the ledger knows them. Apps' are the
// registry's.
enum class Role : std::uint8_t { anyone, admin, metrics, launcher, uptime, auditor, holder, app };
inline constexpr std::size_t role_count = 8;

// What the tokens of accounts and nodes begin with.
inline constexpr std::string_view holder_token_prefix = "ee_";
inline constexpr std::size_t holder_token_size = 3 + 64;  // 32 random bytes in hex
// And those of apps.
inline constexpr std::string_view app_token_prefix = "ee_app_";
inline constexpr std::size_t app_token_size = 7 + 64;

// The roles that an endpoint is for.
class Access {
public:
    constexpr Access(Role role) : bits_(bit(role)) {}
    friend constexpr Access operator|(Access a, Access b) { return Access(a.bits_ | b.bits_); }
    constexpr bool includes(Role role) const { return (bits_ & bit(role)) != 0; }

private:
    constexpr explicit Access(unsigned bits) : bits_(bits) {}
    static constexpr unsigned bit(Role role) { return 1U << static_cast<unsigned>(role); }

    unsigned bits_;
};
constexpr Access operator|(Role a, Role b) {
    return Access(a) | Access(b);
}

// Of the roles with tokens in the settings; an empty list closes its role.
struct RoleTokens {
    std::vector<Secret> admin{};
    std::vector<Secret> metrics{};
    std::vector<Secret> launcher{};
    std::vector<Secret> uptime{};
    std::vector<Secret> auditor{};
};

// Who has called, as far as the settings say.
struct Caller {
    Role role = Role::anyone;
    crypto::Sha256 token{};  // a holder's, which the ledger has yet to recognise
    std::string app{};       // whose token it is
};

// What an app is refused with that calls for another one: `forbidden`.
std::optional<Error> not_the_app(const Caller& caller, std::string_view app);

// The app with a token of this hash; empty: none.
using AppOfToken = std::function<std::string_view(const crypto::Sha256&)>;

class AccessControl {
public:
    explicit AccessControl(const RoleTokens& tokens) { set_tokens(tokens); }

    // Replaces every token: those that are gone are refused from here on.
    void set_tokens(const RoleTokens& tokens);
    // Without it no app has a token.
    void know_apps(AppOfToken app_of_token) { app_of_token_ = std::move(app_of_token); }

    // Refusals: `role_not_configured` (403), `unauthorized` (401), `forbidden` (403: a right token of another
    // role), `too_many_wrong_tokens` (429). A right token always passes, however many wrong ones came before.
    Result<Caller> check(Access access, const http::RequestHead& head, const net::IpAddress& client,
                         MonoTime now);

    // The hash of what looks like a token of an account or a node, refused by check() with `forbidden` where
    // there is nothing for them: only the ledger knows whether it is one.
    std::optional<crypto::Sha256> holder_token(const http::RequestHead& head) const;

    // A holder's token that turned out to be nobody's: `unauthorized`, `too_many_wrong_tokens`.
    Error refuse_wrong(const net::IpAddress& client, MonoTime now);

    // Whether a field's value is a bearer token of ours, which no app may see.
    bool is_own_token(std::string_view authorization) const;

    // Addresses whose wrong tokens are counted: at most 10000.
    std::size_t guessers() const { return wrong_.size(); }

private:
    using Hashes = std::vector<crypto::Sha256>;
    const Hashes& hashes_of(Role role) const { return hashes_[static_cast<std::size_t>(role)]; }
    bool is_closed(Access access) const;
    Result<Caller> check_app(Access access, const crypto::Sha256& token, const net::IpAddress& client,
                             MonoTime now);

    std::array<Hashes, role_count> hashes_;
    AppOfToken app_of_token_;
    struct Wrong {
        MonoTime since{};
        int count = 0;
    };
    std::unordered_map<net::IpAddress, Wrong> wrong_;
};

}  // namespace ee::api

#pragma once
// Who may call what: bearer tokens (RFC 6750), compared as hashes in constant time.

#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "http/message.h"
#include "net/address.h"

namespace ee::api {

enum class Access { anyone, admin, metrics };

class AccessControl {
public:
    AccessControl(const std::vector<Secret>& admin_tokens, const std::vector<Secret>& metrics_tokens);

    // Replaces every token: those that are gone are refused from here on.
    void set_tokens(const std::vector<Secret>& admin_tokens, const std::vector<Secret>& metrics_tokens);

    // Refusals: `role_not_configured` (403), `unauthorized` (401), `forbidden` (403: a right token of another
    // role), `too_many_wrong_tokens` (429). A right token always passes, however many wrong ones came before.
    Result<void> check(Access access, const http::RequestHead& head, const net::IpAddress& client,
                       MonoTime now);

    // Whether a field's value is a bearer token of ours, which no app may see.
    bool is_own_token(std::string_view authorization) const;

    // Addresses whose wrong tokens are counted: at most 10000.
    std::size_t guessers() const { return wrong_.size(); }

private:
    using Hashes = std::vector<crypto::Sha256>;
    Result<void> refuse_wrong(const net::IpAddress& client, MonoTime now);

    Hashes admin_, metrics_;
    struct Wrong {
        MonoTime since{};
        int count = 0;
    };
    std::unordered_map<net::IpAddress, Wrong> wrong_;
};

}  // namespace ee::api

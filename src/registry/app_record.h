#pragma once
// What is kept of an app across restarts: its registration, and what its owner has said of it.

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace ee::registry {

// The share of requests that a release gets, relative to the others' weights.
struct ReleaseWeight {
    std::string release_tag{};
    std::uint32_t weight = 0;

    friend bool operator==(const ReleaseWeight&, const ReleaseWeight&) = default;
};

struct AppRecord {
    std::string app_name{};
    std::string repo{};
    std::string network{};
    std::string release_tag{};  // Of the agent attested last.
    WallTime created_at{};
    WallTime expires_at{};
    std::optional<WallTime> last_attest{};
    bool sealed = false;

    bool made_by_admin = false;                       // By POST /v1/apps, not by the first agent attested.
    std::string billing_account{};                    // May be empty.
    std::optional<ByteArray<32>> token{};             // The SHA-256 of the app's token.
    std::optional<std::vector<std::string>> nodes{};  // Sorted: they alone may serve it.
    std::vector<ReleaseWeight> rollout{};             // Empty: its releases are equal.

    friend bool operator==(const AppRecord&, const AppRecord&) = default;
};

// What a call that changed an app was answered, for who makes it again under the same key. Without secrets.
struct KeptAnswer {
    std::string key{};
    int status = 0;
    std::string body{};

    friend bool operator==(const KeptAnswer&, const KeptAnswer&) = default;
};

}  // namespace ee::registry

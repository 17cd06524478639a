#pragma once
// What is kept of an app across restarts: its registration.

#include <optional>
#include <string>

#include "base/time.h"

namespace ee::registry {

struct AppRecord {
    std::string app_name{};
    std::string repo{};
    std::string network{};
    std::string release_tag{};  // Of the agent attested last.
    WallTime created_at{};
    WallTime expires_at{};
    std::optional<WallTime> last_attest{};
    bool sealed = false;

    friend bool operator==(const AppRecord&, const AppRecord&) = default;
};

}  // namespace ee::registry

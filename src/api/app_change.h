#pragma once
// How a call changes an app.

#include <functional>
#include <optional>

#include "api/request.h"

namespace ee::api {

Error unknown_app(const std::string& app);

// Every call that changes the app its path names passes here once it is known to be sound: it is in the
// ledger's log before it takes effect. `unknown_app`.
using AppEffect = std::function<void(Request&, const std::string& app)>;
void change_app(Request& request, const AppEffect& effect);

// Answers once the record is on disk; with `store_unavailable` where it cannot be, after `undo`, if there is
// one. Meanwhile the change is in force. `kept`: for who makes the call again, see audited_once().
struct StoredAnswer {
    int status = 200;
    std::string body{};
    std::function<void()> undo{};
    std::optional<registry::KeptAnswer> kept{};
};
void answer_stored(Request& request, registry::AppRecord record, StoredAnswer answer);
// The same once the app is gone from there.
void answer_unstored(Request& request, std::string app_name, std::string body);

}  // namespace ee::api

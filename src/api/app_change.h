#pragma once
// How a call changes an app.

#include <functional>

#include "api/request.h"

namespace ee::api {

// Every call that changes an app passes here once it is known to be sound: it is in the ledger's log before
// it takes effect.
void change_app(Request& request, const std::function<void(Request&)>& effect);

// Answers once the record is on disk; with `store_unavailable` where it cannot be, after `undo`, if there is
// one. Meanwhile the change is in force.
struct StoredAnswer {
    int status = 200;
    std::string body{};
    std::function<void()> undo{};
};
void answer_stored(Request& request, registry::AppRecord record, StoredAnswer answer);
// The same once the app is gone from there.
void answer_unstored(Request& request, std::string app_name, std::string body);

}  // namespace ee::api

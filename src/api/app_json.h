#pragma once
// What an app's owner has said of it, in answers.

#include "base/json_writer.h"
#include "registry/views.h"

namespace ee::api {

// created_at, made_by_admin, billing_account, has_token, nodes
void append_record(JsonWriter& json, const registry::AppRecord& record);
// rollout: of each release its weight and its eligible agents
void append_shares(JsonWriter& json, const std::vector<registry::ReleaseShare>& shares);

}  // namespace ee::api

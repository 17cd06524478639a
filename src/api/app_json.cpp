#include "api/app_json.h"

namespace ee::api {

void append_record(JsonWriter& json, const registry::AppRecord& record) {
    json.field("created_at", to_rfc3339(record.created_at))
        .field("made_by_admin", record.made_by_admin)
        .field_or_null("billing_account", record.billing_account)
        .field("has_token", record.token.has_value())
        .key("nodes");
    if (!record.nodes) {
        json.null();
        return;
    }
    json.begin_array();
    for (const std::string& node : *record.nodes) json.value(node);
    json.end_array();
}

void append_shares(JsonWriter& json, const std::vector<registry::ReleaseShare>& shares) {
    json.key("rollout").begin_array();
    for (const registry::ReleaseShare& share : shares) {
        json.begin_object()
            .field("release_tag", share.release_tag)
            .field("weight", share.weight)
            .field("eligible_agents", share.eligible_agents)
            .end_object();
    }
    json.end_array();
}

}  // namespace ee::api

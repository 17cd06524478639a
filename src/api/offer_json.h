#pragma once
// What an agent is chosen by, as operators see it.

#include "base/json_writer.h"
#include "registry/views.h"

namespace ee::api {

// Fields of an object: price and effective price in USD of a vCPU-hour (null: none is posted), trust in
// millionths.
void append_offer(JsonWriter& json, const registry::Offer& offer);
// The field `trust_parts`: factors in millionths, and what they were counted by.
void append_trust_parts(JsonWriter& json, bool has_node, const registry::Offer& offer);

}  // namespace ee::api

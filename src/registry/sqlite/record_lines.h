#pragma once
// Lists of an app's record as text of one line an element. What is in them has no control characters.

#include "base/result.h"
#include "registry/app_record.h"

namespace ee::registry {

std::string nodes_to_lines(const std::vector<std::string>& nodes);
std::vector<std::string> nodes_from_lines(std::string_view lines);

// A line is the weight, a space and the tag.
std::string rollout_to_lines(const std::vector<ReleaseWeight>& rollout);
// `store_unavailable` for what the other has not written.
Result<std::vector<ReleaseWeight>> rollout_from_lines(std::string_view lines);

}  // namespace ee::registry

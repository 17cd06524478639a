#pragma once
// What to do about a refusal: one or two sentences for whoever can act on it, the node's provider or the
// network's operator.

#include <string>
#include <string_view>
#include <vector>

namespace ee::attestation {

// `code` with or without its suffix. A suffix chooses the more particular sentence where there is one.
// Empty for what is neither in refusal_codes.h nor a code of the tunnel itself: whoever shows a refusal, the
// agent or the control plane, shows the same sentence.
std::string_view remedy_of(std::string_view code);

// The same, and where advisories explain the refusal, which ones and where they are published.
std::string remedy_of(std::string_view code, const std::vector<std::string>& advisory_ids);

}  // namespace ee::attestation

#pragma once
// What an operator can do about each reason for which an agent does not serve.

#include <string_view>

namespace ee::agent {

// `code` as the control plane sent it, with or without a suffix behind ':'. Empty when there is no advice.
std::string_view advice_for(std::string_view code);

}  // namespace ee::agent

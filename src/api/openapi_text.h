#pragma once
// The text of openapi.yaml, embedded at build time.

#include <string_view>

namespace ee::api {

std::string_view openapi_text();

}  // namespace ee::api

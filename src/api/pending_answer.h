#pragma once
// A request whose answer is made on another thread.

#include <functional>
#include <memory>

#include "api/request.h"

namespace ee::api {

// Answers the request when it is called, on the loop, if the visitor is still there. Called once.
using Complete = std::function<void(const std::function<void(Request&)>&)>;

// Keeps the request until `complete` is called, however long after the visitor has left; after `answer_time`
// it is refused with `overloaded`. What the request's views show ends with the handler.
Complete answer_later(const Request& request);

}  // namespace ee::api

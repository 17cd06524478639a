#pragma once
// A request's fields as an app may see them: what a caller shows to prove itself to us is none of its
// business.

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "api/access.h"
#include "http/message.h"

namespace ee::api {

// Without every Authorization that is one of our tokens, and with our session's cookies taken out of Cookie.
// What is left is as it was sent. Borrows `fields`.
class AppFields {
public:
    AppFields(std::span<const http::Field> fields, const AccessControl& access);
    AppFields(const AppFields&) = delete;
    AppFields& operator=(const AppFields&) = delete;

    std::span<const http::Field> get() const { return fields_; }

private:
    void add_cookies(const http::Field& field);

    std::vector<http::Field> fields_;
    std::deque<std::string> cookies_;  // What is left of fields that named ours.
};

}  // namespace ee::api

#include "api/app_fields.h"

#include <algorithm>

#include "http/fields.h"

namespace ee::api {
namespace {

// Of the operator's page: over TLS, and over plain HTTP.
constexpr std::string_view session_cookies[] = {"__Host-ee_session", "ee_session"};
// Goes with the session where it changes something.
constexpr std::string_view csrf_field = "x-ee-csrf";

// RFC 6265 section 5.4: pairs separated by ';'. A name counts without the white space around it, as lenient
// servers read it.
bool is_session(std::string_view pair) {
    const std::string_view name = http::trim_whitespace(pair.substr(0, pair.find('=')));
    return std::ranges::find(session_cookies, name) != std::end(session_cookies);
}

template <class Visit>
void for_each_pair(std::string_view cookies, Visit&& visit) {
    while (!cookies.empty()) {
        const std::size_t end = cookies.find(';');
        visit(http::trim_whitespace(cookies.substr(0, end)));
        if (end == std::string_view::npos) return;
        cookies.remove_prefix(end + 1);
    }
}

}  // namespace

AppFields::AppFields(std::span<const http::Field> fields, const AccessControl& access) {
    fields_.reserve(fields.size());
    for (const http::Field& field : fields) {
        if (http::iequals(field.name, csrf_field)) continue;
        if (http::iequals(field.name, "authorization") && access.is_own_token(field.value)) continue;
        if (http::iequals(field.name, "cookie"))
            add_cookies(field);
        else
            fields_.push_back(field);
    }
}

void AppFields::add_cookies(const http::Field& field) {
    bool has_ours = false;
    for_each_pair(field.value, [&](std::string_view pair) { has_ours = has_ours || is_session(pair); });
    if (!has_ours) return fields_.push_back(field);
    std::string left;
    for_each_pair(field.value, [&](std::string_view pair) {
        if (!pair.empty() && !is_session(pair)) left.append(left.empty() ? "" : "; ").append(pair);
    });
    if (!left.empty()) fields_.push_back({field.name, cookies_.emplace_back(std::move(left))});
}

}  // namespace ee::api

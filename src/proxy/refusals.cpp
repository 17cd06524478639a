#include "proxy/refusals.h"

#include <iterator>

namespace ee::proxy {
namespace {

struct NamedRow {
    std::string_view code;  // Up to a ':'.
    RefusalRow row;
};

constexpr NamedRow rows[] = {
    {"missing_app", {400, false, false}},
    {"bad_request", {400, false, false}},
    {"invalid_json", {400, false, false}},
    {"invalid_field", {422, false, false}},
    {"unknown_field", {422, false, false}},
    {"unknown_app", {404, false, false}},
    {"expired", {403, false, true}},
    {"unattested", {403, false, true}},
    {"banned", {403, false, true}},
    {"no_stake", {403, false, true}},
    {"unfunded", {403, false, true}},
    {"invalid_requirement", {400, false, false}},
    {"requirement_unmet", {412, false, false}},
    {"body_too_large", {413, false, false}},
    {"rate_limited", {429, true, false}},
    {"unsupported_websocket_version", {426, false, false}},
    {"upgrade_unsupported", {501, false, false}},
    {"offline", {503, true, false}},
    {"unhealthy", {503, true, false}},
    {"draining", {503, true, false}},
    {"overloaded", {503, true, false}},
    {"proxy_timeout", {504, false, false}},
    {"tunnel_closed", {502, false, false}},
    {"backend_unreachable", {502, false, false}},
    {"bad_agent_answer", {502, false, false}},
};

}  // namespace

RefusalRow refusal_row(std::string_view code) {
    const std::string_view stem = code.substr(0, code.find(':'));
    for (const NamedRow& named : rows)
        if (named.code == stem) return named.row;
    return {502, false, false};
}

}  // namespace ee::proxy

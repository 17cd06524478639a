#pragma once
// A request that has found its route, and the ways to answer it.

#include <string>
#include <string_view>
#include <vector>

#include "api/services.h"
#include "http/exchange.h"
#include "proxy/visitor.h"

namespace ee::api {

struct Request {
    http::Exchange& exchange;
    Services& services;
    std::string_view query;
    std::vector<std::string> parameters;  // Of the path, decoded, in order.
    std::string_view rest;                // Of the path, as Match has it.
    std::string_view request_id;          // Valid until the handler has returned.
    proxy::Visitor visitor;
    Caller caller{};
    std::string_view route{};  // Its pattern in the table; empty: none.

    // The field Server-Timing: how long the request has been there.
    std::string server_timing() const;
    // `content_type` empty: there is no body.
    void reply(int status, std::string_view content_type, std::string_view body,
               std::span<const http::Field> more = {});
    void reply_json(int status, std::string_view body) { reply(status, "application/json", body); }
    // problem+json; the status follows from the code.
    void refuse(const Error& why, std::span<const http::Field> more = {});
};

// The status that answers a refusal of the API.
int status_of(std::string_view code);

}  // namespace ee::api

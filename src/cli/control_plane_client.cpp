#include "cli/control_plane_client.h"

#include <ostream>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "base/printable.h"
#include "net/url.h"

namespace ee::cli {
namespace {

constexpr std::size_t token_file_bytes_max = 16 * 1024;
// Of a stream that says something every 15 s.
constexpr int silence_s_max = 45;
constexpr const char* default_url = "http://127.0.0.1:8088";

// A setting may list several tokens while one is being replaced; the first is the newest.
Secret first_token(std::string_view list) {
    list = list.substr(0, list.find_first_of(",\r\n"));
    while (list.starts_with(' ')) list.remove_prefix(1);
    while (list.ends_with(' ')) list.remove_suffix(1);
    return Secret(std::string(list));
}

// Of the first setting that is there: a token, or the name of its file.
Result<Secret> token_of(const Context& context) {
    for (const char* name : {"EECTL_TOKEN", "EE_ADMIN_TOKEN"}) {
        if (const auto value = context.environment(name); value && !value->empty())
            return first_token(*value);
        const std::string file_name = std::string(name) + "_FILE";
        const auto file = context.environment(file_name.c_str());
        if (!file || file->empty()) continue;
        const auto content = attestation::read_whole_file(*file, token_file_bytes_max);
        if (!content) return fail("usage", file_name + ": " + content.error().detail);
        return first_token(*content);
    }
    return Secret();
}

std::string setting(const Context& context, const char* name) {
    return context.environment(name).value_or("");
}

}  // namespace

Error refusal_of(const HttpAnswer& answer) {
    Error error{.code = std::to_string(answer.status),
                .detail = "HTTP status " + std::to_string(answer.status)};
    simdjson::dom::parser parser;
    simdjson::dom::element body;
    std::string_view text;
    if (parser.parse(answer.body).get(body) != simdjson::SUCCESS) return error;
    if (body["reason"].get(text) == simdjson::SUCCESS) error.code = text;
    if (body["detail"].get(text) == simdjson::SUCCESS && !text.empty()) error.detail = text;
    return error;
}

Result<std::string> control_plane_url(const std::string& url, const Context& context) {
    std::string chosen = url;
    for (const char* name : {"EECTL_URL", "EE_PUBLIC_URL"}) {
        if (chosen.empty()) chosen = setting(context, name);
    }
    if (chosen.empty()) chosen = default_url;
    const auto parsed = net::parse_url(chosen);
    if (!parsed || (parsed->scheme != "http" && parsed->scheme != "https"))
        return fail("usage", "\"" + chosen + "\" is not the http:// or https:// URL of a control plane");
    return chosen;
}

Result<ControlPlaneClient> ControlPlaneClient::from_environment(const std::string& url, Context& context) {
    auto chosen = control_plane_url(url, context);
    if (!chosen) return fail(chosen.error());
    ControlPlaneClient client;
    client.url_ = std::move(*chosen);
    const auto parsed = net::parse_url(client.url_);
    auto token = token_of(context);
    if (!token) return fail(token.error());
    client.token_ = std::move(*token);
    client.tls_ca_ = setting(context, "EE_TLS_CA");
    if (!client.token_.empty() && parsed->scheme == "http" && !parsed->is_loopback()) {
        context.err << "eectl: the token goes to " << parsed->host << " in the clear; use https://\n";
    }
    return client;
}

HttpCall ControlPlaneClient::call_to(const std::string& target) const {
    HttpCall call;
    call.url = url_;
    call.target = target;
    call.bearer = token_;
    call.tls_ca = tls_ca_;
    return call;
}

Result<std::string> ControlPlaneClient::get(const std::string& target) const {
    auto answer = http_call(call_to(target));
    if (!answer) return fail(answer.error());
    if (answer->status != 200) return fail(refusal_of(*answer));
    return std::move(answer->body);
}

Result<HttpAnswer> ControlPlaneClient::post(const std::string& target, const std::string& body,
                                            std::vector<std::pair<std::string, std::string>> fields) const {
    HttpCall call = call_to(target);
    call.method = "POST";
    call.body = body;
    call.fields = std::move(fields);
    return http_call(call);
}

Result<std::string> ControlPlaneClient::send(const std::string& method, const std::string& target,
                                             const std::string& body) const {
    HttpCall call = call_to(target);
    call.method = method;
    call.body = body;
    auto answer = http_call(call);
    if (!answer) return fail(answer.error());
    if (answer->status < 200 || answer->status > 202) return fail(refusal_of(*answer));
    return std::move(answer->body);
}

Result<void> ControlPlaneClient::stream(const std::string& target,
                                        std::vector<std::pair<std::string, std::string>> fields,
                                        const OnPiece& on_piece) const {
    HttpCall call = call_to(target);
    call.fields = std::move(fields);
    call.timeout_s = silence_s_max;
    const auto answer = http_stream(call, on_piece);
    if (!answer) return fail(answer.error());
    if (answer->status != 200) return fail(refusal_of(*answer));
    return {};
}

int report_refusal(const ControlPlaneClient& client, const Error& error, Context& context) {
    context.err << fmt::format("eectl: {}: {}\n", printable(error.code), printable(error.detail));
    if (error.code == "unreachable") {
        context.err << fmt::format(
            "eectl: is the control plane running at {}? Name another with --url or EECTL_URL\n",
            client.url());
    } else if (error.code == "401" || error.code == "unauthorized") {
        context.err
            << "eectl: set EE_ADMIN_TOKEN or EE_ADMIN_TOKEN_FILE to the control plane's admin token, or "
               "EECTL_TOKEN or EECTL_TOKEN_FILE to another one\n";
    }
    return exit_refused;
}

std::string percent_encoded(std::string_view text) {
    return attestation::percent_encoded_segment(text);
}

}  // namespace ee::cli

#include <fmt/format.h>

#include "base/base64.h"
#include "base/names.h"
#include "base/utf8.h"
#include "protocol/field_reader.h"
#include "protocol/limits.h"

namespace ee::protocol {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr FieldReader::Rule repo_rule{is_repo, "owner/name"};
constexpr FieldReader::Rule release_tag_rule{
    is_release_tag, "1 to 128 bytes without control characters, backslash, \"..\" or a leading slash"};
constexpr FieldReader::Rule app_name_rule{is_app_name, "a DNS label in lower case"};
constexpr FieldReader::Rule id_rule{is_agent_id, "1 to 128 of [A-Za-z0-9._:-]"};
constexpr FieldReader::Rule network_rule{is_network_name, "1 to 64 of [A-Za-z0-9._-]"};
constexpr FieldReader::Rule any_text{[](std::string_view) { return true; }, "a string"};
constexpr FieldReader::Rule version_rule{[](std::string_view text) {
                                             return text.size() <= tunnel_version_bytes_max &&
                                                    (text.empty() || is_release_tag(text));
                                         },
                                         "at most 64 bytes that could stand in a release tag"};
constexpr FieldReader::Rule checkpoint_rule{
    [](std::string_view text) { return text.size() <= checkpoint_bytes_max; }, "a string of at most 8 KiB"};
constexpr FieldReader::Rule node_token_rule{
    [](std::string_view text) { return !text.empty() && text.size() <= node_token_bytes_max; },
    "a string of 1 to 512 bytes"};

Result<AgentMessage> read_register(object fields) {
    FieldReader reader(fields, "register");
    Register message;
    message.repo = reader.text("repo", repo_rule);
    message.release_tag = reader.text("release_tag", release_tag_rule);
    message.app_name = reader.text("app_name", app_name_rule);
    if (auto network = reader.optional_text("network", network_rule)) message.network = std::move(*network);
    message.agent_id = reader.text("agent_id", id_rule);
    message.node_id = reader.optional_text("node_id", id_rule);
    message.tunnel_version = reader.optional_text("tunnel_version", version_rule);
    message.checkpoint = reader.optional_text("checkpoint", checkpoint_rule);
    if (const auto count = reader.optional_integer("max_requests", 1, requests_outstanding_max))
        message.max_requests = static_cast<std::uint32_t>(*count);
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

Result<AgentMessage> read_attest_response(object fields) {
    FieldReader reader(fields, "attest_response");
    AttestResponse message;
    message.nonce = reader.hex<32>("nonce");
    message.quote = reader.base64("quote", quote_bytes_max);
    message.report_data = reader.hex<64>("report_data");
    message.measurements = reader.claims("measurements", claims_bytes_max);
    message.layout2 = reader.optional_integer("layout", 2, 2).has_value();
    message.agent_key = reader.optional_base64("agent_key", agent_key_bytes_max);
    message.signature = reader.optional_base64("signature", signature_bytes_max);
    if (auto token = reader.optional_text("node_token", node_token_rule))
        message.node_token = Secret(std::move(*token));
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

// Cuts at a character's boundary.
void shorten(std::string& text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return;
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
}

Result<AgentMessage> read_health(object fields) {
    FieldReader reader(fields, "health");
    Health message;
    message.pass = reader.text("status", any_text) == "pass";
    message.detail = reader.optional_text("detail", any_text).value_or("");
    shorten(message.detail, health_detail_bytes_max);
    message.checkpoint = reader.optional_text("checkpoint", checkpoint_rule);
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

Result<ProxyAnswer> read_answer(object fields) {
    const auto broken = [](std::string detail) { return fail("bad_agent_answer", std::move(detail)); };
    ProxyAnswer answer;
    element error, status, headers;
    std::string_view word;
    if (fields.at_key("error").get(error) == SUCCESS && !error.is_null()) {
        if (error.get_string().get(word) != SUCCESS) return broken("error is not a string");
        if (word == backend_unreachable) return fail(std::string(word), "the agent cannot reach its backend");
        if (word == backend_timeout) return fail("proxy_timeout", "the backend did not answer in time");
        if (word == bad_backend_answer) return broken("the backend's answer is broken or too large");
    }
    std::int64_t number = 0;
    if (fields.at_key("status").get(status) != SUCCESS || status.get_int64().get(number) != SUCCESS ||
        number < 200 || number > 599)
        return broken("status must be an integer from 200 to 599");
    answer.status = static_cast<int>(number);
    if (fields.at_key("headers").get(headers) != SUCCESS) return broken("headers are missing");
    if (auto why = read_headers(headers, answer.headers, answer_fields_max, answer_head_bytes_max))
        return broken(std::move(*why));
    const auto body = string_member(fields, "body_b64");
    if (!body || !append_from_base64(answer.body, *body)) return broken("body_b64 must be base64");
    return answer;
}

Result<AgentMessage> read_proxy_response(object fields) {
    element id;
    std::string_view text;
    if (fields.at_key("request_id").get(id) != SUCCESS)
        return fail("missing_fields", "proxy_response lacks request_id");
    if (id.get_string().get(text) != SUCCESS || text.size() > 128)
        return fail("invalid_field:request_id", "request_id must be the string of the proxy_request");
    return ProxyResponse{std::string(text), read_answer(fields)};
}

Result<AgentMessage> read_message(object fields) {
    const auto type = string_member(fields, "type");
    if (!type) return fail("unknown_message", "a message has a string \"type\"");
    if (*type == "proxy_response") return read_proxy_response(fields);
    if (*type == "health") return read_health(fields);
    if (*type == "attest_response") return read_attest_response(fields);
    if (*type == "register") return read_register(fields);
    return fail("unknown_message",
                fmt::format("no message of an agent's has the type \"{}\"", type->substr(0, 64)));
}

}  // namespace

Result<AgentMessage> Decoder::decode_agent_message(PaddedText text) {
    return json_->decode(text, read_message);
}

}  // namespace ee::protocol

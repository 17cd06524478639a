#include <limits>

#include <fmt/format.h>

#include "protocol/field_reader.h"
#include "protocol/limits.h"

namespace ee::protocol {
namespace {

using simdjson::dom::object;

constexpr std::uint64_t uint32_max = std::numeric_limits<std::uint32_t>::max();

constexpr FieldReader::Rule any_text{[](std::string_view) { return true; }, "a string"};
constexpr FieldReader::Rule token_rule{is_token, "a token"};
constexpr FieldReader::Rule request_id_rule{[](std::string_view text) { return text.size() <= 128; },
                                            "a string of at most 128 bytes"};
// What may stand in a request line: no space, no control character.
constexpr FieldReader::Rule path_rule{
    [](std::string_view text) {
        return !text.empty() && (text.front() == '/' || text == "*") &&
               text.find_first_of(std::string_view("\0\t\n\v\f\r \x7f", 8)) == std::string_view::npos;
    },
    "a path"};

std::optional<std::uint32_t> optional_uint32(FieldReader& reader, std::string_view name) {
    const auto number = reader.optional_integer(name, 0, uint32_max);
    if (!number) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

Result<ControlMessage> read_attest_request(object fields) {
    FieldReader reader(fields, "attest_request");
    AttestRequest message;
    message.nonce = reader.hex<32>("nonce");
    message.deadline_s = static_cast<std::uint32_t>(reader.integer("deadline_s", 0, uint32_max));
    const std::string reason = reader.optional_text("reason", any_text).value_or("register");
    if (reason == "register")
        message.reason = ChallengeReason::registration;
    else
        message.reason = reason == "operator" ? ChallengeReason::operator_request : ChallengeReason::periodic;
    message.layout2 = reader.optional_integer("layout", 2, 2).has_value();
    message.binding = reader.optional_text("binding", any_text).value_or("none");
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

Result<ControlMessage> read_status(object fields) {
    FieldReader reader(fields, "status");
    Status message;
    const std::string state = reader.text("state", any_text);
    if (state == "ok")
        message.state = StatusState::ok;
    else if (state == "invalid")
        message.state = StatusState::invalid;
    else if (state == "draining")
        message.state = StatusState::draining;
    else
        message.state = StatusState::warning;
    message.reason = reader.optional_text("reason", any_text).value_or("");
    message.detail = reader.optional_text("detail", any_text).value_or("");
    message.retry_after_s = optional_uint32(reader, "retry_after_s");
    message.reconnect_after_ms = optional_uint32(reader, "reconnect_after_ms");
    message.checkpoint = reader.optional_text("checkpoint", any_text);
    message.consistency_proof = reader.optional_text("consistency_proof", any_text);
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

Result<ControlMessage> read_proxy_request(object fields) {
    FieldReader reader(fields, "proxy_request");
    ProxyRequest message;
    message.request_id = reader.text("request_id", request_id_rule);
    message.method = reader.text("method", token_rule);
    message.path = reader.text("path", path_rule);
    message.headers = reader.headers("headers");
    message.body = reader.body("body_b64");
    if (auto refusal = reader.refusal()) return fail(std::move(*refusal));
    return message;
}

Result<ControlMessage> read_message(object fields) {
    const auto type = string_member(fields, "type");
    if (!type) return fail("unknown_message", "a message has a string \"type\"");
    if (*type == "proxy_request") return read_proxy_request(fields);
    if (*type == "status") return read_status(fields);
    if (*type == "attest_request") return read_attest_request(fields);
    return fail("unknown_message",
                fmt::format("no message of the control plane's has the type \"{}\"", type->substr(0, 64)));
}

}  // namespace

Result<ControlMessage> Decoder::decode_control_message(PaddedText text) {
    return json_->decode(text, read_message);
}

}  // namespace ee::protocol

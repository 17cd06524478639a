// Any bytes as tunnel messages, one a line, of an agent and of a control plane: the codec answers with a
// value or a refusal, a value that is written again reads the same, and the session machine survives the
// sequence.

#include <cstdint>
#include <string>

#include "base/check.h"
#include "protocol/encoder.h"
#include "tunnel/session_machine.h"

namespace {

using namespace ee;

protocol::Decoder& decoder() {
    static protocol::Decoder decoder;
    return decoder;
}

template <class Message>
std::string write(const Message& message) {
    return protocol::encode(message);
}

template <>
std::string write(const protocol::ProxyResponse& response) {
    std::string out;
    if (!response.answer) {
        protocol::append_proxy_response(
            out, {.request_id = response.request_id, .error = protocol::backend_unreachable});
        return out;
    }
    std::vector<protocol::HeaderView> headers;
    for (const auto& field : response.answer->headers) headers.push_back({field.name, field.value});
    protocol::append_proxy_response(out, {.request_id = response.request_id,
                                          .status = response.answer->status,
                                          .headers = headers,
                                          .body = response.answer->body});
    return out;
}

template <>
std::string write(const protocol::ProxyRequest& request) {
    std::vector<protocol::HeaderView> headers;
    for (const auto& field : request.headers) headers.push_back({field.name, field.value});
    std::string out;
    protocol::append_proxy_request(out, {.request_id = request.request_id,
                                         .method = request.method,
                                         .path = request.path,
                                         .headers = headers,
                                         .body = request.body});
    return out;
}

// Written, read, and written again: the two texts are the same.
void check_round_trip(std::string line) {
    if (const auto message = decoder().decode_agent_message(protocol::PaddedText(line))) {
        std::string first = std::visit([](const auto& content) { return write(content); }, *message);
        const auto again = decoder().decode_agent_message(protocol::PaddedText(first));
        EE_CHECK(again.has_value());
        EE_CHECK(std::visit([](const auto& content) { return write(content); }, *again) == first);
    } else {
        EE_CHECK(!message.error().code.empty());
    }
    if (const auto message = decoder().decode_control_message(protocol::PaddedText(line))) {
        std::string first = std::visit([](const auto& content) { return write(content); }, *message);
        const auto again = decoder().decode_control_message(protocol::PaddedText(first));
        EE_CHECK(again.has_value());
        EE_CHECK(std::visit([](const auto& content) { return write(content); }, *again) == first);
    }
}

// Answers what the machine asks, by the line's length: every way through it is open to the search.
void answer(tunnel::SessionMachine& machine, const tunnel::Action& action, std::size_t choice, Moment now,
            tunnel::Actions& out) {
    if (std::holds_alternative<tunnel::CheckClaim>(action))
        machine.claim_checked(tunnel::ClaimTerms{"nonce"}, now, out);
    if (std::holds_alternative<tunnel::Admit>(action)) machine.admission(tunnel::AdmissionTerms{}, now, out);
    if (!std::holds_alternative<tunnel::Verify>(action)) return;
    if (choice % 4 == 0)
        machine.judged(fail("collateral_unavailable"), now, out);
    else if (choice % 4 == 1)
        machine.judged(fail("quote_malformed"), now, out);
    else
        machine.judged({}, now, out);
}

void drive_machine(std::string_view lines) {
    static const tunnel::SessionSettings settings;
    Moment now{MonoTime{std::chrono::hours{1}}, WallTime{std::chrono::hours{1}}};
    tunnel::SessionMachine machine(
        settings, tunnel::Wire::v1, decoder(), [] { return ByteArray<32>{}; }, now.mono);
    tunnel::Actions actions;
    bool closed = false;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        std::string line(lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
        now.mono += std::chrono::seconds{line.size() % 7};
        if (line.size() % 11 == 10) machine.challenge(protocol::ChallengeReason::periodic, now.mono, actions);
        machine.receive_text(protocol::PaddedText(line), now, actions);
        machine.tick(now.mono, actions);
        for (std::size_t i = 0; i < actions.size(); ++i) {
            EE_CHECK(!closed);
            const tunnel::Action action = std::move(actions[i]);
            closed = std::holds_alternative<tunnel::Close>(action);
            answer(machine, action, line.size(), now, actions);
        }
        EE_CHECK(closed == (machine.state() == tunnel::SessionState::closed));
        actions.clear();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        check_round_trip(std::string(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    drive_machine(text);
    return 0;
}

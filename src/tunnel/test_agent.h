#pragma once
// The agent's end of a tunnel, frame by frame, and an owner of sessions that does as it is told: for tests.

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "http/http1_response_parser.h"
#include "http/websocket_frames.h"
#include "http/websocket_handshake.h"
#include "net/test_peer.h"
#include "protocol/decoder.h"
#include "protocol/encoder.h"
#include "tunnel/session.h"

namespace ee::tunnel {

inline protocol::Register test_registration(std::string agent_id = "a1", std::uint32_t max_requests = 64) {
    protocol::Register message;
    message.repo = "org/repo";
    message.release_tag = "v1";
    message.app_name = "myapp";
    message.network = "sandbox-1";
    message.agent_id = std::move(agent_id);
    message.max_requests = max_requests;
    return message;
}

// Writes down what it hears in words; answers pings unless told not to.
class TestAgent final : public net::Stream::Handler {
public:
    TestAgent(net::Loop& loop, net::Fd socket) : stream(loop, std::move(socket), *this) { stream.start(); }

    // Asks for the upgrade on a connection to an HTTP server.
    void upgrade(std::string_view path = "/v1/tunnel", std::span<const std::string_view> protocols = {}) {
        upgrading_ = true;
        const http::WebSocketRequest request{
            .target = path, .host = "a.example", .protocols = protocols, .fields = {}};
        EE_CHECK(http::append_websocket_request(stream.output(), request, {}));
        stream.flush_later();
    }
    void frame(http::Opcode opcode, std::string_view payload, bool fin = true) {
        http::append_frame(stream.output(), opcode, payload, mask_, fin);
        stream.flush_later();
    }
    void say(std::string_view text) { frame(http::Opcode::text, text); }
    // Bytes that need be no frame.
    void raw(std::string_view bytes) { stream.write(bytes); }
    template <class Message>
    void send(const Message& message) {
        say(protocol::encode(message));
    }
    // Answers the last challenge.
    void attest() {
        protocol::AttestResponse message;
        message.nonce = challenge.nonce;
        message.quote = {1, 2, 3};
        message.layout2 = true;
        send(message);
    }
    void answer(std::string_view request_id, std::string_view body, int status = 200,
                std::span<const protocol::HeaderView> headers = {}, std::string_view error = {}) {
        std::string text;
        protocol::append_proxy_response(
            text,
            {.request_id = request_id, .status = status, .headers = headers, .body = body, .error = error});
        say(text);
    }
    bool has_heard(std::string_view what) const {
        for (const std::string& words : heard)
            if (words == what) return true;
        return false;
    }

    net::Stream stream;
    std::vector<std::string> heard;
    std::string status_detail;                    // Of the last one.
    std::deque<protocol::ProxyRequest> requests;  // Not taken out by the test yet.
    protocol::AttestRequest challenge;
    std::string response;  // To the upgrade.
    std::string closed;
    bool answers_pings = true;
    std::function<void(std::string_view)> on_binary;
    std::string binary;  // That on_binary has not been given yet.

private:
    void on_data(std::span<char> data) override {
        if (upgrading_) {
            response.append(data.data(), data.size());
            const std::size_t end = response.find("\r\n\r\n");
            if (end == std::string::npos || !response.starts_with("HTTP/1.1 101")) return;
            upgrading_ = false;
            std::string rest = response.substr(end + 4);
            response.resize(end + 4);
            return on_data(rest);
        }
        for (;;) {
            std::size_t consumed = 0;
            const auto step = frames_.next(data, consumed);
            data = data.subspan(consumed);
            EE_CHECK(step.has_value());
            if (!*step) return;
            on_event(**step);
        }
    }
    void on_closed(const Error& why) override { closed = why.code; }

    void on_event(const http::Event& event) {
        using Kind = http::Event::Kind;
        if (event.kind == Kind::ping) {
            heard.emplace_back("ping");
            if (answers_pings) frame(http::Opcode::pong, event.payload);
        } else if (event.kind == Kind::pong) {
            heard.push_back("pong " + std::string(event.payload));
        } else if (event.kind == Kind::close) {
            heard.push_back(fmt::format("close {} {}", event.close_code, event.payload));
        } else if (event.kind == Kind::binary) {
            binary.append(event.payload);
            if (on_binary) on_binary(std::exchange(binary, {}));
        } else {
            on_message(std::string(event.payload));
        }
    }
    void on_message(std::string text) {
        auto message = decoder_.decode_control_message(protocol::PaddedText(text));
        EE_CHECK(message.has_value());
        if (auto* request = std::get_if<protocol::ProxyRequest>(&*message)) {
            heard.push_back("request " + request->path);
            requests.push_back(std::move(*request));
        } else if (const auto* status = std::get_if<protocol::Status>(&*message)) {
            heard.push_back(fmt::format("status {} {}", to_word(status->state), status->reason));
            status_detail = status->detail;
        } else {
            challenge = std::get<protocol::AttestRequest>(*message);
            heard.push_back(fmt::format("challenge {}", to_word(challenge.reason)));
        }
    }

    static constexpr http::MaskKey mask_{1, 2, 3, 4};
    http::FrameDecoder frames_{http::FrameDecoder::Role::client, {64 << 20, 64 << 20}};
    protocol::Decoder decoder_;
    bool upgrading_ = false;
};

// Says yes to everything, or holds a question open, and writes down what it is told.
struct TestOwner final : SessionOwner {
    void check_claim(Session& session) override {
        events.emplace_back("check claim");
        session.claim_checked(claim);
    }
    void verify(Session& session, std::shared_ptr<const AttestAnswer> given) override {
        events.emplace_back("verify");
        answer = std::move(given);
        if (!holds_verdicts) session.judged(verdict);
    }
    void admit(Session& session, std::shared_ptr<const AttestAnswer>) override {
        events.emplace_back("admit");
        session.admission(AdmissionTerms{});
    }
    void on_activated(Session& session) override {
        events.emplace_back("activated");
        if (activated) activated(session);
    }
    void on_renewed(Session& session, std::shared_ptr<const AttestAnswer>) override {
        events.emplace_back("renewed");
        if (renewed) renewed(session);
    }
    void on_inconclusive(Session&, const Error& why) override { note("inconclusive", why.code); }
    void on_attest_miss(Session&, const Error& why) override { note("miss", why.code); }
    void on_health(Session& session, const HealthReport& report) override {
        note("health", std::string(report.pass ? "pass" : "fail") +
                           (report.checkpoint ? ", holding " + *report.checkpoint : ""));
        if (health) health(session, report.pass);
    }
    void on_refused(Session&, const Refused& refused) override {
        note(refused.closes ? "refused" : "tolerated", refused.error.code);
    }
    void on_drain(Session& session, const std::string& reason) override {
        note("drain", reason);
        if (drained) drained(session, reason);
    }
    void on_rtt(Session&, std::chrono::microseconds) override { events.emplace_back("rtt"); }
    void on_answer_dropped(Session&, std::string_view why) override { note("dropped", why); }
    void on_closed(Session& session, const std::string& reason) override {
        note("closed", reason);
        if (closed) closed(session, reason);
    }

    void note(std::string_view what, std::string_view code) {
        events.push_back(std::string(what) + " " + std::string(code));
    }
    std::size_t count(std::string_view event) const {
        return static_cast<std::size_t>(std::count(events.begin(), events.end(), event));
    }
    bool has(std::string_view event) const { return count(event) > 0; }

    std::vector<std::string> events;
    Result<ClaimTerms> claim = ClaimTerms{"nonce"};
    Result<void> verdict;
    bool holds_verdicts = false;
    std::shared_ptr<const AttestAnswer> answer;  // The last one to be judged.
    std::function<void(Session&)> activated, renewed;
    std::function<void(Session&, bool)> health;
    std::function<void(Session&, const std::string&)> drained, closed;
};

// Writes down what became of its request.
struct TestVisitor final : StreamObserver {
    void on_head(int status, std::span<const http::Field>, std::optional<std::uint64_t>, bool) override {
        got = std::to_string(status) + " ";
    }
    void on_body(std::string_view bytes) override { got.append(bytes); }
    void on_end(std::span<const http::Field>) override {
        got.append(".");
        if (ended) ended();
    }
    void on_failed(const Error& error) override {
        got.append(error.code);
        if (failed) failed();
    }

    std::string got;
    std::function<void()> failed, ended;
};

// Nonces that differ, and times that do not.
inline Entropy test_entropy() {
    return [n = std::uint8_t{0}]() mutable {
        ByteArray<32> bytes{};
        bytes[31] = ++n;
        return bytes;
    };
}

}  // namespace ee::tunnel

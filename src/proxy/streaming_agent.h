#pragma once
// The agent's end of a v2 tunnel, stream by stream: for tests.

#include <optional>
#include <string>

#include <fmt/format.h>

#include "http/http2_session.h"
#include "tunnel/message_sink.h"
#include "tunnel/test_agent.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

// Opens what a test tells it to.
struct StreamingAgent final : http::Http2Observer {
    StreamingAgent(net::Loop& loop, std::uint16_t port) : wire(loop, net::connect_to(port)) {
        const std::string_view offered[] = {tunnel::v2_subprotocol};
        wire.on_binary = [this](std::string_view bytes) {
            EE_CHECK(session.receive(bytes));
            flush();
        };
        wire.upgrade("/v1/tunnel", offered);
    }
    void flush() {
        tunnel::MessageSink sink(wire.stream.output(),
                                 [] { return std::optional<http::MaskKey>({1, 2, 3, 4}); });
        session.pull(sink, 16 << 20);
        wire.stream.flush_later();
    }
    void respond(int status, std::span<const http::Field> fields = {}, bool end = false) {
        session.keep_receiving(last);
        session.respond(last, {.status = status, .fields = fields}, "", end);
        flush();
    }
    void say(std::string_view bytes) {
        session.send_body(last, bytes);
        flush();
    }
    void end() {
        session.end_body(last);
        flush();
    }
    void reset(std::uint32_t code = http::http2_code::connect_error) {
        session.reset(last, code);
        flush();
    }

    void on_head(http::Http2StreamId stream, const http::Http2Head& head, bool) override {
        last = stream;
        asked = fmt::format("{} {} {} {}", head.method, head.protocol, head.authority, head.path);
        for (const http::Field& field : head.fields) asked += fmt::format(" {}={}", field.name, field.value);
    }
    void on_body(http::Http2StreamId stream, std::string_view bytes) override {
        received.append(bytes);
        if (consumes) session.consume(stream, bytes.size());
    }
    void on_end(http::Http2StreamId, std::span<const http::Field> fields) override {
        for (const http::Field& field : fields) trailers += fmt::format("{}={} ", field.name, field.value);
        ended = true;
    }
    void on_reset(http::Http2StreamId, std::uint32_t code) override { reset_code = code; }

    tunnel::TestAgent wire;
    http::Http2Session session{{.role = http::Http2Settings::Role::server, .connect_protocol = true}, *this};
    http::Http2StreamId last = 0;
    std::string asked, received, trailers;
    bool ended = false, consumes = true;
    std::optional<std::uint32_t> reset_code;
};

}  // namespace ee::proxy

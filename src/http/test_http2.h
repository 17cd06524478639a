#pragma once
// One side of an HTTP/2 connection that remembers what it heard.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "http/http2_session.h"

namespace ee::http {

struct StringSink final : Http2Sink {
    void write(std::string_view bytes) override { text.append(bytes); }
    std::string text;
};

// RFC 9113 section 4.1.
inline std::string frame(std::uint8_t type, std::uint8_t flags, Http2StreamId stream,
                         std::string_view payload = {}) {
    std::string out;
    append_big_endian<3>(out, payload.size());
    append_big_endian<1>(out, type);
    append_big_endian<1>(out, flags);
    append_big_endian<4>(out, static_cast<std::uint32_t>(stream));
    return out.append(payload);
}
// GET http://a.example/
constexpr std::string_view get_block =
    "\x82\x86\x84\x41\x09"
    "a.example";

// Remembers what it heard of each stream, and consumes at once unless told not to.
struct Side final : Http2Observer {
    struct Heard {
        std::string head;  // "GET https host /path field=value"
        std::string interim, body, trailers;
        bool ended = false;
        std::optional<std::uint32_t> reset;
        std::size_t taken = 0;
        int completed = 0;
    };

    explicit Side(const Http2Settings& settings) : session(settings, *this) {}

    void on_head(Http2StreamId stream, const Http2Head& head, bool) override {
        Heard& heard = streams[stream];
        EXPECT_TRUE(heard.head.empty()) << "one head a stream";
        for (const std::string_view part :
             {head.method, head.protocol, head.scheme, head.authority, head.path})
            if (!part.empty()) heard.head.append(heard.head.empty() ? "" : " ").append(part);
        if (head.status != 0) heard.head = std::to_string(head.status);
        if (head.is_too_large) heard.head = "too large";
        heard.head += text_of(head.fields);
        order.push_back(stream);
        if (on_request) on_request(stream);
    }
    void on_interim(Http2StreamId stream, int status, std::span<const Field> fields) override {
        streams[stream].interim += std::to_string(status) + text_of(fields);
    }
    void on_body(Http2StreamId stream, std::string_view bytes) override {
        streams[stream].body.append(keep_bodies ? bytes : "");
        received[stream] += bytes.size();
        order.push_back(stream);
        if (consumes) session.consume(stream, bytes.size());
        if (on_bytes) on_bytes(stream);
    }
    void on_end(Http2StreamId stream, std::span<const Field> trailers) override {
        EXPECT_FALSE(streams[stream].ended);
        streams[stream].ended = true;
        streams[stream].trailers = text_of(trailers);
    }
    void on_reset(Http2StreamId stream, std::uint32_t code) override {
        EXPECT_FALSE(streams[stream].reset);
        streams[stream].reset = code;
    }
    void on_complete(Http2StreamId stream, bool) override { ++streams[stream].completed; }
    void on_body_taken(Http2StreamId stream, std::size_t bytes) override { streams[stream].taken += bytes; }
    void on_goaway(std::uint32_t code) override { goaway = code; }

    static std::string text_of(std::span<const Field> fields) {
        std::string out;
        for (const Field& field : fields) out.append(" ").append(field.name).append("=").append(field.value);
        return out;
    }

    std::map<Http2StreamId, Heard> streams;
    std::map<Http2StreamId, std::size_t> received;
    std::vector<Http2StreamId> order;  // Of heads and bodies.
    std::optional<std::uint32_t> goaway;
    std::function<void(Http2StreamId)> on_request, on_bytes;
    bool consumes = true, keep_bodies = true;
    Http2Session session;
};

}  // namespace ee::http

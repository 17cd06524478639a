// Any bytes from an HTTP/2 peer, after a byte of switches: for a server that answers what it is asked, or for
// a client that has asked. Whatever comes, what is held stays within its limits and each stream is told of
// its end once; and a request that is taken, written as HTTP/1.1, is read there as the same.

#include <set>

#include "base/check.h"
#include "http/http1_request_parser.h"
#include "http/http1_writer.h"
#include "http/http2_request.h"

namespace {

using namespace ee::http;

constexpr std::size_t unconsumed_max = 64 * 1024;

void compare_with_http1(const Http2Head& head, bool end) {
    RequestHead taken;
    if (!read_request(head, end, taken)) return;
    std::string text;
    EE_CHECK(append_request_head(text, taken.method, taken.target, taken.fields));
    if (!taken.protocol.empty()) return;  // CONNECT, which HTTP/1.1 does not serve.
    RequestParser parser({.bytes_max = 1 << 16, .fields_max = 100});
    RequestHead read;
    const auto size = parser.parse(text, read);
    EE_CHECK(size && *size == text.size());
    EE_CHECK(read.method == taken.method && read.origin_form == taken.origin_form);
    EE_CHECK(read.authority == taken.authority && read.fields == taken.fields);
    EE_CHECK(end || (read.framing == Framing::length) == (taken.framing == Framing::length));
    EE_CHECK(end || read.content_length == taken.content_length);
}

Http2Settings settings(Http2Settings::Role role, bool is_strict) {
    Http2Settings out{.role = role, .streams_max = 8, .connect_protocol = true, .is_strict = is_strict};
    out.window_bytes = 16 * 1024;
    out.window_bytes_max = 64 * 1024;
    out.unconsumed_bytes_max = unconsumed_max;
    out.window_bytes_under_pressure = 1024;
    out.head = {.bytes_max = 4096, .fields_max = 20};
    return out;
}

class Peer final : public Http2Observer {
public:
    Peer(Http2Settings::Role role, unsigned switches)
        : session(settings(role, (switches & 16) != 0), *this),
          consumes_((switches & 2) != 0),
          answers_((switches & 4) != 0) {}

    Http2Session session;

private:
    void on_head(Http2StreamId stream, const Http2Head& head, bool end) override {
        EE_CHECK(heads_.insert(stream).second);
        EE_CHECK(head.fields.size() <= 20);
        EE_CHECK((head.status != 0) == head.method.empty());
        for (const Field& field : head.fields) {
            EE_CHECK(!field.name.empty() && field.name[0] != ':');
            EE_CHECK(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
        }
        if (head.status == 0) compare_with_http1(head, end);
        if (head.status == 0 && answers_) session.respond(stream, {.status = 200}, "answer", true);
    }
    void on_body(Http2StreamId stream, std::string_view bytes) override {
        EE_CHECK(heads_.contains(stream) && !ended_.contains(stream));
        if (consumes_) session.consume(stream, bytes.size());
        EE_CHECK(session.unconsumed_bytes() <= unconsumed_max);
    }
    void on_end(Http2StreamId stream, std::span<const Field>) override {
        EE_CHECK(heads_.contains(stream) && ended_.insert(stream).second && !reset_.contains(stream));
    }
    void on_reset(Http2StreamId stream, std::uint32_t) override { EE_CHECK(reset_.insert(stream).second); }

    void on_complete(Http2StreamId stream, bool) override {
        EE_CHECK(heads_.contains(stream) && complete_.insert(stream).second && !reset_.contains(stream));
    }

    bool consumes_, answers_;
    std::set<Http2StreamId> heads_, ended_, reset_, complete_;
};

struct Counter final : Http2Sink {
    void write(std::string_view bytes) override { size += bytes.size(); }
    std::size_t size = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const bool is_client = (data[0] & 1) != 0;
    Peer peer(is_client ? Http2Settings::Role::client : Http2Settings::Role::server, data[0]);
    for (int i = 0; is_client && i < 3; ++i)
        EE_CHECK(
            peer.session.open({.method = "GET", .scheme = "https", .authority = "a", .path = "/"}, "", true));
    Counter written;
    peer.session.pull(written, 1 << 20);
    const std::size_t piece = (data[0] & 8) != 0 ? 7 : 4096;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    while (!rest.empty() && peer.session.receive(rest.substr(0, piece))) {
        rest.remove_prefix(std::min(piece, rest.size()));
        peer.session.pull(written, 1 << 20);
        EE_CHECK(peer.session.open_streams() <= 8);
    }
    // A peer of so many bytes makes us say no more than this: acknowledgements, answers, resets.
    EE_CHECK(written.size <= 4096 + 64 * size);
    return 0;
}

#include "http/http2_session.h"

#include <algorithm>
#include <nghttp2/nghttp2.h>
#include <utility>

#include "base/check.h"
#include "base/kept_buffer.h"
#include "http/fields.h"
#include "http/http2_callbacks.h"

namespace ee::http {
namespace {

// All bodies of a connection count against this only until they are handed out.
constexpr std::int32_t connection_window = 64 * 1024 * 1024;
// Of streams that were given up and wait for the peer to be told: their heads are kept until then.
constexpr std::size_t given_up_max = 256;
// Of what goes before bodies: acknowledgements (nghttp2 has at most 1000 wait), what tells of streams that
// were given up; and of each stream its head, interim answers (16 of a request), window and end. With room
// for who stops reading the peer before that.
constexpr std::size_t waiting_frames_max = 2048;
constexpr std::size_t waiting_frames_of_stream_max = 32;
constexpr std::uint32_t stream_id_max = 0x7fffffff;  // RFC 9113 section 5.1.1
constexpr std::uint8_t probe_mark[8] = {'e', 'e', '-', 'p', 'r', 'o', 'b', 'e'};

// What is kept out of the table of fields that HPACK lets a connection refer back to. Secrets: one connection
// carries many visitors' requests, and how large one becomes would tell of another's (RFC 7541 section 7.1).
// And what is never the same twice: it would push the fields out that always are.
bool is_unindexed(std::string_view name) {
    switch (name.size()) {
        case 6: return iequals(name, "cookie");
        case 10: return iequals(name, "set-cookie") || iequals(name, "tracestate");
        case 11: return iequals(name, "traceparent");
        case 12: return iequals(name, "x-request-id");
        case 13: return iequals(name, "authorization");
        case 19: return iequals(name, "proxy-authorization");
        default: return false;
    }
}

// The pseudo-header fields come first. Reused from head to head.
std::vector<nghttp2_nv>& to_block(const Http2Head& head, std::string& status_text) {
    thread_local std::vector<nghttp2_nv> block;
    block.clear();
    if (head.status != 0) {
        status_text = std::to_string(head.status);
        block.push_back(name_value(":status", status_text));
    } else {
        block.push_back(name_value(":method", head.method));
        if (!head.protocol.empty()) block.push_back(name_value(":protocol", head.protocol));
        if (!head.scheme.empty()) block.push_back(name_value(":scheme", head.scheme));
        if (!head.path.empty()) block.push_back(name_value(":path", head.path));
        if (!head.authority.empty()) block.push_back(name_value(":authority", head.authority));
    }
    for (const Field& field : head.fields) {
        block.push_back(name_value(field.name, field.value));
        if (is_unindexed(field.name)) block.back().flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return block;
}

// Of a frame's first bytes: it is part of a head, and CONTINUATION is behind it (RFC 9113 section 6.10).
bool is_head_that_goes_on(const std::uint8_t* frame) {
    const bool is_head = frame[3] == NGHTTP2_HEADERS || frame[3] == NGHTTP2_CONTINUATION;
    return is_head && (frame[4] & NGHTTP2_FLAG_END_HEADERS) == 0;
}

}  // namespace

Http2Session::Http2Session(const Http2Settings& settings, Http2Observer& observer)
    : settings_(settings), observer_(observer), spare_(32), queued_(settings.memory) {
    session_ = Callbacks::make(settings_, *this);
    const bool is_server = settings_.role == Http2Settings::Role::server;
    std::vector<nghttp2_settings_entry> entries = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings_.window_bytes},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, settings_.frame_bytes_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(settings_.head.bytes_max)}};
    if (is_server) {
        entries.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings_.streams_max});
        if (settings_.connect_protocol) entries.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    } else {
        entries.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
    }
    EE_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size()) == 0);
    if (settings_.first_stream != 1)
        EE_CHECK(nghttp2_session_set_next_stream_id(session_, settings_.first_stream) == 0);
    EE_CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, connection_window) == 0);
}

Http2Session::~Http2Session() {
    nghttp2_session_del(session_);
}

// ---- Bytes ----

Result<void> Http2Session::receive(std::string_view bytes) {
    const auto* octets = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const auto taken = nghttp2_session_mem_recv(session_, octets, bytes.size());
    if (taken < 0) return fail("http2_protocol_error", nghttp2_strerror(static_cast<int>(taken)));
    if (has_flooded_) return fail("http2_protocol_error", "the peer asks for more answers than it takes");
    if (nghttp2_session_want_read(session_) == 0 && !draining_)
        return fail("http2_protocol_error", "the peer broke the protocol");
    return {};
}

// Before its SETTINGS are acknowledged a peer may ask for any number of answers (RFC 9113 section 6.5.3):
// each HEADERS over the limit of streams, and each PUSH_PROMISE, gets its RST_STREAM. What is ended here was
// queued by one that does not read them.
void Http2Session::bound_waiting_frames() {
    if (frames_before_bodies() <= waiting_frames_max + waiting_frames_of_stream_max * settings_.streams_max)
        return;
    has_flooded_ = true;
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

std::size_t Http2Session::pull(Http2Sink& sink, std::size_t bytes_max) {
    sink_ = &sink;
    pulled_ = 0;
    pull_max_ = bytes_max;
    do {
        report_taken();
        bool within_head = false;
        while (pulled_ < pull_max_ || within_head) {
            const std::uint8_t* data = nullptr;
            const std::size_t before = pulled_;
            const auto size = nghttp2_session_mem_send(session_, &data);
            if (size > 0) {
                within_head = is_head_that_goes_on(data);
                sink.write({reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)});
                pulled_ += static_cast<std::size_t>(size);
            } else if (size < 0 || pulled_ == before) {
                break;  // Nothing to write; memory is all that can fail here.
            }
        }
    } while (!taken_.empty());
    sink_ = nullptr;
    return pulled_;
}

std::size_t Http2Session::pull(std::string& end_of, std::size_t bytes_max) {
    struct EndOf final : Http2Sink {
        explicit EndOf(std::string& string) : out(string) {}
        void write(std::string_view bytes) override { out.append(bytes); }
        std::string& out;
    } sink(end_of);
    return pull(sink, bytes_max);
}

// Whoever hears of it may have more to send.
void Http2Session::report_taken() {
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        Stream* stream = find(taken_[i]);
        if (stream == nullptr) continue;
        observer_.on_body_taken(stream->id, std::exchange(stream->taken, 0));
    }
    taken_.clear();
}

std::size_t Http2Session::frames_before_bodies() const {
    return nghttp2_session_get_outbound_queue_size(session_);
}

bool Http2Session::wants_output() const {
    return nghttp2_session_want_write(session_) != 0;
}

bool Http2Session::is_finished() const {
    return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

bool Http2Session::is_used_up() const {
    return nghttp2_session_get_next_stream_id(session_) > stream_id_max;
}

// ---- Streams ----

Http2Session::Stream* Http2Session::find(Http2StreamId id) const {
    const auto found = streams_.find(id);
    return found == streams_.end() || found->second->is_given_up ? nullptr : found->second.get();
}

Http2Session::Stream& Http2Session::add(Http2StreamId id) {
    regulate();
    std::unique_ptr<Stream>& stream = spare_.insert(streams_, id);
    if (!stream) stream = std::make_unique<Stream>();
    stream->id = id;
    stream->window = under_pressure_ ? settings_.window_bytes_under_pressure : settings_.window_bytes;
    return *stream;
}

void Http2Session::forget(Http2StreamId id) {
    auto node = streams_.extract(id);
    if (node.empty()) return;
    Stream& stream = *node.mapped();
    if (stream.is_given_up) --given_up_;
    unconsumed_ -= stream.unconsumed;
    queued_ -= stream.queued();
    std::string buffer = std::move(stream.out);
    empty_buffer(buffer);
    stream = Stream{};
    stream.out = std::move(buffer);
    spare_.keep(std::move(node));
}

std::size_t Http2Session::stream_limit() const {
    if (settings_.role == Http2Settings::Role::server) return settings_.streams_max;
    const auto theirs =
        nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return std::min(theirs, settings_.streams_max);
}

std::int64_t Http2Session::send_window() const {
    return nghttp2_session_get_remote_window_size(session_);
}

bool Http2Session::takes_connect_protocol() const {
    if (!has_peer_settings_) return settings_.connect_protocol;
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool Http2Session::is_clogged() const {
    return given_up_ >= given_up_max;
}

Result<Http2StreamId> Http2Session::open(const Http2Head& head, std::string_view body, bool end) {
    if (draining_) return fail("http2_draining", "the connection takes no more streams");
    const std::size_t counted = streams_.size() - given_up_;
    if (counted >= stream_limit())
        return fail("overloaded", "as many streams are open as may be: " + std::to_string(counted));
    if (is_clogged())
        return fail("overloaded", "as many streams wait to be reset as may: " + std::to_string(given_up_));
    if (!head.protocol.empty() && !takes_connect_protocol())
        return fail("upgrade_unsupported", "the peer takes no extended CONNECT");
    std::string unused;
    std::vector<nghttp2_nv>& block = to_block(head, unused);
    const bool has_body = !body.empty() || !end;
    const auto next = static_cast<Http2StreamId>(nghttp2_session_get_next_stream_id(session_));
    Stream& stream = add(next);
    nghttp2_data_provider provider = Callbacks::provider(stream);
    const auto id = nghttp2_submit_request(session_, nullptr, block.data(), block.size(),
                                           has_body ? &provider : nullptr, nullptr);
    EE_CHECK(id == next);  // Memory is all that can fail here.
    if (is_used_up()) draining_ = true;
    stream.is_sending = has_body;
    stream.is_body_complete = end;
    queue_body(stream, body);
    return id;
}

void Http2Session::respond(Http2StreamId id, const Http2Head& head, std::string_view body, bool end) {
    Stream* stream = find(id);
    if (stream == nullptr) return;
    EE_CHECK(settings_.role == Http2Settings::Role::server && !stream->is_answered);
    std::string status_text;
    std::vector<nghttp2_nv>& block = to_block(head, status_text);
    const bool has_body = !body.empty() || !end;
    nghttp2_data_provider provider = Callbacks::provider(*stream);
    stream->is_answered = true;
    stream->is_sending = has_body;
    stream->is_body_complete = end;
    queue_body(*stream, body);
    EE_CHECK(nghttp2_submit_response(session_, id, block.data(), block.size(),
                                     has_body ? &provider : nullptr) == 0);
}

void Http2Session::interim(Http2StreamId id, int status, std::span<const Field> fields) {
    if (find(id) == nullptr) return;
    std::string status_text;
    std::vector<nghttp2_nv>& block = to_block({.status = status, .fields = fields}, status_text);
    EE_CHECK(nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, block.data(), block.size(),
                                    nullptr) == 0);
}

void Http2Session::keep_receiving(Http2StreamId id) {
    if (Stream* stream = find(id)) stream->keeps_receiving = true;
}

void Http2Session::queue_body(Stream& stream, std::string_view bytes) {
    stream.out.append(bytes);
    queued_ += bytes.size();
}

void Http2Session::resume(Stream& stream) {
    if (!std::exchange(stream.is_waiting, false)) return;
    EE_CHECK(nghttp2_session_resume_data(session_, stream.id) == 0);
}

void Http2Session::send_body(Http2StreamId id, std::string_view bytes) {
    Stream* stream = find(id);
    if (stream == nullptr || bytes.empty()) return;
    EE_CHECK(stream->is_sending && !stream->is_body_complete);
    queue_body(*stream, bytes);
    resume(*stream);
}

void Http2Session::end_body(Http2StreamId id, std::span<const Field> trailers) {
    Stream* stream = find(id);
    if (stream == nullptr) return;
    EE_CHECK(stream->is_sending && !stream->is_body_complete);
    stream->is_body_complete = true;
    for (const Field& field : trailers)
        stream->trailers.push_back({std::string(field.name), std::string(field.value)});
    resume(*stream);
}

std::size_t Http2Session::queued_bytes(Http2StreamId id) const {
    const Stream* stream = find(id);
    return stream == nullptr ? 0 : stream->queued();
}

std::size_t Http2Session::held_bytes(Http2StreamId id) const {
    const Stream* stream = find(id);
    return stream == nullptr ? 0 : stream->unconsumed + stream->queued();
}

void Http2Session::reset(Http2StreamId id, std::uint32_t code) {
    Stream* stream = find(id);
    if (stream == nullptr) return;
    stream->is_given_up = true;
    ++given_up_;
    const bool is_complete = stream->is_ended && stream->is_sent;
    unconsumed_ -= std::exchange(stream->unconsumed, 0);
    queued_ -= stream->queued();
    stream->out.clear();
    stream->out_at = 0;
    if (!is_complete) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
}

void Http2Session::consume(Http2StreamId id, std::size_t bytes) {
    Stream* stream = find(id);
    if (stream == nullptr) return;
    EE_CHECK(bytes <= stream->unconsumed);
    stream->unconsumed -= bytes;
    unconsumed_ -= bytes;
    if (!stream->is_ended) nghttp2_session_consume_stream(session_, id, bytes);
    regulate();
}

// ---- Windows ----

void Http2Session::on_bytes(Stream& stream, std::string_view bytes) {
    // The connection's window is no limit of ours: one slow reader would stop all others.
    nghttp2_session_consume_connection(session_, bytes.size());
    if (stream.is_given_up) return;
    stream.unconsumed += bytes.size();
    stream.received += bytes.size();
    unconsumed_ += bytes.size();
    regulate();
    if (unconsumed_ > settings_.unconsumed_bytes_max) {
        const auto largest = std::ranges::max_element(
            streams_, {}, [](const auto& entry) { return entry.second->unconsumed; });
        const Http2StreamId id = largest->first;
        const bool is_this = id == stream.id;
        reset(id, http2_code::enhance_your_calm);
        observer_.on_shed(id);
        if (is_this) return;
    }
    if (!probed_ && !under_pressure_ && stream.window < settings_.window_bytes_max &&
        stream.received >= stream.window / 4) {
        probed_ = stream.id;
        stream.received = 0;
        nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, probe_mark);
    }
    observer_.on_body(stream.id, bytes);
}

// A PING has come back: if most of a window came in the meantime, the window is what limits the stream.
void Http2Session::on_pong(ByteSpan payload) {
    if (!std::ranges::equal(payload, probe_mark)) return;
    Stream* stream = probed_ ? find(*probed_) : nullptr;
    probed_.reset();
    if (stream == nullptr || under_pressure_ || stream->is_ended) return;
    const std::uint64_t received = std::exchange(stream->received, 0);
    const bool is_limit = received >= std::uint64_t{stream->window} * 2 / 3;
    if (!is_limit || stream->unconsumed > stream->window / 2) return;  // A slow reader needs no more.
    stream->window = std::min(stream->window * 2, settings_.window_bytes_max);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream->id,
                                          static_cast<std::int32_t>(stream->window));
}

// What peers may send of each body, now and from now on.
void Http2Session::regulate() {
    is_crowded_ = unconsumed_ > settings_.unconsumed_bytes_max / (is_crowded_ ? 4 : 2);
    const bool is_pressed = is_crowded_ || (settings_.memory != nullptr && settings_.memory->is_pressed());
    if (is_pressed == std::exchange(under_pressure_, is_pressed)) return;
    const nghttp2_settings_entry entry = {
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        under_pressure_ ? settings_.window_bytes_under_pressure : settings_.window_bytes};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &entry, 1);
}

// ---- What streams hear ----

void Http2Session::on_data_end(Stream& stream) {
    if (stream.is_given_up || stream.is_ended) return;
    stream.is_ended = true;
    observer_.on_end(stream.id, {});
}

// A request that is too large gets an answer, which is the observer's to give; all else that cannot be taken
// is the end of its stream.
bool Http2Session::refuse_headers(const Stream& stream) {
    const bool is_request = settings_.role == Http2Settings::Role::server && !stream.has_head;
    const bool is_refused = collected_.is_malformed || (collected_.is_too_large && !is_request);
    if (!is_refused) return false;
    const Http2StreamId id = stream.id;
    reset(id, http2_code::protocol_error);
    if (!is_request) observer_.on_reset(id, http2_code::protocol_error);
    return true;
}

// A whole block: a request, an answer (interim or final), or trailers.
void Http2Session::on_headers(Stream& stream, bool end) {
    if (stream.is_given_up || refuse_headers(stream)) return;
    const Http2Head head = collected_.read();
    if (stream.has_head) {
        stream.is_ended = true;
        return observer_.on_end(stream.id, head.fields);
    }
    // nghttp2 takes any three digits.
    if (settings_.role == Http2Settings::Role::client && head.status < 100) {
        const Http2StreamId id = stream.id;
        reset(id, http2_code::protocol_error);
        return observer_.on_reset(id, http2_code::protocol_error);
    }
    if (head.status >= 100 && head.status < 200)
        return observer_.on_interim(stream.id, head.status, head.fields);
    stream.has_head = true;
    stream.is_ended = end;
    const Http2StreamId id = stream.id;
    observer_.on_head(id, head, end);
    if (end && find(id) != nullptr) observer_.on_end(id, {});
}

void Http2Session::on_closed(Stream& stream, std::uint32_t code) {
    const bool is_server = settings_.role == Http2Settings::Role::server;
    const bool is_complete = stream.is_ended && (!is_server || stream.is_sent);
    // Of a request that was refused with its head the observer has not heard.
    const bool is_known = !is_server || stream.has_head;
    const bool is_heard = is_known && !stream.is_given_up;
    const bool is_whole = stream.is_ended && stream.is_sent;
    const Http2StreamId id = stream.id;
    forget(id);
    if (is_heard && !is_complete) observer_.on_reset(id, code);
    if (is_heard && is_complete) observer_.on_complete(id, is_whole);
}

// ---- The connection ----

void Http2Session::begin_drain() {
    nghttp2_submit_shutdown_notice(session_);
}

void Http2Session::goaway(std::uint32_t code) {
    draining_ = has_said_goaway_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          code, nullptr, 0);
}

void Http2Session::on_goaway(std::uint32_t code) {
    draining_ = true;
    observer_.on_goaway(code);
}

}  // namespace ee::http

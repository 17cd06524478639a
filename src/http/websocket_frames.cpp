#include "http/websocket_frames.h"

#include <algorithm>
#include <cstring>

#include "base/big_endian.h"
#include "base/check.h"
#include "base/utf8.h"

namespace ee::http {
namespace {

constexpr std::size_t control_size_max = 125;  // RFC 6455 section 5.5.
constexpr unsigned char fin_bit = 0x80;
constexpr unsigned char reserved_bits = 0x70;
constexpr unsigned char opcode_bits = 0x0f;
constexpr unsigned char mask_bit = 0x80;
constexpr unsigned char length_bits = 0x7f;
constexpr unsigned char length_16 = 126;
constexpr unsigned char length_64 = 127;

FrameError protocol_error(const char* detail) {
    return {close_code::protocol_error, {"websocket_protocol_error", detail}};
}

bool is_control(Opcode opcode) {
    return static_cast<std::uint8_t>(opcode) >= 8;
}

bool is_known(unsigned char opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

// At least 2, whatever was read of it.
std::size_t header_size(const std::array<unsigned char, 14>& header) {
    std::size_t size = 2;
    if ((header[1] & length_bits) == length_16) size += 2;
    if ((header[1] & length_bits) == length_64) size += 8;
    if ((header[1] & mask_bit) != 0) size += 4;
    return size;
}

// From `at` on, so many at a time: of several a compiler makes wider ones. Where it stopped.
template <std::size_t count>
std::size_t mask_words(std::span<char> data, std::size_t at, std::uint64_t mask) {
    std::array<std::uint64_t, count> words;
    for (; at + sizeof words <= data.size(); at += sizeof words) {
        std::memcpy(words.data(), data.data() + at, sizeof words);
        for (std::uint64_t& word : words) word ^= mask;
        std::memcpy(data.data() + at, words.data(), sizeof words);
    }
    return at;
}

}  // namespace

void apply_mask(std::span<char> data, const MaskKey& key, std::size_t phase) {
    std::array<unsigned char, 8> turned;
    for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(phase + i) % key.size()];
    std::uint64_t mask;
    std::memcpy(&mask, turned.data(), sizeof mask);
    std::size_t i = mask_words<4>(data, 0, mask);
    i = mask_words<1>(data, i, mask);
    for (; i < data.size(); ++i) {
        data[i] = static_cast<char>(static_cast<unsigned char>(data[i]) ^ turned[i % turned.size()]);
    }
}

bool is_sendable_close_code(std::uint16_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

FrameDecoder::Step FrameDecoder::next(std::span<char> input, std::size_t& consumed) {
    consumed = 0;
    if (delivered_) {
        std::string().swap(message_);
        delivered_ = false;
    }
    while (!finished_) {
        if (!in_payload_) {
            consumed += take_header(input.subspan(consumed));
            if (header_size_ < header_size(header_)) return std::nullopt;
            if (auto problem = begin_payload()) {
                finished_ = true;
                return tl::unexpected<FrameError>(std::move(*problem));
            }
        }
        std::size_t used = 0;
        Step step = take_payload(input.subspan(consumed), used);
        consumed += used;
        if (!step) finished_ = true;
        if (!step || step->has_value()) return step;
        if (in_payload_) return std::nullopt;
    }
    consumed = input.size();
    return std::nullopt;
}

// Adds to the header what belongs to it; says how many bytes that were.
std::size_t FrameDecoder::take_header(std::span<const char> input) {
    std::size_t taken = 0;
    while (taken < input.size() && header_size_ < header_size(header_)) {
        header_[header_size_++] = static_cast<unsigned char>(input[taken++]);
    }
    return taken;
}

// Judges a complete frame header (RFC 6455 section 5.2).
std::optional<FrameError> FrameDecoder::begin_payload() {
    const unsigned char first = header_[0];
    const unsigned char length = header_[1] & length_bits;
    const bool masked = (header_[1] & mask_bit) != 0;
    if ((first & reserved_bits) != 0)
        return protocol_error("a reserved bit is set and no extension was agreed on");
    if (!is_known(first & opcode_bits)) return protocol_error("a reserved opcode");
    if (masked != (role_ == Role::server)) {
        return protocol_error(masked ? "a masked frame from a server" : "an unmasked frame from a client");
    }
    fin_ = (first & fin_bit) != 0;
    opcode_ = static_cast<Opcode>(first & opcode_bits);

    std::size_t offset = 2;
    frame_size_ = length;
    if (length == length_16) {
        frame_size_ = from_big_endian(ByteSpan(header_).subspan(offset, 2));
        offset += 2;
        if (frame_size_ < length_16) return protocol_error("a length that would fit in fewer bytes");
    } else if (length == length_64) {
        frame_size_ = from_big_endian(ByteSpan(header_).subspan(offset, 8));
        offset += 8;
        if (frame_size_ >> 63 != 0) return protocol_error("a length over 63 bits");
        if (frame_size_ <= 0xffff) return protocol_error("a length that would fit in fewer bytes");
    }
    if (masked) std::copy_n(header_.data() + offset, mask_.size(), mask_.data());
    header_size_ = 0;
    frame_taken_ = 0;
    in_payload_ = true;

    if (is_control(opcode_)) {
        if (!fin_) return protocol_error("a fragmented control frame");
        if (frame_size_ > control_size_max) return protocol_error("a control frame of more than 125 bytes");
        return std::nullopt;
    }
    if (opcode_ == Opcode::continuation) {
        if (!message_opcode_) return protocol_error("a continuation of no message");
    } else {
        if (message_opcode_) return protocol_error("a message within a fragmented message");
        message_opcode_ = opcode_;
        message_size_ = 0;
    }
    return check_limit();
}

std::optional<FrameError> FrameDecoder::check_limit() {
    const std::uint64_t limit =
        message_opcode_ == Opcode::text ? limits_.text_bytes_max : limits_.binary_bytes_max;
    if (message_size_ > limit || frame_size_ > limit - message_size_) {
        return FrameError{
            close_code::message_too_big,
            {"message_too_large", "a message of at least " + std::to_string(message_size_ + frame_size_) +
                                      " bytes, the limit is " + std::to_string(limit)}};
    }
    message_size_ += frame_size_;
    return std::nullopt;
}

FrameDecoder::Step FrameDecoder::take_payload(std::span<char> input, std::size_t& used) {
    used = std::min<std::uint64_t>(frame_size_ - frame_taken_, input.size());
    const std::span<char> piece = input.first(used);
    if (role_ == Role::server)
        apply_mask(piece, mask_, static_cast<std::size_t>(frame_taken_ % mask_.size()));
    const bool whole = used == frame_size_;
    if (is_control(opcode_) && !whole) std::copy(piece.begin(), piece.end(), control_.begin() + frame_taken_);
    frame_taken_ += used;
    in_payload_ = frame_taken_ < frame_size_;
    const std::string_view text(piece.data(), piece.size());
    if (!is_control(opcode_)) return take_data(text, whole);
    if (in_payload_) return std::nullopt;
    return end_control(whole ? text
                             : std::string_view(control_.data(), static_cast<std::size_t>(frame_size_)));
}

// `whole`: the piece is the frame's entire payload.
FrameDecoder::Step FrameDecoder::take_data(std::string_view piece, bool whole) {
    const bool last = fin_ && !in_payload_;
    if (stream_binary_ && message_opcode_ == Opcode::binary) {
        if (last) message_opcode_.reset();
        if (piece.empty() && !last) return std::nullopt;
        return Event{.kind = Event::Kind::binary, .payload = piece, .last = last};
    }
    if (last && whole && message_.empty()) return end_message(piece);
    message_.append(piece);
    if (!last) return std::nullopt;
    delivered_ = true;
    return end_message(message_);
}

FrameDecoder::Step FrameDecoder::end_message(std::string_view payload) {
    const bool text = message_opcode_ == Opcode::text;
    message_opcode_.reset();
    if (text && !is_utf8(payload)) {
        return tl::unexpected<FrameError>(
            {close_code::invalid_payload, {"invalid_utf8", "a text message that is not UTF-8"}});
    }
    return Event{.kind = text ? Event::Kind::text : Event::Kind::binary, .payload = payload};
}

FrameDecoder::Step FrameDecoder::end_control(std::string_view payload) {
    if (opcode_ == Opcode::ping) return Event{.kind = Event::Kind::ping, .payload = payload};
    if (opcode_ == Opcode::pong) return Event{.kind = Event::Kind::pong, .payload = payload};
    return close_event(payload);
}

// RFC 6455 section 5.5.1: nothing, or a code and a reason in UTF-8.
FrameDecoder::Step FrameDecoder::close_event(std::string_view payload) {
    finished_ = true;
    Event event{.kind = Event::Kind::close, .payload = {}, .close_code = close_code::no_status};
    if (payload.empty()) return event;
    if (payload.size() == 1) return tl::unexpected(protocol_error("a close frame with half a code"));
    event.close_code = static_cast<std::uint16_t>(from_big_endian(as_bytes(payload.substr(0, 2))));
    event.payload = payload.substr(2);
    if (!is_sendable_close_code(event.close_code)) {
        return tl::unexpected(protocol_error("a close code that may not be sent"));
    }
    if (!is_utf8(event.payload)) {
        return tl::unexpected<FrameError>(
            {close_code::invalid_payload, {"invalid_utf8", "a close reason that is not UTF-8"}});
    }
    return event;
}

}  // namespace ee::http

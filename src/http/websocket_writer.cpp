// The sending half of websocket_frames.h.
#include <algorithm>

#include "base/big_endian.h"
#include "base/check.h"
#include "http/websocket_frames.h"

namespace ee::http {
namespace {

constexpr std::size_t close_reason_max = 123;  // 125 without the code.
constexpr std::size_t usual_header_size = 4;   // Of payloads of 126 to 65,535 bytes.

struct Header {
    std::array<char, 14> bytes;
    std::size_t size = 0;

    void push(std::uint64_t byte) { bytes[size++] = static_cast<char>(byte & 0xff); }
    void push_big_endian(std::uint64_t value, unsigned count) {
        while (count-- > 0) push(value >> (8 * count));
    }
};

Header make_header(Opcode opcode, std::uint64_t payload_size, const std::optional<MaskKey>& mask, bool fin) {
    EE_CHECK(payload_size >> 63 == 0);
    Header header;
    const unsigned mask_bit = mask ? 0x80 : 0;
    header.push((fin ? 0x80u : 0u) | static_cast<unsigned>(opcode));
    if (payload_size < 126) {
        header.push(mask_bit | payload_size);
    } else if (payload_size <= 0xffff) {
        header.push(mask_bit | 126);
        header.push_big_endian(payload_size, 2);
    } else {
        header.push(mask_bit | 127);
        header.push_big_endian(payload_size, 8);
    }
    if (mask) {
        for (const std::uint8_t byte : *mask) header.push(byte);
    }
    return header;
}

std::size_t gap_size(const std::optional<MaskKey>& mask) {
    return usual_header_size + (mask ? mask->size() : 0);
}

}  // namespace

void append_frame_header(std::string& out, Opcode opcode, std::uint64_t payload_size,
                         const std::optional<MaskKey>& mask, bool fin) {
    const Header header = make_header(opcode, payload_size, mask, fin);
    out.append(header.bytes.data(), header.size);
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload,
                  const std::optional<MaskKey>& mask, bool fin) {
    append_frame_header(out, opcode, payload.size(), mask, fin);
    const std::size_t begin = out.size();
    out.append(payload);
    if (mask) apply_mask(std::span(out).subspan(begin), *mask);
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason,
                  const std::optional<MaskKey>& mask) {
    if (code == close_code::no_status) return append_frame(out, Opcode::close, {}, mask);
    EE_CHECK(is_sendable_close_code(code));
    std::size_t size = std::min(reason.size(), close_reason_max);
    // Not within a character: its continuation bytes are 10xxxxxx.
    while (size > 0 && size < reason.size() && (static_cast<unsigned char>(reason[size]) & 0xc0) == 0x80)
        --size;
    std::string payload;
    append_big_endian<2>(payload, code);
    payload.append(reason.substr(0, size));
    append_frame(out, Opcode::close, payload, mask);
}

FrameInPlace::FrameInPlace(std::string& out, const std::optional<MaskKey>& mask)
    : out_(out), mask_(mask), begin_(out.size()) {
    out_.append(gap_size(mask_), '\0');
}

std::size_t FrameInPlace::payload_size() const {
    return out_.size() - begin_ - gap_size(mask_);
}

void FrameInPlace::end(Opcode opcode, bool fin) {
    const Header header = make_header(opcode, payload_size(), mask_, fin);
    const std::size_t gap = gap_size(mask_);
    if (header.size < gap) out_.erase(begin_, gap - header.size);
    if (header.size > gap) out_.insert(begin_, header.size - gap, '\0');
    std::copy_n(header.bytes.data(), header.size, out_.begin() + static_cast<std::ptrdiff_t>(begin_));
    if (mask_) apply_mask(std::span(out_).subspan(begin_ + header.size), *mask_);
}

}  // namespace ee::http

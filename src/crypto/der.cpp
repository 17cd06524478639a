#include "crypto/der.h"

#include <limits>

#include "base/big_endian.h"
#include "base/check.h"

namespace ee::crypto {

std::optional<DerElement> DerReader::take_any() {
    if (bytes_.size() < 2 || (bytes_[0] & 0x1f) == 0x1f) return std::nullopt;
    std::size_t header = 2;
    std::size_t size = bytes_[1];
    if (size >= 0x80) {
        // Long form: so many bytes of length follow. Four are more than any input here has; the shortest
        // form has no leading zero and no length the short form could hold.
        const std::size_t count = size & 0x7f;
        if (count == 0 || count > 4 || bytes_.size() < 2 + count || bytes_[2] == 0) return std::nullopt;
        size = from_big_endian(bytes_.subspan(2, count));
        if (size < 0x80) return std::nullopt;
        header += count;
    }
    if (size > bytes_.size() - header) return std::nullopt;
    const DerElement element{
        .tag = bytes_[0], .content = bytes_.subspan(header, size), .whole = bytes_.first(header + size)};
    bytes_ = bytes_.subspan(header + size);
    return element;
}

std::optional<ByteSpan> DerReader::take(std::uint8_t tag) {
    if (!next_is(tag)) return std::nullopt;
    const auto element = take_any();
    if (!element) return std::nullopt;
    return element->content;
}

std::optional<DerReader> DerReader::take_sequence() {
    const auto content = take(der_tag::sequence);
    if (!content) return std::nullopt;
    return DerReader(*content);
}

std::optional<ByteSpan> DerReader::take_magnitude() {
    const DerReader before = *this;
    const auto content = take(der_tag::integer);
    const auto refuse = [&]() -> std::optional<ByteSpan> {
        *this = before;
        return std::nullopt;
    };
    if (!content || content->empty() || ((*content)[0] & 0x80) != 0) return refuse();
    if ((*content)[0] != 0) return content;
    // A leading zero is there only to keep the sign off the next byte.
    if (content->size() > 1 && ((*content)[1] & 0x80) == 0) return refuse();
    return content->subspan(1);
}

std::optional<std::uint64_t> DerReader::take_unsigned() {
    const DerReader before = *this;
    const auto digits = take_magnitude();
    if (!digits || digits->size() > sizeof(std::uint64_t)) {
        *this = before;
        return std::nullopt;
    }
    return from_big_endian(*digits);
}

std::optional<bool> DerReader::take_boolean() {
    const DerReader before = *this;
    const auto content = take(der_tag::boolean);
    if (content && content->size() == 1 && ((*content)[0] == 0 || (*content)[0] == 0xff))
        return (*content)[0] != 0;
    *this = before;
    return std::nullopt;
}

std::optional<ByteSpan> DerReader::take_bit_octets() {
    const DerReader before = *this;
    const auto content = take(der_tag::bit_string);
    if (content && !content->empty() && (*content)[0] == 0) return content->subspan(1);
    *this = before;
    return std::nullopt;
}

std::optional<std::string> DerReader::take_oid() {
    const DerReader before = *this;
    const auto content = take(der_tag::oid);
    std::string text;
    std::uint64_t arc = 0;
    bool within = false, valid = content.has_value() && !content->empty();
    for (const std::uint8_t byte : content.value_or(ByteSpan{})) {
        // 0x80 first would be a leading zero; the bound keeps the shift from losing bits.
        if ((!within && byte == 0x80) || arc > std::numeric_limits<std::uint64_t>::max() >> 7) valid = false;
        arc = arc << 7 | (byte & 0x7f);
        within = (byte & 0x80) != 0;
        if (within) continue;
        if (text.empty()) {
            // The first two arcs share one number: 40 * first + second, first at most 2.
            const std::uint64_t first = std::min<std::uint64_t>(arc / 40, 2);
            text = std::to_string(first) + '.' + std::to_string(arc - 40 * first);
        } else {
            text += '.' + std::to_string(arc);
        }
        arc = 0;
    }
    if (!valid || within) {
        *this = before;
        return std::nullopt;
    }
    return text;
}

Bytes der_element(std::uint8_t tag, ByteSpan content) {
    EE_CHECK(content.size() <= 0xffffffff);
    Bytes out{tag};
    if (content.size() < 0x80) {
        out.push_back(static_cast<std::uint8_t>(content.size()));
    } else {
        int count = 1;
        while (content.size() >> (8 * count) != 0) ++count;
        out.push_back(static_cast<std::uint8_t>(0x80 | count));
        for (int i = count - 1; i >= 0; --i)
            out.push_back(static_cast<std::uint8_t>(content.size() >> (8 * i)));
    }
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

}  // namespace ee::crypto

#include "cli/quote_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>
#include <string>

#include "base/base64.h"
#include "base/hex.h"

namespace ee::cli {
namespace {

// Twice a quote's largest size for hex, and room for line breaks.
constexpr std::size_t quote_file_bytes_max = 64 * 1024;

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Where the quote says it ends: header, v5 descriptor, body, length of the signature data. nullopt when there
// is less.
std::optional<std::size_t> announced_end(ByteSpan content) {
    ByteReader reader(content);
    const auto version = reader.take_u16();
    if (!version || !reader.take(46)) return std::nullopt;  // The header has 48 bytes.
    std::uint32_t body_size = 584;
    if (*version == 5) {
        const auto type = reader.take_u16();
        const auto size = reader.take_u32();
        if (!type || !size) return std::nullopt;
        body_size = *size;
    }
    if (!reader.take(body_size)) return std::nullopt;
    const auto signature_size = reader.take_u32();
    if (!signature_size || !reader.take(*signature_size)) return std::nullopt;
    return reader.offset();
}

bool is_text(std::uint8_t byte) {
    return (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t';
}

}  // namespace

std::size_t remark_size(ByteSpan content) {
    const auto end = announced_end(content);
    if (!end || *end >= content.size()) return 0;
    const ByteSpan rest = content.subspan(*end);
    const bool is_remark =
        (rest[0] == '\n' || rest[0] == '\r') && std::all_of(rest.begin(), rest.end(), is_text);
    return is_remark ? rest.size() : 0;
}

Bytes decode_quote(ByteSpan content) {
    std::string text(as_text(content));
    text.erase(std::remove_if(text.begin(), text.end(), is_space), text.end());
    // Hex first: every hex text of the right length is base64 too, but no quote in base64 is all hex digits.
    if (auto bytes = from_hex(text); bytes && !bytes->empty()) return std::move(*bytes);
    if (auto bytes = from_base64(text); bytes && !bytes->empty()) return std::move(*bytes);
    return to_bytes(content);
}

Result<Bytes> read_quote_file(const std::filesystem::path& file, std::ostream& notes) {
    std::ifstream in(file, std::ios::binary);
    Bytes content(quote_file_bytes_max + 1);
    if (in) in.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
    // A folder opens but does not read.
    if (!in && !in.eof()) return fail("file_unreadable", file.string() + ": " + std::strerror(errno));
    content.resize(static_cast<std::size_t>(in.gcount()));
    // No quote is that long: it is judged as it is, whatever its beginning says.
    if (content.size() > quote_file_bytes_max) return content;
    if (const std::size_t remark = remark_size(content); remark > 0) {
        notes << "eectl: left out " << remark << " bytes of text behind the quote in " << file.string()
              << '\n';
        content.resize(content.size() - remark);
    }
    return decode_quote(content);
}

}  // namespace ee::cli

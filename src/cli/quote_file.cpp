#include "cli/quote_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
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

}  // namespace

Bytes decode_quote(ByteSpan content) {
    std::string text(as_text(content));
    text.erase(std::remove_if(text.begin(), text.end(), is_space), text.end());
    // Hex first: every hex text of the right length is base64 too, but no quote in base64 is all hex digits.
    if (auto bytes = from_hex(text); bytes && !bytes->empty()) return std::move(*bytes);
    if (auto bytes = from_base64(text); bytes && !bytes->empty()) return std::move(*bytes);
    return to_bytes(content);
}

Result<Bytes> read_quote_file(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    Bytes content(quote_file_bytes_max);
    if (in) in.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
    // A folder opens but does not read.
    if (!in && !in.eof()) return fail("file_unreadable", file.string() + ": " + std::strerror(errno));
    content.resize(static_cast<std::size_t>(in.gcount()));
    return decode_quote(content);
}

}  // namespace ee::cli

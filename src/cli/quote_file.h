#pragma once
// Quotes in files, as people pass them around.

#include <filesystem>
#include <iosfwd>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::cli {

// Raw bytes, hex or base64, told apart by the content; white space around text is ignored.
// A remark behind a raw quote (a line break, then text) belongs to the file, not to the quote: it is left
// out, and `notes` says so. On the wire nothing but zeros may follow a quote. Refuses with `file_unreadable`;
// a file larger than any quote comes back cut, and so is malformed.
Result<Bytes> read_quote_file(const std::filesystem::path& file, std::ostream& notes);

// The same for bytes already read.
Bytes decode_quote(ByteSpan content);

// Bytes of text behind a raw quote; 0 when there are none, or anything but text.
std::size_t remark_size(ByteSpan content);

}  // namespace ee::cli

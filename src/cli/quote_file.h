#pragma once
// Quotes in files, as people pass them around.

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"

namespace ee::cli {

// Raw bytes, hex or base64, told apart by the content; white space around text is ignored.
// Refuses with `file_unreadable`; a file larger than any quote comes back cut, and so is malformed.
Result<Bytes> read_quote_file(const std::filesystem::path& file);

// The same for bytes already read.
Bytes decode_quote(ByteSpan content);

}  // namespace ee::cli

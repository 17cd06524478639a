#pragma once
// Writes HTTP/1.1 messages to the end of a string. What could not be read back as written (a name that is
// no token, CR, LF or NUL in a value, a target with a space) is refused: the answer is false and `out` is
// left as it was.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"

namespace ee::http {

// The phrase of a registered status, "" for others.
std::string_view reason_phrase(int status);

[[nodiscard]] bool append_request_head(std::string& out, std::string_view method, std::string_view target,
                                       std::span<const Field> fields);
// Status 100-999. The registered phrase is used when `reason` is empty.
[[nodiscard]] bool append_response_head(std::string& out, int status, std::span<const Field> fields,
                                        std::string_view reason = {});

// For heads built piece by piece: a start line, fields, and then "\r\n" by the caller.
[[nodiscard]] bool append_request_line(std::string& out, std::string_view method, std::string_view target);
[[nodiscard]] bool append_status_line(std::string& out, int status, std::string_view reason = {});
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);
// For numbers, which need no check of the value.
void append_content_length(std::string& out, std::uint64_t length);

// One chunk; nothing for empty data, which would end the body.
void append_chunk(std::string& out, std::string_view data);
// The chunk's size line alone: then come `size` bytes and "\r\n". Size must not be 0.
void append_chunk_header(std::string& out, std::uint64_t size);
[[nodiscard]] bool append_last_chunk(std::string& out, std::span<const Field> trailers = {});

}  // namespace ee::http

#include "http/http1_writer.h"

#include <array>
#include <charconv>

#include "base/check.h"
#include "http/fields.h"

namespace ee::http {
namespace {

struct Phrase {
    int status;
    std::string_view text;
};

// The IANA registry of status codes (RFC 9110 section 15 and others).
constexpr Phrase phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

constexpr int status_min = 100;
constexpr int status_max = 999;

constexpr auto phrase_of_status = [] {
    std::array<std::string_view, 512> table{};
    for (const Phrase& phrase : phrases) table[static_cast<std::size_t>(phrase.status)] = phrase.text;
    return table;
}();

// What the readers of this folder accept in a request line: visible ASCII.
bool is_writable_target(std::string_view target) {
    for (const char c : target) {
        if (c <= ' ' || c > '~') return false;
    }
    return !target.empty();
}

bool append_fields(std::string& out, std::span<const Field> fields) {
    for (const Field& field : fields) {
        if (!append_field(out, field.name, field.value)) return false;
    }
    out.append("\r\n");
    return true;
}

}  // namespace

std::string_view reason_phrase(int status) {
    if (status < 0 || static_cast<std::size_t>(status) >= phrase_of_status.size()) return {};
    return phrase_of_status[static_cast<std::size_t>(status)];
}

bool append_request_line(std::string& out, std::string_view method, std::string_view target) {
    if (!is_token(method) || !is_writable_target(target)) return false;
    out.append(method).append(1, ' ').append(target).append(" HTTP/1.1\r\n");
    return true;
}

bool append_status_line(std::string& out, int status, std::string_view reason) {
    if (status < status_min || status > status_max || !is_valid_field_value(reason)) return false;
    char code[3];
    std::to_chars(code, code + sizeof code, status);
    out.append("HTTP/1.1 ").append(code, sizeof code).append(1, ' ');
    out.append(reason.empty() ? reason_phrase(status) : reason).append("\r\n");
    return true;
}

bool append_field(std::string& out, std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_valid_field_value(value)) return false;
    const std::size_t at = out.size();
    out.resize(at + name.size() + value.size() + 4);  // Once: this is done for each field of each message.
    char* to = out.data() + at;
    to += name.copy(to, name.size());
    *to++ = ':';
    *to++ = ' ';
    to += value.copy(to, value.size());
    *to++ = '\r';
    *to = '\n';
    return true;
}

void append_content_length(std::string& out, std::uint64_t length) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, length).ptr;
    out.append("Content-Length: ").append(digits, end).append("\r\n");
}

bool append_request_head(std::string& out, std::string_view method, std::string_view target,
                         std::span<const Field> fields) {
    const std::size_t before = out.size();
    if (append_request_line(out, method, target) && append_fields(out, fields)) return true;
    out.resize(before);
    return false;
}

bool append_response_head(std::string& out, int status, std::span<const Field> fields,
                          std::string_view reason) {
    const std::size_t before = out.size();
    if (append_status_line(out, status, reason) && append_fields(out, fields)) return true;
    out.resize(before);
    return false;
}

void append_chunk_header(std::string& out, std::uint64_t size) {
    EE_CHECK(size > 0);
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, size, 16).ptr;
    out.append(digits, end).append("\r\n");
}

void append_chunk(std::string& out, std::string_view data) {
    if (data.empty()) return;
    append_chunk_header(out, data.size());
    out.append(data).append("\r\n");
}

bool append_last_chunk(std::string& out, std::span<const Field> trailers) {
    const std::size_t before = out.size();
    out.append("0\r\n");
    if (append_fields(out, trailers)) return true;
    out.resize(before);
    return false;
}

}  // namespace ee::http

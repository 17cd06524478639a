#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>

#include "cli/http_call.h"

namespace ee::cli {
namespace {

std::optional<std::string> dechunked(std::string_view text) {
    std::string out;
    for (;;) {
        const std::size_t end = text.find("\r\n");
        if (end == std::string_view::npos) return std::nullopt;
        std::size_t size = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + end, size, 16);
        const bool framed = stop == text.data() + end || (error == std::errc{} && *stop == ';');
        text.remove_prefix(end + 2);
        if (error != std::errc{} || !framed || size > text.size()) return std::nullopt;
        if (size == 0) return out;
        out.append(text.substr(0, size));
        text.remove_prefix(size);
        if (!text.starts_with("\r\n")) return std::nullopt;
        text.remove_prefix(2);
    }
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// The value of a header field, trimmed; `head` is lower case.
std::optional<std::string> header_value(std::string_view head, std::string_view name) {
    const std::string prefix = "\r\n" + std::string(name) + ":";
    std::size_t at = head.find(prefix);
    if (at == std::string_view::npos) return std::nullopt;
    at += prefix.size();
    std::string_view value = head.substr(at, head.find("\r\n", at) - at);
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    return std::string(value);
}

}  // namespace

Result<HttpAnswer> parse_http_response(std::string_view response) {
    const tl::unexpected<Error> bad =
        fail("unreachable", "the peer's answer is not HTTP/1.1, or was cut off");
    const std::size_t head_end = response.find("\r\n\r\n");
    if (head_end == std::string_view::npos || !response.starts_with("HTTP/1.")) return bad;
    const std::string head = lower(response.substr(0, head_end + 2));
    HttpAnswer answer;
    if (head.size() < 12 || head[8] != ' ' ||
        std::from_chars(head.data() + 9, head.data() + 12, answer.status).ptr != head.data() + 12) {
        return bad;
    }
    std::string_view body = response.substr(head_end + 4);
    if (header_value(head, "transfer-encoding").value_or("") == "chunked") {
        auto joined = dechunked(body);
        if (!joined) return bad;
        answer.body = std::move(*joined);
        return answer;
    }
    if (const auto length = header_value(head, "content-length")) {
        std::size_t size = 0;
        const auto parsed = std::from_chars(length->data(), length->data() + length->size(), size);
        if (parsed.ec != std::errc{} || size > body.size()) return bad;
        body = body.substr(0, size);
    }
    answer.body = std::string(body);
    return answer;
}

}  // namespace ee::cli

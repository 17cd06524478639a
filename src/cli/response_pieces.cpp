#include "cli/response_pieces.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace ee::cli {
namespace {

constexpr std::size_t whole_bytes_max = 1024 * 1024;
constexpr std::size_t line_bytes_max = 256;
constexpr std::string_view head_end = "\r\n\r\n";

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

}  // namespace

bool ResponsePieces::take(std::string_view bytes) {
    if (phase_ == Phase::passing) return on_piece_(bytes);
    text_.append(bytes);
    if (phase_ == Phase::head) return take_head();
    if (phase_ == Phase::whole) return text_.size() <= whole_bytes_max;
    return take_chunks();
}

bool ResponsePieces::take_head() {
    const std::size_t end = text_.find(head_end);
    if (end == std::string::npos) return text_.size() <= whole_bytes_max;
    if (!text_.starts_with("HTTP/1.1 200 ") && !text_.starts_with("HTTP/1.0 200 ")) {
        phase_ = Phase::whole;
        return true;
    }
    const bool chunked =
        lower(text_.substr(0, end + 2)).find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos;
    text_.erase(0, end + head_end.size());
    if (chunked) {
        phase_ = Phase::chunk_size;
        return take_chunks();
    }
    phase_ = Phase::passing;
    const std::string rest = std::exchange(text_, {});
    return rest.empty() || on_piece_(rest);
}

bool ResponsePieces::take_chunks() {
    while (!text_.empty()) {
        if (phase_ == Phase::chunk) {
            const std::size_t size = std::min<std::uint64_t>(chunk_left_, text_.size());
            if (!on_piece_(std::string_view(text_).substr(0, size))) return false;
            text_.erase(0, size);
            chunk_left_ -= size;
            if (chunk_left_ == 0) phase_ = Phase::chunk_end;
            continue;
        }
        const std::size_t end = text_.find("\r\n");
        if (end > line_bytes_max && text_.size() > line_bytes_max + 1) {
            phase_ = Phase::over;
            return false;
        }
        if (end == std::string::npos) return true;
        if (phase_ == Phase::chunk_end) {
            phase_ = end == 0 ? Phase::chunk_size : Phase::over;
        } else {
            const auto [stop, error] = std::from_chars(text_.data(), text_.data() + end, chunk_left_, 16);
            const bool is_size = error == std::errc{} && (stop == text_.data() + end || *stop == ';');
            phase_ = is_size && chunk_left_ > 0 ? Phase::chunk : Phase::over;
        }
        if (phase_ == Phase::over) return false;
        text_.erase(0, end + 2);
    }
    return true;
}

Result<HttpAnswer> ResponsePieces::answer() const {
    if (phase_ == Phase::head || phase_ == Phase::whole) return parse_http_response(text_);
    return HttpAnswer{.status = 200, .body = {}};
}

}  // namespace ee::cli

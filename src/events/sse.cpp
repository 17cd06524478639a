#include "events/sse.h"

#include <charconv>

#include <fmt/format.h>

namespace ee::events {
namespace {

constexpr std::size_t line_bytes_max = 1024 * 1024;

}  // namespace

void append_sse(std::string& out, const Event& event) {
    fmt::format_to(std::back_inserter(out), "id: {}\nevent: {}\ndata: ", event.seq, event.kind);
    append_json(out, event);
    out.append("\n\n");
}

void append_sse_lost(std::string& out, std::uint64_t after, std::uint64_t oldest) {
    fmt::format_to(std::back_inserter(out), "id: {}\nevent: {}\ndata: {{\"after\":{},\"oldest\":{}}}\n\n",
                   oldest - 1, lost_kind, after, oldest);
}

void append_sse_position(std::string& out, std::uint64_t position) {
    fmt::format_to(std::back_inserter(out), ":\nid: {}\n\n", position);
}

void append_sse_retry(std::string& out, std::uint64_t milliseconds) {
    fmt::format_to(std::back_inserter(out), "retry: {}\n\n", milliseconds);
}

std::optional<std::uint64_t> parse_position(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool SseReader::feed(std::string_view bytes) {
    for (;;) {
        const std::size_t end = bytes.find('\n');
        if (end == std::string_view::npos) {
            rest_.append(bytes);
            return rest_.size() <= line_bytes_max;
        }
        if (rest_.empty()) {
            take_line(bytes.substr(0, end));
        } else {
            rest_.append(bytes.substr(0, end));
            take_line(rest_);
            rest_.clear();
        }
        bytes.remove_prefix(end + 1);
    }
}

void SseReader::take_line(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
        last_id_ = id_;
        if (!data_.empty()) on_message_({.kind = kind_.empty() ? "message" : kind_, .data = data_});
        kind_.clear();
        data_.clear();
        return;
    }
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "event") kind_ = value;
    if (name == "id" && value.find('\0') == std::string_view::npos) id_ = value;
    if (name == "data") {
        if (!data_.empty()) data_.push_back('\n');
        data_.append(value);
    }
}

}  // namespace ee::events

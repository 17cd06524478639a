#include "telemetry/log.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unistd.h>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "telemetry/output.h"

namespace ee::telemetry {
namespace {

constexpr std::array<std::string_view, 5> level_names = {"debug", "info", "warn", "error", "off"};

// Together with a few short fields this keeps a line within what a pipe takes at once.
constexpr std::size_t value_bytes_max = 1024;
constexpr std::string_view cut_mark = "\xe2\x80\xa6";  // An ellipsis.

// The text, cut at a character's edge when it is too long.
std::string_view cut(std::string_view text, std::string& storage) {
    if (text.size() <= value_bytes_max) return text;
    std::size_t end = value_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    storage.assign(text.substr(0, end));
    storage += cut_mark;
    return storage;
}

void append_json_field(JsonWriter& json, const Field& field) {
    json.key(field.key());
    std::string storage;
    if (const auto* text = std::get_if<std::string_view>(&field.value())) {
        json.value(cut(*text, storage));
    } else if (const auto* number = std::get_if<std::int64_t>(&field.value())) {
        json.value(*number);
    } else if (const auto* real = std::get_if<double>(&field.value())) {
        if (std::isfinite(*real))
            json.raw(fmt::format("{}", *real));
        else
            json.null();  // JSON has no infinity.
    } else {
        json.value(std::get<bool>(field.value()));
    }
}

// Bare when it is one plain word, else quoted: a value cannot forge a second field or a second line.
void append_text_value(std::string& out, std::string_view text) {
    const bool plain = !text.empty() && text.find_first_of(" \"=\\") == std::string_view::npos &&
                       std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (plain)
        out += text;
    else
        append_json_string(out, text);
}

void append_text_field(std::string& out, const Field& field) {
    out += ' ';
    out += field.key();
    out += '=';
    std::string storage;
    if (const auto* text = std::get_if<std::string_view>(&field.value())) {
        append_text_value(out, cut(*text, storage));
    } else {
        std::visit([&out](const auto& value) { fmt::format_to(std::back_inserter(out), "{}", value); },
                   field.value());
    }
}

void format_json(std::string& out, WallTime time, LogLevel level, std::string_view event, Fields fields) {
    JsonWriter json(out);
    json.begin_object();
    json.field("time", to_rfc3339_millis(time)).field("level", to_string(level)).field("event", event);
    for (const Field& field : fields) append_json_field(json, field);
    json.end_object();
}

void format_text(std::string& out, WallTime time, LogLevel level, std::string_view event, Fields fields) {
    fmt::format_to(std::back_inserter(out), "{} {:<5} ", to_rfc3339_millis(time), to_string(level));
    append_text_value(out, event);
    for (const Field& field : fields) append_text_field(out, field);
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
    for (std::size_t i = 0; i < level_names.size(); ++i)
        if (text == level_names[i]) return static_cast<LogLevel>(i);
    return std::nullopt;
}

std::string_view to_string(LogLevel level) {
    return level_names[static_cast<std::size_t>(level)];
}

std::optional<LogFormat> parse_log_format(std::string_view text, int fd) {
    if (text == "json") return LogFormat::json;
    if (text == "text") return LogFormat::text;
    if (text == "auto") return ::isatty(fd) == 1 ? LogFormat::text : LogFormat::json;
    return std::nullopt;
}

void Log::write_line(LogLevel level, std::string_view event, Fields fields) const {
    // Kept between lines, so that logging does not allocate once it is warm.
    thread_local std::string line;
    const auto format = format_ == LogFormat::json ? format_json : format_text;
    if (!is_writable(fd_)) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    line.clear();
    const WallTime now = clock_();
    const std::uint64_t lost = dropped_.exchange(0, std::memory_order_relaxed);
    if (lost != 0) {
        format(line, now, LogLevel::warn, "log.dropped", {{"lines", lost}});
        line += '\n';
    }
    format(line, now, level, event, fields);
    line += '\n';
    // One write a line: lines of different threads and processes do not mix within a pipe's buffer.
    for (std::string_view rest = line; !rest.empty();) {
        const std::size_t written = write_some(fd_, rest);
        if (written == 0) {
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        rest.remove_prefix(written);
    }
}

}  // namespace ee::telemetry

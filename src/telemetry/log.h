#pragma once
// Structured logs, one line an event: JSON for machines, text for a terminal.

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/time.h"

namespace ee::telemetry {

enum class LogLevel : std::uint8_t { debug, info, warn, error, off };
enum class LogFormat : std::uint8_t { json, text };

// "debug", "info", "warn", "error", "off"; nullopt for anything else.
std::optional<LogLevel> parse_log_level(std::string_view text);
std::string_view to_string(LogLevel level);

// "json", "text", or "auto": text when `fd` is a terminal.
std::optional<LogFormat> parse_log_format(std::string_view text, int fd = 2);

// One key and its value; borrows both for the length of the call. Never put a secret in one.
class Field {
public:
    Field(std::string_view key, std::string_view value) : key_(key), value_(value) {}
    Field(std::string_view key, const std::string& value) : key_(key), value_(std::string_view(value)) {}
    Field(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
    template <std::same_as<bool> T>
    Field(std::string_view key, T value) : key_(key), value_(value) {}
    template <class T>
        requires(std::integral<T> && !std::same_as<T, bool>)
    Field(std::string_view key, T value) : key_(key), value_(static_cast<std::int64_t>(value)) {}
    Field(std::string_view key, double value) : key_(key), value_(value) {}

    using Value = std::variant<std::string_view, std::int64_t, double, bool>;
    std::string_view key() const { return key_; }
    const Value& value() const { return value_; }

private:
    std::string_view key_;
    Value value_;
};

using Fields = std::initializer_list<Field>;

// Writes events to a file descriptor (standard error by default), each with a single write(2). Any thread
// may log. A reader that stalls costs lines, never time: they are dropped, counted, and the count is logged
// with the next line that passes. Events are dotted names: "agent.attested".
class Log {
public:
    using Clock = WallTime (*)();

    Log(LogLevel level, LogFormat format, int fd = 2, Clock clock = &wall_now)
        : level_(level), format_(format), fd_(fd), clock_(clock) {}
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
    void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

    void debug(std::string_view event, Fields fields = {}) const { write(LogLevel::debug, event, fields); }
    void info(std::string_view event, Fields fields = {}) const { write(LogLevel::info, event, fields); }
    void warn(std::string_view event, Fields fields = {}) const { write(LogLevel::warn, event, fields); }
    void error(std::string_view event, Fields fields = {}) const { write(LogLevel::error, event, fields); }

    // Lines lost to a stalled reader since the last line that said so.
    std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

private:
    void write(LogLevel level, std::string_view event, Fields fields) const {
        if (enabled(level)) write_line(level, event, fields);
    }
    void write_line(LogLevel level, std::string_view event, Fields fields) const;

    std::atomic<LogLevel> level_;
    LogFormat format_;
    int fd_;
    Clock clock_;
    mutable std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace ee::telemetry

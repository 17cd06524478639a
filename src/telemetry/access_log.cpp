#include "telemetry/access_log.h"

#include <algorithm>
#include <charconv>
#include <poll.h>
#include <utility>

#include "base/json_writer.h"
#include "telemetry/output.h"

namespace ee::telemetry {
namespace {

constexpr std::size_t flush_bytes = 64 * 1024;
constexpr std::size_t buffer_bytes_max = 1024 * 1024;
constexpr std::size_t path_bytes_max = 2048;

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    out.append(digits, end);
}

// `name` comes with its quotes and separators: the keys are ours and need no escaping.
void append_text(std::string& out, std::string_view name, std::string_view text) {
    if (text.empty()) return;
    out += name;
    append_json_string(out, text);
}

void append_count(std::string& out, std::string_view name, std::uint64_t number) {
    out += name;
    append_number(out, number);
}

void append_duration(std::string& out, std::string_view name, std::chrono::microseconds duration) {
    if (duration.count() < 0) return;
    append_count(out, name, static_cast<std::uint64_t>(duration.count()));
}

// False when the time is over, or nobody will ever read. A signal may end the wait early.
bool wait_for_reader(int fd, MonoTime deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&entry, 1, static_cast<int>(left.count())) <= 0 || (entry.revents & ~POLLOUT) == 0;
}

}  // namespace

AccessLog::AccessLog(int fd) : fd_(fd), is_pipe_(fd >= 0 && is_pipe_or_socket(fd)) {}

void AccessLog::append_time(WallTime time) {
    // Formatting a date costs more than the rest of the line, and a second holds thousands of lines.
    const std::int64_t millis = time.time_since_epoch().count();
    const std::int64_t second = millis >= 0 ? millis / 1000 : (millis - 999) / 1000;
    if (second != prefix_second_) {
        prefix_ = to_rfc3339(WallTime(std::chrono::seconds(second)));
        prefix_.back() = '.';
        prefix_second_ = second;
    }
    const auto rest = static_cast<unsigned>(millis - second * 1000);
    const char digits[] = {static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                           static_cast<char>('0' + rest % 10)};
    buffer_ += "{\"time\":\"";
    buffer_ += prefix_;
    buffer_.append(digits, sizeof digits);
    buffer_ += "Z\",\"event\":\"access\"";
}

void AccessLog::append(const AccessRecord& record) {
    if (!enabled()) return;
    if (buffer_.size() >= buffer_bytes_max) {
        flush();
        if (buffer_.size() >= buffer_bytes_max) {
            ++dropped_;
            return;
        }
    }
    append_time(record.time);
    append_text(buffer_, ",\"request_id\":", record.request_id);
    append_text(buffer_, ",\"trace_id\":", record.trace_id);
    append_text(buffer_, ",\"client\":", record.client);
    append_text(buffer_, ",\"app\":", record.app);
    append_text(buffer_, ",\"agent\":", record.agent);
    append_text(buffer_, ",\"method\":", record.method);
    append_text(buffer_, ",\"path\":", record.path.substr(0, path_bytes_max));
    append_count(buffer_, ",\"status\":", static_cast<std::uint64_t>(std::max(record.status, 0)));
    if (record.attempts > 0)
        append_count(buffer_, ",\"attempts\":", static_cast<std::uint64_t>(record.attempts));
    append_text(buffer_, ",\"error\":", record.error);
    append_count(buffer_, ",\"request_bytes\":", record.request_bytes);
    append_count(buffer_, ",\"response_bytes\":", record.response_bytes);
    append_duration(buffer_, ",\"queue_us\":", record.queue);
    append_duration(buffer_, ",\"tunnel_us\":", record.tunnel);
    append_duration(buffer_, ",\"upstream_us\":", record.upstream);
    append_duration(buffer_, ",\"total_us\":", record.total);
    if (dropped_ != 0) append_count(buffer_, ",\"dropped\":", dropped_);
    dropped_ = 0;
    buffer_ += "}\n";
    if (buffer_.size() >= flush_bytes) flush();
}

void AccessLog::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
        if (is_pipe_ && !is_writable(fd_)) break;
        const std::size_t written = write_some(fd_, is_pipe_ ? rest.substr(0, pipe_write_bytes_max) : rest);
        if (written == 0) break;
        rest.remove_prefix(written);
    }
    buffer_.erase(0, buffer_.size() - rest.size());
}

std::uint64_t AccessLog::finish(std::chrono::milliseconds time_max) {
    const MonoTime deadline = std::chrono::steady_clock::now() + time_max;
    flush();
    while (is_pipe_ && !buffer_.empty() && wait_for_reader(fd_, deadline)) flush();
    // One that was written in part counts: nobody can read it.
    const auto left = static_cast<std::uint64_t>(std::ranges::count(buffer_, '\n'));
    buffer_.clear();
    return std::exchange(dropped_, 0) + left;
}

}  // namespace ee::telemetry

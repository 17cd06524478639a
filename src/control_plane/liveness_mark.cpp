#include "control_plane/liveness_mark.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace ee::control_plane {
namespace {

// Microseconds since the epoch and the log's size in so many digits each, a space between them and a line
// feed behind: each mark covers the one before. One without a size is of a version before there was one.
constexpr std::size_t time_digits = 19, size_digits = 20, mark_bytes = time_digits + 1 + size_digits + 1;

template <class Number>
bool parse_digits(std::string_view text, Number& out) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && stop == text.data() + text.size();
}

std::optional<LivenessMark::Seen> parse(std::string_view text) {
    const bool has_size = text.size() == mark_bytes && text[time_digits] == ' ';
    if ((!has_size && text.size() != time_digits + 1) || text.back() != '\n') return std::nullopt;
    std::int64_t us = 0;
    LivenessMark::Seen seen;
    if (!parse_digits(text.substr(0, time_digits), us) || us <= 0) return std::nullopt;
    if (has_size && !parse_digits(text.substr(time_digits + 1, size_digits), seen.leaves))
        return std::nullopt;
    seen.at = ledger::from_us(us);
    return seen;
}

}  // namespace

Result<LivenessMark> LivenessMark::open(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return fail("store_unavailable",
                    fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
    net::Fd file{descriptor};
    std::array<char, mark_bytes + 1> text{};
    const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
    if (size < 0)
        return fail("store_unavailable",
                    fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
    return LivenessMark(std::move(file), parse({text.data(), static_cast<std::size_t>(size)}));
}

void LivenessMark::write(const Seen& now) const {
    const std::string text =
        fmt::format("{:0{}} {:0{}}\n", ledger::to_us(now.at), time_digits, now.leaves, size_digits);
    // One that can't be written makes an outage look longer.
    static_cast<void>(::pwrite(file_.get(), text.data(), text.size(), 0) < 0);
}

}  // namespace ee::control_plane

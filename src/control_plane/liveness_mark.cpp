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

// Microseconds since the epoch in so many digits and a line feed: each mark covers the one before.
constexpr std::size_t mark_bytes = 20;

std::optional<ledger::LedgerTime> parse(std::string_view text) {
    if (text.size() != mark_bytes || text.back() != '\n') return std::nullopt;
    std::int64_t us = 0;
    const char* const end = text.data() + mark_bytes - 1;
    const auto [stop, error] = std::from_chars(text.data(), end, us);
    if (error != std::errc{} || stop != end || us <= 0) return std::nullopt;
    return ledger::from_us(us);
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

void LivenessMark::write(ledger::LedgerTime now) const {
    const std::string text = fmt::format("{:0{}}\n", ledger::to_us(now), mark_bytes - 1);
    // One that can't be written makes an outage look longer.
    static_cast<void>(::pwrite(file_.get(), text.data(), text.size(), 0) < 0);
}

}  // namespace ee::control_plane

#include "registry/sqlite/record_lines.h"

#include <charconv>

#include <fmt/format.h>

namespace ee::registry {
namespace {

// Takes the first line off `lines`.
std::string_view take_line(std::string_view& lines) {
    const std::size_t end = lines.find('\n');
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 1);
    return line;
}

}  // namespace

std::string nodes_to_lines(const std::vector<std::string>& nodes) {
    std::string out;
    for (const std::string& node : nodes) out.append(node).push_back('\n');
    return out;
}

std::vector<std::string> nodes_from_lines(std::string_view lines) {
    std::vector<std::string> out;
    while (!lines.empty()) out.emplace_back(take_line(lines));
    return out;
}

std::string rollout_to_lines(const std::vector<ReleaseWeight>& rollout) {
    std::string out;
    for (const auto& [release_tag, weight] : rollout) out += fmt::format("{} {}\n", weight, release_tag);
    return out;
}

Result<std::vector<ReleaseWeight>> rollout_from_lines(std::string_view lines) {
    std::vector<ReleaseWeight> out;
    while (!lines.empty()) {
        const std::string_view line = take_line(lines);
        ReleaseWeight share;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), share.weight);
        const auto digits = static_cast<std::size_t>(end - line.data());
        if (error != std::errc{} || digits + 1 >= line.size() || line[digits] != ' ')
            return fail("store_unavailable",
                        fmt::format("\"{}\" is no weight and release of a rollout", line));
        share.release_tag = line.substr(digits + 1);
        out.push_back(std::move(share));
    }
    return out;
}

}  // namespace ee::registry

#pragma once
// Reads the text of one setting. Each function answers nullopt or false for what its Kind does not accept.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.h"

namespace ee::config {

// Decimal digits only: no sign, no spaces, no separators.
std::optional<std::int64_t> parse_integer(std::string_view text);
// "65536", "64 KiB", "64MiB", "1 GiB"; the unit in either case.
std::optional<std::int64_t> parse_byte_size(std::string_view text);
// true/false, yes/no, on/off, 1/0 in either case.
std::optional<bool> parse_boolean(std::string_view text);
// Networks with the words expanded; nullopt when any part is neither. "none" stands alone.
std::optional<std::vector<std::string>> parse_networks(std::string_view text);
// The tokens, trimmed; nullopt when one is empty or has characters other than visible ASCII.
std::optional<std::vector<std::string>> parse_tokens(std::string_view text);

bool is_ip_address(std::string_view text);
// Labels of a-z, 0-9 and - in either case, joined by dots.
bool is_domain(std::string_view text);
// `schemes` is space-separated; "unix" as the last allows unix:/path, and beside "h2c" h2c+unix:/path. No
// user name, no fragment; with `origin_only` no path but "/" and no query.
bool is_url(std::string_view text, std::string_view schemes, bool origin_only);

// Whether `text` is a value that `rule` accepts. Looks at the file system for files and folders.
bool accepts(const Rule& rule, std::string_view text);

}  // namespace ee::config

#pragma once
// Whole numbers on the command line.

#include <charconv>
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/printable.h"

namespace ee::cli {

// For an option's check(): as JSON has it, and of 64 bits. CLI11 by itself takes -1, and what is too large,
// for the largest number there is.
inline CLI::Validator whole_number() {
    return CLI::Validator(
        [](const std::string& text) -> std::string {
            std::uint64_t number = 0;
            const char* end = text.data() + text.size();
            const auto read = std::from_chars(text.data(), end, number);
            if (read.ec == std::errc{} && read.ptr == end && (text == "0" || text.front() != '0')) return "";
            return fmt::format("must be a whole number, not negative, below 2^64, such as 8 or 0, not \"{}\"",
                               printable(text));
        },
        "");
}

}  // namespace ee::cli

#pragma once
// What the simulations share: their arguments, and what a failing seed prints.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace ee::simulation {

inline std::uint64_t number_after(int count, char** arguments, std::string_view name,
                                  std::uint64_t otherwise) {
    for (int i = 1; i + 1 < count; ++i)
        if (arguments[i] == name) return std::strtoull(arguments[i + 1], nullptr, 10);
    return otherwise;
}

// Calls `run`. False when that threw: then the simulation's last steps were printed, and `alone`, which runs
// the seed by itself.
template <class Simulation, class Run>
bool holds(const Simulation& simulation, std::uint64_t seed, const std::string& alone, const Run& run) {
    try {
        run();
        return true;
    } catch (const std::exception& failure) {
        fmt::print(stderr, "seed {} failed: {}\nits last steps:\n", seed, failure.what());
        for (const std::string& line : simulation.said()) fmt::print(stderr, "  {}\n", line);
        fmt::print(stderr, "run it alone: {}\n", alone);
        return false;
    }
}

}  // namespace ee::simulation

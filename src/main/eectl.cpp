#include "cli/eectl.h"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    ee::cli::Context context{.out = std::cout,
                             .err = std::cerr,
                             .environment = [](const char* name) -> std::optional<std::string> {
                                 const char* value = std::getenv(name);
                                 if (value == nullptr) return std::nullopt;
                                 return value;
                             },
                             .now = ee::wall_now()};
    try {
        const std::vector<std::string> arguments(argv + 1, argv + argc);
        return ee::cli::run_eectl(arguments, context);
    } catch (const std::exception& error) {
        std::cerr << "eectl: " << error.what() << '\n';
        return ee::cli::exit_refused;
    }
}

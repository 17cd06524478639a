#pragma once
// eectl events: follows what happens, for as long as it runs.

#include <string>

#include "cli/eectl.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct EventsOptions {
    std::string url;
    std::string after;
    std::string app;
    std::string kind;
    std::size_t count = 0;  // Ends after so many; 0: it does not.
    bool json = false;
};

// Comes back when the connection ends, and goes on where it was. Answers once it is refused, has printed
// `count` events, or cannot print.
int run_events(const EventsOptions& options, Context& context);

}  // namespace ee::cli

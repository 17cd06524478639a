#pragma once
// eectl request: one request to an app, whose answer is thrown away unless it says that what was asked of the
// agent (EE-Require) is met.

#include <string>
#include <vector>

#include "cli/eectl.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct RequestOptions {
    std::string app;
    std::string path = "/";
    std::string url;       // The control plane; with `app_host` where that host is reached instead.
    std::string app_host;  // The app's own host at the proxy listener.
    std::string method;    // GET, or POST with a body.
    std::vector<std::string> headers;
    std::string require;
    std::string data;
    std::string data_file;  // "-": standard input.
    bool has_data = false;  // Also when it is empty.
    int timeout_s = 310;    // More than a stream may be silent.
    bool show_head = false;
};

// Answers `exit_refused` for a status of 400 and above, too. No token is sent: an app has no use for ours.
int run_request(const RequestOptions& options, Context& context);

}  // namespace ee::cli

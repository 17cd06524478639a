#pragma once
// eectl route explain: which agent an app's next request would go to, and why.

#include <string>

#include "base/result.h"
#include "cli/eectl.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct RouteExplainOptions {
    std::string url;  // else EECTL_URL, EE_PUBLIC_URL, http://127.0.0.1:8088
    std::string app;
    bool json = false;
};

int run_route_explain(const RouteExplainOptions& options, Context& context);

}  // namespace ee::cli

#pragma once
// eectl apps list, eectl apps show: what a control plane says about its apps.

#include <string>

#include "base/result.h"
#include "cli/eectl.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct AppsOptions {
    std::string url;  // else EECTL_URL, EE_PUBLIC_URL, http://127.0.0.1:8088
    std::string name;
    std::string network;
    std::string status;
    std::string repo;
    bool json = false;
};

int run_apps_list(const AppsOptions& options, Context& context);
int run_apps_show(const AppsOptions& options, Context& context);

}  // namespace ee::cli

#pragma once
// eectl apps create, delete, attest, drain, nodes, rollout: what an admin or an app's owner says of an app.

#include <functional>
#include <string>
#include <vector>

#include "cli/eectl.h"

namespace CLI {
class App;
}

namespace ee::cli {

// What the command line said.
struct AppChange {
    std::string url;
    std::string name;
    std::string repo;
    std::string network;  // empty: it stays where it is
    std::string billing_account;
    std::string agent;
    std::vector<std::string> items;  // nodes, or TAG=WEIGHT
    bool rotate_token = false;
    bool none = false;  // no node may serve; no rollout
    bool any = false;   // no list of nodes
    bool json = false;
};

// Adds the commands to `apps`; `change` holds what they were given, and outlives it.
void add_app_changes(CLI::App& apps, AppChange& change, std::function<int(Context&)>& command);

}  // namespace ee::cli

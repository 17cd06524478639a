// Many agents in one process and on one loop, each with an app, a tunnel and connections to the backend of
// its own: what many tunnels cost the control plane, without what many processes cost the machine.
//
//   agents APP...    with the environment of an easyenclave-agent, EE_APP_NAME apart

#include <csignal>
#include <deque>
#include <iostream>
#include <unistd.h>

#include "agent/agent.h"
#include "net/signals.h"

namespace {

using namespace ee;

constexpr std::size_t jobs_max = 1024;  // All may want a quote at once.

// Of one app: below EE_STATE_DIR each has a folder.
std::variant<config::AgentConfig, config::ExitRequest> config_of(const std::string& app,
                                                                 const char* program) {
    config::Environment environment = config::read_environment(environ);
    environment["EE_APP_NAME"] = app;
    environment["EE_STATE_DIR"] += "/" + app;
    return config::load_agent_config(1, &program, environment);
}

int run(const std::vector<agent::AgentParts>& parts) {
    const telemetry::Log log(*telemetry::parse_log_level(parts.front().config.log_level),
                             *telemetry::parse_log_format(parts.front().config.log_format));
    net::raise_descriptor_limit();
    net::Loop loop;
    const net::Signals signals(loop, {SIGTERM, SIGINT}, [&](int) { loop.stop(); });
    std::signal(SIGPIPE, SIG_IGN);
    agent::AgentWorkers workers(jobs_max);
    std::deque<agent::Agent> agents;
    for (const agent::AgentParts& part : parts) agents.emplace_back(loop, workers, log, part).start();
    loop.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<agent::AgentParts> parts;
    for (int i = 1; i < argc; ++i) {
        const auto config = config_of(argv[i], argv[0]);
        if (const auto* refused = std::get_if<config::ExitRequest>(&config)) {
            std::cerr << refused->text;
            return refused->code;
        }
        auto part = agent::prepare_agent(std::get<config::AgentConfig>(config));
        if (!part) {
            std::cerr << argv[i] << ": " << part.error().code << ": " << part.error().detail << '\n';
            return 1;
        }
        parts.push_back(std::move(*part));
    }
    if (parts.empty()) {
        std::cerr << "usage: agents APP...\n";
        return 64;
    }
    return run(parts);
}

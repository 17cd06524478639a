#include "agent/agent.h"

#include <exception>
#include <iostream>
#include <unistd.h>

int main(int argc, char** argv) {
    const auto loaded = ee::config::load_agent_config(argc, argv, ee::config::read_environment(environ),
                                                      ee::agent::start_inspections());
    if (const auto* exit = std::get_if<ee::config::ExitRequest>(&loaded)) {
        (exit->code == 0 ? std::cout : std::cerr) << exit->text;
        return exit->code;
    }
    try {
        return ee::agent::run_agent(std::get<ee::config::AgentConfig>(loaded));
    } catch (const std::exception& error) {
        std::cerr << "easyenclave-agent: " << error.what() << '\n';
        return 1;
    }
}

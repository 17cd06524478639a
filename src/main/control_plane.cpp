#include "control_plane/control_plane.h"

#include <exception>
#include <iostream>
#include <unistd.h>

#include "control_plane/networks.h"

int main(int argc, char** argv) {
    const auto load = [argc, argv] {
        return ee::config::load_control_plane_config(argc, argv, ee::config::read_environment(environ),
                                                     ee::control_plane::inspect_networks_file);
    };
    const auto loaded = load();
    if (const auto* exit = std::get_if<ee::config::ExitRequest>(&loaded)) {
        (exit->code == 0 ? std::cout : std::cerr) << exit->text;
        return exit->code;
    }
    try {
        return ee::control_plane::run_control_plane(std::get<ee::config::ControlPlaneConfig>(loaded), load);
    } catch (const std::exception& error) {
        std::cerr << "easyenclave-control: " << error.what() << '\n';
        return 1;
    }
}

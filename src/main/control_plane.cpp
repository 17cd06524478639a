#include "control_plane/control_plane.h"

#include <exception>
#include <iostream>
#include <unistd.h>

#include "control_plane/start_inspections.h"

int main(int argc, char** argv) {
    const auto load = [argc, argv](const auto& inspections) {
        return ee::config::load_control_plane_config(argc, argv, ee::config::read_environment(environ),
                                                     inspections);
    };
    const auto reload = [&load] { return load(ee::control_plane::reload_inspections()); };
    const auto loaded = load(ee::control_plane::start_inspections());
    if (const auto* exit = std::get_if<ee::config::ExitRequest>(&loaded)) {
        (exit->code == 0 ? std::cout : std::cerr) << exit->text;
        return exit->code;
    }
    try {
        return ee::control_plane::run_control_plane(std::get<ee::config::ControlPlaneConfig>(loaded), reload);
    } catch (const std::exception& error) {
        std::cerr << "easyenclave-control: " << error.what() << '\n';
        return 1;
    }
}

#pragma once
// What is to be looked at before a start beyond what the settings say of themselves: files, folders,
// machines.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ee::config {

// Sentences that begin with a setting's name; a problem refuses the configuration.
struct Findings {
    std::vector<std::string> problems;
    std::vector<std::string> warnings;
};

// `find` reads what the settings name as the start does, and changes nothing.
template <class Config>
struct Inspection {
    std::vector<std::string_view> settings;  // What it looks at; left out where one of them is not valid.
    std::function<Findings(const Config&)> find;
};

template <class Config>
using Inspections = std::vector<Inspection<Config>>;

}  // namespace ee::config

#pragma once
// eectl simulate init, quote, refresh, faults.

#include <map>
#include <string>
#include <vector>

#include "cli/eectl.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct SimulateOptions {
    std::string folder;
    std::string at;  // Unix seconds or RFC 3339
    bool force = false;
    std::vector<std::string> faults;
    // simulate quote
    std::string report_data;
    std::string out;
    std::string body;
    std::string tcb;
    bool debug = false;
    std::string qe_auth;
    bool qe_auth_given = false;
    std::string trailing;
    std::size_t padding = 0;
    std::size_t truncate = 0;                   // 0: whole
    std::map<std::string, std::string> fields;  // by name, see attestation/simulated_platform_fields.h
};

int run_simulate_init(const SimulateOptions& options, Context& context);
int run_simulate_quote(const SimulateOptions& options, Context& context);
int run_simulate_refresh(const SimulateOptions& options, Context& context);
int run_simulate_faults(Context& context);

}  // namespace ee::cli

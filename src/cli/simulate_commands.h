#pragma once
// eectl simulate init, quote, certificate, refresh, faults.

#include <map>
#include <string>
#include <vector>

#include "attestation/simulated_platform.h"
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

// simulate certificate, besides what it shares with simulate quote.
struct SimulateCertificateOptions {
    std::string role = "agent";
    std::string app;
    std::string repo;
    std::string release_tag;
    std::string network;
    bool legacy = false;  // deployed agents' layout
    bool wrapped = false;
    std::int64_t life_s = 86400;
    std::string key;  // use this one
    bool ed25519 = false;
    std::string key_out;
    std::string cert_out;
    bool signed_by_stranger = false;
};

// The options that say what a quote is like, but for its report data.
Result<attestation::SimulatedQuoteRequest> read_quote_options(const SimulateOptions& options);

int run_simulate_init(const SimulateOptions& options, Context& context);
int run_simulate_quote(const SimulateOptions& options, Context& context);
int run_simulate_certificate(const SimulateOptions& quote, const SimulateCertificateOptions& options,
                             Context& context);
int run_simulate_refresh(const SimulateOptions& options, Context& context);
int run_simulate_faults(Context& context);

}  // namespace ee::cli

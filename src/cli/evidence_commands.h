#pragma once
// eectl evidence fetch, eectl evidence show, eectl evidence verify.

#include <string>

#include "cli/eectl.h"

namespace ee::cli {

struct EvidenceFetchOptions {
    std::string app;
    std::string url;
    std::string out;
    std::string id;      // empty: the newest of every agent
    std::string cursor;  // empty: the first page
};
int run_evidence_fetch(const EvidenceFetchOptions& options, Context& context);

struct EvidenceShowOptions {
    std::string file;
};
int run_evidence_show(const EvidenceShowOptions& options, Context& context);

// Texts as given on the command line; empty where the option is absent.
struct EvidenceVerifyOptions {
    std::string file;
    std::string collateral;  // a file or a folder
    std::string allowlist;
    std::string root;  // a certificate file
    std::string network;
    std::string policy;  // a file of networks; `network` picks one of several
    std::string at;      // Unix seconds or RFC 3339
    bool accept_policy = false;
    bool json = false;
};
int run_evidence_verify(const EvidenceVerifyOptions& options, Context& context);

}  // namespace ee::cli

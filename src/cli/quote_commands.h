#pragma once
// eectl quote show, eectl quote verify.

#include <optional>
#include <string>

#include "cli/eectl.h"

namespace ee::cli {

struct QuoteShowOptions {
    std::string file;
    bool json = false;
};
int run_quote_show(const QuoteShowOptions& options, Context& context);

// Texts as given on the command line; empty where the option is absent.
struct QuoteVerifyOptions {
    std::string file;
    std::string collateral;  // a file or a folder
    std::string at;          // Unix seconds or RFC 3339
    std::string root;        // a certificate file
    std::string report_data;
    std::string network;
    std::string policy;  // a file of networks; `network` picks one of several
    std::string allowlist;
    bool json = false;
};
int run_quote_verify(const QuoteVerifyOptions& options, Context& context);

// Unix seconds or RFC 3339 in UTC.
std::optional<WallTime> parse_time(const std::string& text);

}  // namespace ee::cli

#pragma once
// eectl quote show, eectl quote verify.

#include <optional>
#include <string>

#include "cli/eectl.h"
#include "cli/quote_judgement.h"

namespace ee::cli {

struct QuoteShowOptions {
    std::string file;
    bool json = false;
};
int run_quote_show(const QuoteShowOptions& options, Context& context);

// Texts as given on the command line; empty where the option is absent.
struct QuoteVerifyOptions {
    std::string file;
    std::string at;  // Unix seconds or RFC 3339
    std::string report_data;
    QuoteTermsOptions terms;
    bool json = false;
};
int run_quote_verify(const QuoteVerifyOptions& options, Context& context);

// Unix seconds or RFC 3339 in UTC.
std::optional<WallTime> parse_time(const std::string& text);

}  // namespace ee::cli

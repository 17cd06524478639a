#pragma once
// eectl connect: bytes to an app whose agent has proven what it is, on the very connection that carries them.

#include <string>

#include "cli/eectl.h"
#include "cli/quote_judgement.h"

namespace ee::cli {

// Texts as given on the command line; empty where the option is absent.
struct ConnectOptions {
    std::string app;  // or <app>.<domain>
    std::string domain;
    std::string via;  // HOST:PORT
    QuoteTermsOptions terms;
    std::string listen;  // ADDRESS:PORT
    bool check = false;
    bool json = false;
};
int run_connect(const ConnectOptions& options, Context& context);

}  // namespace ee::cli

#pragma once
// eectl ledger verify.

#include <string>

#include "cli/eectl.h"
#include "cli/receipt_judgement.h"

namespace ee::cli {

struct LedgerVerifyOptions {
    std::string file;
    ReceiptTermsOptions terms;
    bool json = false;
};
int run_ledger_verify(const LedgerVerifyOptions& options, Context& context);

}  // namespace ee::cli

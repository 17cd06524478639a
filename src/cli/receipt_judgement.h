#pragma once
// Judging a receipt of the ledger by terms that were given on the command line: all that holds of it by
// itself, and that its log's key is the one of a control plane one believes.

#include <optional>
#include <string>

#include "attestation/quote_verifier.h"
#include "base/result.h"
#include "base/time.h"
#include "cli/quote_judgement.h"
#include "ledger/receipt.h"

namespace ee::cli {

// Texts as given; empty where the option is absent.
struct ReceiptTermsOptions {
    std::string control_allowlist;
    std::string key;  // a file: Ed25519 public key, PEM or base64
    std::string root;
    std::string network;
    std::string policy;
    std::string log_id;
    std::string at;  // Unix seconds or RFC 3339
};

// Either a key, which says nothing of a machine, or what its quote is judged by: anchors, policy, allowlist.
struct ReceiptTerms {
    std::optional<ByteArray<32>> key;
    QuoteTerms quote;
    std::string log_id;          // empty: any
    std::optional<WallTime> at;  // when the quote is judged; nullopt: when its leaf says it was made
};

// Refuses with `usage`.
Result<ReceiptTerms> read_receipt_terms(const ReceiptTermsOptions& options);

struct ReceiptOutcome {
    std::optional<Error> refusal;
    std::optional<ledger::VerifiedReceipt> receipt;  // once it has held by itself
    std::optional<QuoteOutcome> quote;               // of the key's leaf, where it was judged
    std::optional<WallTime> judged_at;               // and when

    // "ok", "unattested" (it holds by a key that was given), "refused".
    const char* result() const {
        if (refusal) return "refused";
        return quote ? "ok" : "unattested";
    }
};

// First what holds by itself: refusals are those of ledger::parse_receipt() and ledger::verify_receipt().
// Then `log_mismatch` when it is of another log than the one asked for. Then `key_mismatch` with a key;
// without one `quote_missing` when the log's key was never bound to a machine, `report_data_mismatch` when it
// was for another key, log or release, and what else judging the quote and comparing its machine with the
// allowlist refuses.
ReceiptOutcome judge_receipt(std::string_view json, const ReceiptTerms& terms);

}  // namespace ee::cli

#include <ostream>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "base/base64.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "base/printable.h"
#include "cli/leaf_words.h"
#include "cli/ledger_commands.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

std::string detail_of(const ReceiptOutcome& outcome) {
    if (outcome.refusal) return outcome.refusal->detail;
    if (outcome.quote) return "the leaf is in the log that the control plane's machine signed";
    return "the leaf is in the log that this key signed; no machine was judged";
}

std::string joined(const att::CheckList& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : " ") + item;
    return out.empty() ? "none" : out;
}

void print(std::ostream& out, const ReceiptOutcome& outcome, const ReceiptTerms& terms) {
    // Texts of the file come from strangers.
    const auto line = [&out](std::string_view name, std::string_view value) {
        out << fmt::format("{:<14}{}\n", name, printable(value));
    };
    line("result", outcome.refusal ? fmt::format("refused: {}", outcome.refusal->code) : outcome.result());
    line("detail", detail_of(outcome));
    if (outcome.quote) {
        line("checked", joined(outcome.quote->checks));
        line("judged at", to_rfc3339(*outcome.judged_at));
    }
    // Nothing is said of what a receipt shows unless all of it holds.
    if (outcome.refusal) return;
    const ledger::VerifiedReceipt& receipt = *outcome.receipt;
    const ledger::Leaf& leaf = receipt.leaf();
    line("leaf", fmt::format("{} of {}, {}, of {}", receipt.leaf_index(), receipt.checkpoint().head.size,
                             to_string(leaf.kind), time_text(leaf.time_us)));
    line("says", leaf_in_words(leaf));
    line("log", receipt.checkpoint().log_id);
    line("root", to_hex(receipt.checkpoint().head.root));
    line("log key", fmt::format("{}, noted in leaf {}", to_hex(receipt.log_key().bytes("public_key")),
                                receipt.log_key_index()));
    if (!outcome.quote) return;
    const att::VerifiedQuote& quote = *outcome.quote->quote;
    line("release",
         fmt::format("{} of {}", receipt.log_key().text("release_tag"), receipt.log_key().text("repo")));
    line("allowlist", to_hex(terms.quote.allowlist->sha256));
    line("trust root",
         quote.anchor().simulated ? "the one given with --root (simulated)" : "Intel SGX Root CA");
    line("tcb status", std::string(to_string(quote.tcb().status)));
    line("mrtd", to_hex(quote.report().mr_td));
}

void write_quote(JsonWriter& json, const ReceiptOutcome& outcome) {
    const auto write_list = [&json](std::string_view name, const att::CheckList& items) {
        json.key(name).begin_array();
        for (const std::string& item : items) json.value(item);
        json.end_array();
    };
    json.begin_object();
    write_list("checks", outcome.quote->checks);
    write_list("not_checked", outcome.quote->not_checked);
    json.field("judged_at", to_rfc3339(*outcome.judged_at)).key("tcb_status");
    outcome.quote->tcb_evaluated() ? json.value(to_string(outcome.quote->quote->tcb().status)) : json.null();
    json.key("root");
    const auto& quote = outcome.quote->quote;
    quote ? json.value(quote->anchor().simulated ? "given" : "intel") : json.null();
    json.end_object();
}

// Of what a receipt shows nothing is said unless all of it holds.
void write_contents(JsonWriter& json, const ledger::VerifiedReceipt& receipt) {
    json.field("leaf_index", receipt.leaf_index()).key("leaf");
    write_leaf(json, receipt.leaf());
    const ledger::Checkpoint& checkpoint = receipt.checkpoint();
    json.key("checkpoint")
        .begin_object()
        .field("log_id", checkpoint.log_id)
        .field("size", checkpoint.head.size)
        .field("root", to_base64(checkpoint.head.root))
        .end_object();
    const ledger::Leaf& key = receipt.log_key();
    json.key("log_key")
        .begin_object()
        .field("leaf_index", receipt.log_key_index())
        .field("public_key", to_base64(key.bytes("public_key")))
        .field("repo", key.text("repo"))
        .field("release_tag", key.text("release_tag"))
        .field("time", time_text(key.time_us))
        .end_object();
}

std::string to_json(const ReceiptOutcome& outcome) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().field("result", outcome.result()).key("code");
    outcome.refusal ? json.value(outcome.refusal->code) : json.null();
    json.field("detail", detail_of(outcome));
    if (!outcome.refusal) write_contents(json, *outcome.receipt);
    json.key("quote");
    if (outcome.quote)
        write_quote(json, outcome);
    else
        json.null();
    json.end_object();
    return text;
}

// What a call answered has its receipt within.
std::string receipt_in(const std::string& text) {
    simdjson::dom::parser parser;
    simdjson::dom::object answer, receipt;
    if (parser.parse(text).get(answer) != simdjson::SUCCESS ||
        answer["receipt"].get(receipt) != simdjson::SUCCESS)
        return text;
    return simdjson::minify(receipt);
}

}  // namespace

int run_ledger_verify(const LedgerVerifyOptions& options, Context& context) {
    const auto usage = [&context](const Error& why) {
        context.err << "eectl: " << why.detail << '\n';
        return exit_usage;
    };
    const auto terms = read_receipt_terms(options.terms);
    if (!terms) return usage(terms.error());
    const auto text = att::read_whole_file(options.file, ledger::receipt_bytes_max);
    if (!text) return usage(text.error());
    const ReceiptOutcome outcome = judge_receipt(receipt_in(*text), *terms);
    if (options.json)
        context.out << to_json(outcome) << '\n';
    else
        print(context.out, outcome, *terms);
    return outcome.refusal ? exit_refused : exit_good;
}

}  // namespace ee::cli

#include "cli/receipt_judgement.h"

#include <algorithm>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cli/judging_files.h"
#include "cli/named_policy.h"
#include "cli/quote_commands.h"
#include "crypto/ed25519.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

constexpr std::size_t key_file_bytes_max = 4096;
constexpr std::string_view pem_begin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view pem_end = "-----END PUBLIC KEY-----";

// Without white space, which the lines of PEM and the end of a file have.
std::string squeezed(std::string_view text) {
    std::string out;
    std::copy_if(text.begin(), text.end(), std::back_inserter(out),
                 [](char c) { return c != ' ' && c != '\n' && c != '\r' && c != '\t'; });
    return out;
}

// PEM of a SubjectPublicKeyInfo, or base64 of that or of the 32 bytes alone.
std::optional<ByteArray<32>> parse_public_key(std::string_view text) {
    const std::size_t begin = text.find(pem_begin);
    if (begin != std::string_view::npos) {
        text.remove_prefix(begin + pem_begin.size());
        const std::size_t end = text.find(pem_end);
        if (end == std::string_view::npos) return std::nullopt;
        text = text.substr(0, end);
    }
    const auto bytes = from_base64(squeezed(text));
    if (!bytes) return std::nullopt;
    ByteArray<32> raw;
    if (bytes->size() == raw.size()) {
        std::copy(bytes->begin(), bytes->end(), raw.begin());
        return raw;
    }
    const auto key = crypto::Ed25519PublicKey::from_spki(*bytes);
    if (!key) return std::nullopt;
    return key->raw();
}

Result<ByteArray<32>> read_public_key(const std::string& file) {
    const auto text = att::read_whole_file(file, key_file_bytes_max);
    if (!text) return fail("usage", "--key: " + text.error().detail);
    const auto key = parse_public_key(*text);
    if (!key) return fail("usage", fmt::format("--key: {} is no Ed25519 public key in PEM or base64", file));
    return *key;
}

// A control plane is judged like a machine of a sealed network, as far as a quote shows it: it makes no
// claims, and is no agent that could be sealed.
Result<att::NetworkPolicy> control_policy(const ReceiptTermsOptions& options, bool simulated_root) {
    att::NetworkPolicy policy = att::forge_1_policy();
    policy.simulated_root_allowed = simulated_root;
    if (!options.network.empty() || !options.policy.empty()) {
        auto named = named_policy(options.network, options.policy, simulated_root);
        if (!named) return fail(named.error());
        policy = std::move(named->policy);
    }
    policy.sealed_required = false;
    policy.claims_required.clear();
    return policy;
}

Result<QuoteTerms> read_quote_terms(const ReceiptTermsOptions& options) {
    QuoteTerms terms;
    if (!options.root.empty()) {
        auto anchors = att::TrustAnchors::with_simulated_root_file(options.root);
        if (!anchors) return fail("usage", "--root: " + anchors.error().detail);
        terms.anchors = std::move(*anchors);
    }
    auto policy = control_policy(options, terms.anchors.has_simulated());
    if (!policy) return fail(std::move(policy.error()));
    terms.policy = std::move(*policy);
    const auto text = att::read_whole_file(options.control_allowlist, att::allowlist_size_max);
    if (!text) return fail("usage", "--control-allowlist: " + text.error().detail);
    auto allowlist = att::parse_allowlist(*text);
    if (!allowlist)
        return fail("usage", fmt::format("--control-allowlist: {}: {}", allowlist.error().code,
                                         allowlist.error().detail));
    terms.allowlist = std::move(*allowlist);
    return terms;
}

// What the quote in a key's leaf must be over.
att::ReportData expected_report_data(const ledger::VerifiedReceipt& receipt) {
    const ledger::Leaf& leaf = receipt.log_key();
    const std::string& log_id = receipt.checkpoint().log_id;
    ByteArray<32> last_root;
    std::copy_n(leaf.bytes("last_root").begin(), last_root.size(), last_root.begin());
    return att::report_data_control(att::log_key_nonce(log_id, leaf.u64("last_size"), last_root),
                                    {.tls_spki_sha256 = leaf.bytes("tls_spki_sha256"),
                                     .ledger_public_key = leaf.bytes("public_key"),
                                     .log_id = log_id,
                                     .repo = leaf.text("repo"),
                                     .release_tag = leaf.text("release_tag")});
}

// A leaf's time is the log's word. One that no calendar has is as wrong at its nearest end.
WallTime time_of(const ledger::Leaf& leaf) {
    constexpr std::int64_t end_of_9999_ms = 253'402'300'799'999;
    return WallTime(
        std::chrono::milliseconds(std::clamp(leaf.time_us / 1000, std::int64_t{0}, end_of_9999_ms)));
}

std::optional<Error> judge_log_key(const ledger::VerifiedReceipt& receipt, const ReceiptTerms& terms,
                                   WallTime at, QuoteOutcome& outcome) {
    const ledger::Leaf& leaf = receipt.log_key();
    auto collateral = att::parse_collateral(leaf.text("collateral"));
    if (!collateral) return std::move(collateral.error());
    QuoteTerms quote_terms{.anchors = terms.quote.anchors,
                           .collateral = std::make_unique<att::FixedCollateral>(std::move(*collateral)),
                           .policy = terms.quote.policy,
                           .allowlist = terms.quote.allowlist};
    outcome = judge_quote(leaf.bytes("quote"), expected_report_data(receipt), quote_terms, at);
    if (outcome.refusal) return outcome.refusal;
    const auto release =
        att::check_allowlist(*terms.quote.allowlist, leaf.text("repo"), leaf.text("release_tag"), at);
    if (!release) return release.error();
    return std::nullopt;
}

std::optional<Error> judge_key(const ledger::VerifiedReceipt& receipt, const ByteArray<32>& key) {
    const Bytes& signer = receipt.log_key().bytes("public_key");
    if (std::equal(signer.begin(), signer.end(), key.begin(), key.end())) return std::nullopt;
    return Error{"key_mismatch",
                 fmt::format("the checkpoint is signed by {}, --key is {}", to_hex(signer), to_hex(key))};
}

}  // namespace

Result<ReceiptTerms> read_receipt_terms(const ReceiptTermsOptions& options) {
    ReceiptTerms terms{.key = {}, .quote = {}, .log_id = options.log_id, .at = {}};
    if (options.key.empty() == options.control_allowlist.empty())
        return fail("usage",
                    "a receipt is judged by --control-allowlist, the allowlist of the control plane's "
                    "release, or else by --key, a file with the log's public_key as `eectl ledger head` "
                    "shows it");
    if (!options.key.empty() && !(options.root + options.network + options.policy + options.at).empty())
        return fail("usage", "--key judges no machine: --root, --network, --policy and --at are for quotes");
    if (!terms.log_id.empty() && !ledger::is_log_id(terms.log_id))
        return fail("usage", "--log-id takes 32 lower-case hex characters");
    if (!options.at.empty()) {
        terms.at = parse_time(options.at);
        if (!terms.at)
            return fail("usage", "--at: \"" + options.at + "\" is neither Unix seconds nor RFC 3339 in UTC");
    }
    if (!options.key.empty()) {
        const auto key = read_public_key(options.key);
        if (!key) return fail(key.error());
        terms.key = *key;
        return terms;
    }
    auto quote = read_quote_terms(options);
    if (!quote) return fail(std::move(quote.error()));
    terms.quote = std::move(*quote);
    return terms;
}

ReceiptOutcome judge_receipt(std::string_view json, const ReceiptTerms& terms) {
    ReceiptOutcome out;
    const auto refused = [&out](Error error) {
        out.refusal = std::move(error);
        return std::move(out);
    };
    const auto parsed = ledger::parse_receipt(json);
    if (!parsed) return refused(parsed.error());
    auto verified = ledger::verify_receipt(*parsed);
    if (!verified) return refused(std::move(verified.error()));
    out.receipt = std::move(*verified);
    const std::string& log_id = out.receipt->checkpoint().log_id;
    if (!terms.log_id.empty() && log_id != terms.log_id)
        return refused({"log_mismatch",
                        fmt::format("a receipt of the log {}, --log-id asks for {}", log_id, terms.log_id)});
    if (terms.key) {
        out.refusal = judge_key(*out.receipt, *terms.key);
        return out;
    }
    if (!out.receipt->has_quote())
        return refused(
            {"quote_missing",
             "the log's key was not bound to a machine by a quote; --key judges by the key alone"});
    out.judged_at = terms.at.value_or(time_of(out.receipt->log_key()));
    out.refusal = judge_log_key(*out.receipt, terms, *out.judged_at, out.quote.emplace());
    return out;
}

}  // namespace ee::cli

#include <charconv>
#include <memory>
#include <ostream>
#include <string>

#include <fmt/format.h>

#include "attestation/allowlist.h"
#include "attestation/directory_source.h"
#include "attestation/policy.h"
#include "attestation/quote_verifier.h"
#include "attestation/remedy.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "cli/named_policy.h"
#include "cli/quote_commands.h"
#include "cli/quote_file.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

// The options, read; a field is empty where its option is absent.
struct Inputs {
    Bytes quote;
    WallTime at{};
    att::TrustAnchors anchors;
    std::optional<att::ReportData> report_data;
    std::unique_ptr<att::CollateralSource> collateral;
    std::optional<att::NetworkPolicy> policy;
    std::optional<att::Allowlist> allowlist;
};

struct Outcome {
    std::optional<Error> refusal;
    att::CheckList checks;
    att::CheckList not_checked;
    std::optional<att::VerifiedQuote> quote;

    bool tcb_evaluated() const { return quote && quote->tcb().status != att::TcbStatus::not_evaluated; }
    const char* result() const { return refusal ? "refused" : (tcb_evaluated() ? "ok" : "crypto_ok"); }
};

// A refusal that the verdict itself must show (a bad collateral file, a bad allowlist), as against bad usage.
bool is_verdict(const Error& error) {
    return error.code.starts_with("collateral_") || error.code.starts_with("allowlist_invalid");
}

Result<std::unique_ptr<att::CollateralSource>> open_collateral(const std::string& where) {
    std::error_code ignored;
    if (std::filesystem::is_directory(where, ignored)) return att::make_collateral_directory(where);
    const auto text = att::read_whole_file(where, att::collateral_file_size_max);
    if (!text) return fail("usage", "--collateral: " + text.error().detail);
    auto collateral = att::parse_collateral(*text);
    if (!collateral) return fail(collateral.error());
    return std::make_unique<att::FixedCollateral>(std::move(*collateral));
}

Result<att::Allowlist> read_allowlist(const std::string& file) {
    const auto text = att::read_whole_file(file, att::allowlist_size_max);
    if (!text) return fail("usage", "--allowlist: " + text.error().detail);
    return att::parse_allowlist(*text);
}

Result<Inputs> read_inputs(const QuoteVerifyOptions& options, const Context& context) {
    Inputs inputs;
    auto quote = read_quote_file(options.file, context.err);
    if (!quote) return fail("usage", quote.error().detail);
    inputs.quote = std::move(*quote);

    inputs.at = context.now;
    if (!options.at.empty()) {
        const auto at = parse_time(options.at);
        if (!at)
            return fail("usage", "--at: \"" + options.at + "\" is neither Unix seconds nor RFC 3339 in UTC");
        inputs.at = *at;
    }
    if (!options.root.empty()) {
        auto anchors = att::TrustAnchors::with_simulated_root_file(options.root);
        if (!anchors) return fail("usage", "--root: " + anchors.error().detail);
        inputs.anchors = std::move(*anchors);
    }
    if (!options.report_data.empty()) {
        inputs.report_data = from_hex_exact<64>(options.report_data);
        if (!inputs.report_data) return fail("usage", "--report-data takes 128 hex characters (64 bytes)");
    }
    if (!options.network.empty() || !options.policy.empty()) {
        auto policy = named_policy(options.network, options.policy, inputs.anchors.has_simulated());
        if (!policy) return fail(policy.error());
        inputs.policy = std::move(*policy);
    }
    if (!options.allowlist.empty()) {
        auto allowlist = read_allowlist(options.allowlist);
        if (!allowlist) return fail(allowlist.error());
        inputs.allowlist = std::move(*allowlist);
    }
    if (!options.collateral.empty()) {
        auto collateral = open_collateral(options.collateral);
        if (!collateral) return fail(collateral.error());
        inputs.collateral = std::move(*collateral);
    }
    return inputs;
}

// Check P. Claims and binding need a tunnel: only what quote, policy and allowlist say is judged.
Result<void> judge_measurements(const Inputs& inputs, const att::VerifiedQuote& quote) {
    if (inputs.policy) {
        auto enough = att::judge_allowlist(*inputs.policy, *inputs.allowlist, false);
        if (!enough) return enough;
    }
    // Which release is asked for, only a tunnel says.
    const att::Allowlist& allowlist = *inputs.allowlist;
    auto valid = att::check_allowlist(allowlist, allowlist.repo, allowlist.release_tag, inputs.at);
    if (!valid) return valid;
    auto matched = att::match_quote(*inputs.allowlist, quote.report());
    if (!matched) return matched;
    if (auto held = att::match_tcb_date(*inputs.allowlist, quote.tcb().tcb_date); !held) return held;
    if (inputs.policy && inputs.policy->sealed_required &&
        (!inputs.allowlist->allows_sealed() || quote.report().is_debug())) {
        return fail("sealed_required", "the network takes sealed apps only; the allowlist says sealed: " +
                                           std::string(inputs.allowlist->allows_sealed() ? "true" : "false") +
                                           ", the TD is " +
                                           (quote.report().is_debug() ? "a debug TD" : "no debug TD"));
    }
    return {};
}

Outcome judge(const Inputs& inputs) {
    const att::QuoteVerifier verifier(inputs.anchors);
    att::VerifyOptions options;
    options.report_data = inputs.report_data;
    options.collateral = inputs.collateral.get();
    if (inputs.policy) options.collateral_grace = inputs.policy->collateral_grace;
    att::Verification verification = verifier.verify(inputs.quote, options, inputs.at);

    Outcome outcome{.refusal = std::move(verification.refusal),
                    .checks = std::move(verification.checks),
                    .not_checked = std::move(verification.not_checked),
                    .quote = std::move(verification.quote)};
    const auto make_check = [&outcome](const char* letter, bool asked, auto&& judged) {
        if (!asked || outcome.refusal) {
            outcome.not_checked.emplace_back(letter);
            return;
        }
        outcome.checks.emplace_back(letter);
        if (const Result<void> held = judged(); !held) outcome.refusal = held.error();
    };
    make_check("O", inputs.policy.has_value(),
               [&] { return att::judge_platform(*inputs.policy, *outcome.quote, inputs.at); });
    make_check("P", inputs.allowlist.has_value(), [&] { return judge_measurements(inputs, *outcome.quote); });
    return outcome;
}

std::string detail_of(const Outcome& outcome) {
    if (outcome.refusal) return outcome.refusal->detail;
    if (outcome.tcb_evaluated()) return "everything that was asked for holds";
    return "what can be judged without collateral holds";
}

std::string remedy_of(const Outcome& outcome) {
    if (!outcome.refusal) return "";
    const auto& quote = outcome.quote;
    return att::remedy_of(outcome.refusal->code,
                          quote ? quote->tcb().advisory_ids : std::vector<std::string>{});
}

void write_list(JsonWriter& json, const char* name, const std::vector<std::string>& items) {
    json.key(name).begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
}

void write_quote_fields(JsonWriter& json, const std::optional<att::VerifiedQuote>& quote) {
    // Nothing is said about a quote whose signatures do not hold.
    const auto hex_or_null = [&](const char* name, auto&& bytes_of) {
        json.key(name);
        quote ? json.value(to_hex(bytes_of(*quote))) : json.null();
    };
    json.key("fmspc");
    quote && quote->pck() ? json.value(to_hex(quote->pck()->fmspc)) : json.null();
    hex_or_null("mrtd", [](const att::VerifiedQuote& q) -> ByteSpan { return q.report().mr_td; });
    json.key("rtmrs").begin_array();
    if (quote) {
        for (const att::Measurement& rtmr : quote->report().rtmr) json.value(to_hex(rtmr));
    }
    json.end_array();
    hex_or_null("report_data",
                [](const att::VerifiedQuote& q) -> ByteSpan { return q.report().report_data; });
}

std::string to_json(const Outcome& outcome) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().field("result", outcome.result()).key("code");
    outcome.refusal ? json.value(outcome.refusal->code) : json.null();
    json.field("detail", detail_of(outcome)).key("remedy");
    outcome.refusal ? json.value(remedy_of(outcome)) : json.null();
    const att::TcbEvaluation tcb = outcome.quote ? outcome.quote->tcb() : att::TcbEvaluation{};
    json.key("tcb_status");
    outcome.tcb_evaluated() ? json.value(to_string(tcb.status)) : json.null();
    json.key("tcb_date");
    tcb.tcb_date ? json.value(to_rfc3339(*tcb.tcb_date)) : json.null();
    write_list(json, "advisory_ids", tcb.advisory_ids);
    write_quote_fields(json, outcome.quote);
    write_list(json, "checks", outcome.checks);
    write_list(json, "not_checked", outcome.not_checked);
    json.key("collateral_sha256").begin_object();
    if (outcome.quote && outcome.quote->collateral()) {
        for (const auto& [part, digest] : outcome.quote->collateral()->sha256())
            json.field(part, to_hex(digest));
    }
    json.end_object().end_object();
    return text;
}

std::string joined(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : " ") + item;
    return out.empty() ? "none" : out;
}

void print(std::ostream& out, const Outcome& outcome) {
    const auto line = [&out](std::string_view name, std::string_view value) {
        out << fmt::format("{:<14}{}\n", name, value);
    };
    line("result", outcome.refusal ? fmt::format("refused: {}", outcome.refusal->code) : outcome.result());
    line("detail", detail_of(outcome));
    if (outcome.refusal) line("what to do", remedy_of(outcome));
    line("checked", joined(outcome.checks));
    line("not checked", joined(outcome.not_checked));
    if (!outcome.quote) return;
    const att::VerifiedQuote& quote = *outcome.quote;
    line("root", quote.anchor().simulated ? "the one given with --root (simulated)" : "Intel SGX Root CA");
    line("tcb status", to_string(quote.tcb().status));
    if (quote.tcb().tcb_date) line("tcb date", to_rfc3339(*quote.tcb().tcb_date));
    line("advisories", joined(quote.tcb().advisory_ids));
    if (quote.pck()) line("fmspc", to_hex(quote.pck()->fmspc));
    line("mrtd", to_hex(quote.report().mr_td));
    for (std::size_t i = 0; i < quote.report().rtmr.size(); ++i) {
        line("rtmr" + std::to_string(i), to_hex(quote.report().rtmr[i]));
    }
    line("report data", to_hex(quote.report().report_data));
}

}  // namespace

std::optional<WallTime> parse_time(const std::string& text) {
    std::int64_t seconds = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    constexpr std::int64_t end_of_9999 = 253402300799;
    if (error == std::errc{} && stop == text.data() + text.size()) {
        if (seconds < 0 || seconds > end_of_9999) return std::nullopt;
        return WallTime(std::chrono::seconds(seconds));
    }
    return from_rfc3339(text);
}

int run_quote_verify(const QuoteVerifyOptions& options, Context& context) {
    const auto inputs = read_inputs(options, context);
    if (!inputs && !is_verdict(inputs.error())) {
        context.err << "eectl: " << inputs.error().detail << '\n';
        return exit_usage;
    }
    const Outcome outcome =
        inputs ? judge(*inputs)
               : Outcome{.refusal = inputs.error(), .checks = {}, .not_checked = {}, .quote = {}};
    if (options.json) {
        context.out << to_json(outcome) << '\n';
    } else {
        print(context.out, outcome);
    }
    return outcome.refusal ? exit_refused : exit_good;
}

}  // namespace ee::cli

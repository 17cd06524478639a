#include <charconv>
#include <ostream>
#include <string>

#include <fmt/format.h>

#include "attestation/appraisal.h"
#include "attestation/remedy.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "cli/quote_commands.h"
#include "cli/quote_file.h"
#include "cli/quote_judgement.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

struct Inputs {
    Bytes quote;
    WallTime at{};
    std::optional<att::ReportData> report_data;
    QuoteTerms terms;
};

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
    if (!options.report_data.empty()) {
        inputs.report_data = from_hex_exact<64>(options.report_data);
        if (!inputs.report_data) return fail("usage", "--report-data takes 128 hex characters (64 bytes)");
    }
    auto terms = read_quote_terms(options.terms);
    if (!terms) return fail(std::move(terms.error()));
    inputs.terms = std::move(*terms);
    return inputs;
}

// What to judge by cannot be read: no check was made.
QuoteOutcome unjudged(const Error& why) {
    QuoteOutcome out{.refusal = why, .checks = {}, .not_checked = {}, .quote = {}};
    for (const char check : att::checks_of_verdict) out.not_checked.emplace_back(1, check);
    return out;
}

std::string detail_of(const QuoteOutcome& outcome) {
    if (outcome.refusal) return outcome.refusal->detail;
    if (outcome.tcb_evaluated()) return "everything that was asked for holds";
    return "what can be judged without collateral holds";
}

std::string remedy_of(const QuoteOutcome& outcome) {
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

std::string to_json(const QuoteOutcome& outcome) {
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

void print(std::ostream& out, const QuoteOutcome& outcome) {
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
    const QuoteOutcome outcome =
        inputs ? judge_quote(inputs->quote, inputs->report_data, inputs->terms, inputs->at)
               : unjudged(inputs.error());
    if (inputs && !inputs->terms.is_network_served)
        context.err << fmt::format(
            "eectl: a control plane with {} does not serve {} (served = false): it would admit no agent "
            "there\n",
            options.terms.policy, inputs->terms.policy->name);
    if (options.json) {
        context.out << to_json(outcome) << '\n';
    } else {
        print(context.out, outcome);
    }
    return outcome.refusal ? exit_refused : exit_good;
}

}  // namespace ee::cli

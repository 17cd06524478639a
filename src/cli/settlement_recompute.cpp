#include <optional>
#include <ostream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "base/json_writer.h"
#include "base/printable.h"
#include "cli/ledger_file_commands.h"
#include "cli/recorded_unit.h"

namespace ee::cli {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

constexpr std::size_t file_bytes_max = 64 * 1024 * 1024;
struct Recomputed {
    std::string unit{};
    std::string outcome{};
    std::vector<std::string> reasons{};
    std::string difference{};    // empty: none
    std::string not_compared{};  // empty: nothing
};

std::string name_of(std::string_view cell, std::string_view node, std::string_view app) {
    return fmt::format("{} {}{}{}", cell, node, app.empty() ? "" : " ", app);
}

std::string to_text(const Error& difference) {
    return fmt::format("{}: {}", difference.code, difference.detail);
}

// Where the log's leaf is not there to prove the sums, they are not compared either.
std::string not_compared(const RecordedUnit& recorded, bool has_receipt) {
    if (!recorded.is_settled() || recorded.transfers_complete) return {};
    return fmt::format("transfers but the {} that are shown{}", recorded.transfers.size(),
                       has_receipt ? ""
                                   : fmt::format(", and their sums: {} USD paid, {} returned",
                                                 to_usd(recorded.paid), to_usd(recorded.returned)));
}

// A bundle, or an item with one.
Result<Recomputed> recompute(element unit, const std::optional<ledger::Receipt>& receipt) {
    element bundle = unit;
    const bool is_item = unit["evidence"].get(bundle) == simdjson::SUCCESS;
    const auto evidence = ledger::evidence_from_json(simdjson::minify(bundle));
    if (!evidence) return fail(evidence.error());
    if (evidence->rules != ledger::rule_version)
        return fail("rule_version_unsupported", fmt::format("it was judged by rules {}, these are {}",
                                                            evidence->rules, ledger::rule_version));
    const ledger::Judgement judgement = judge(*evidence);
    Recomputed out{.unit = name_of(to_text(evidence->unit.cell), evidence->unit.node, evidence->unit.app),
                   .outcome = std::string(to_word(judgement.outcome)),
                   .reasons = judgement.reasons};
    if (!is_item) return out;
    const auto recorded = read_recorded_unit(unit);
    if (!recorded) return fail(recorded.error());
    auto differs = difference_of(*recorded, *evidence, judgement);
    if (!differs && receipt) differs = difference_of(*recorded, *evidence, *receipt);
    if (differs) {
        out.difference = to_text(*differs);
        return out;
    }
    if (recorded->is_resolved())
        out.reasons.push_back(fmt::format("{} by the admin: {}", recorded->outcome, recorded->reasons[0]));
    out.not_compared = not_compared(*recorded, receipt.has_value());
    return out;
}

// nullopt: it has not been judged yet.
Result<std::optional<Recomputed>> recompute_without_evidence(element unit, bool has_receipt) {
    const auto recorded = read_recorded_unit(unit);
    if (!recorded) return fail(recorded.error());
    const auto differs = difference_without_evidence(*recorded, has_receipt);
    if (!differs) return std::optional<Recomputed>();
    return Recomputed{.unit = name_of(recorded->cell, recorded->node, recorded->app),
                      .outcome = "open",
                      .difference = to_text(*differs)};
}

// Of the one unit that a file is of.
Result<std::optional<ledger::Receipt>> receipt_in(element root, std::size_t units) {
    element receipt;
    if (root["receipt"].get(receipt) != simdjson::SUCCESS || receipt.is_null())
        return std::optional<ledger::Receipt>();
    if (units != 1)
        return fail("settlement_invalid:receipt", fmt::format("it is of one unit, the file has {}", units));
    auto parsed = ledger::parse_receipt(simdjson::minify(receipt));
    if (!parsed) return fail(std::move(parsed.error()));
    return std::optional(*std::move(parsed));
}

Result<std::vector<Recomputed>> recompute_all(element root) {
    std::vector<element> units;
    array items;
    if (root["items"].get(items) == simdjson::SUCCESS)
        for (const element item : items) units.push_back(item);
    else
        units.push_back(root);
    const auto receipt = receipt_in(root, units.size());
    if (!receipt) return fail(receipt.error());
    std::vector<Recomputed> out;
    for (const element unit : units) {
        if (element bundle; unit["evidence"].get(bundle) == simdjson::SUCCESS && bundle.is_null()) {
            auto one = recompute_without_evidence(unit, receipt->has_value());
            if (!one) return fail(one.error());
            if (*one) out.push_back(**std::move(one));
            continue;
        }
        auto one = recompute(unit, *receipt);
        if (!one) return fail(one.error());
        out.push_back(*std::move(one));
    }
    return out;
}

std::string json_of(const std::vector<Recomputed>& all) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("units").begin_array();
    for (const Recomputed& one : all) {
        json.begin_object()
            .field("unit", one.unit)
            .field("outcome", one.outcome)
            .key("reasons")
            .begin_array();
        for (const std::string& reason : one.reasons) json.value(reason);
        json.end_array().key("difference");
        one.difference.empty() ? json.null() : json.value(one.difference);
        json.field_or_null("not_compared", one.not_compared).end_object();
    }
    json.end_array().end_object();
    return text;
}

}  // namespace

int run_settlement_recompute(const RecomputeOptions& options, Context& context) {
    const auto report = [&](const Error& error) {
        context.err << "eectl: " << printable(to_text(error)) << '\n';
        return exit_refused;
    };
    const auto content = attestation::read_whole_file(options.file, file_bytes_max);
    if (!content) {
        context.err << "eectl: " << printable(content.error().detail) << '\n';
        return exit_usage;
    }
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(*content).get(root) != simdjson::SUCCESS || !root.is_object())
        return report({"evidence_invalid:/", options.file + " is no JSON object"});
    const auto all = recompute_all(root);
    if (!all) return report(all.error());
    bool same = true;
    for (const Recomputed& one : *all) same = same && one.difference.empty();
    if (options.json) {
        context.out << json_of(*all) << '\n';
        return same ? exit_good : exit_refused;
    }
    if (all->empty()) context.out << "No unit in it has been judged.\n";
    for (const Recomputed& one : *all)
        context.out << printable(
                           fmt::format("{}  {} [{}]{}{}", one.unit, one.outcome, fmt::join(one.reasons, ", "),
                                       one.difference.empty() ? "" : "  BUT " + one.difference,
                                       one.not_compared.empty() ? "" : "  NOT COMPARED: " + one.not_compared))
                    << '\n';
    return same ? exit_good : exit_refused;
}

}  // namespace ee::cli

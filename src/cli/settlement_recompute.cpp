#include <optional>
#include <ostream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "base/json_writer.h"
#include "cli/json_in_words.h"
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
    std::string difference{};  // empty: none
};

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
    Recomputed out{.unit = fmt::format("{} {}", to_text(evidence->unit.cell), evidence->unit.node),
                   .outcome = std::string(to_word(judgement.outcome)),
                   .reasons = judgement.reasons};
    if (!evidence->unit.app.empty()) out.unit += " " + evidence->unit.app;
    if (!is_item) return out;
    const auto recorded = read_recorded_unit(unit);
    if (!recorded) return fail(recorded.error());
    auto differs = difference_of(*recorded, *evidence, judgement);
    if (!differs && receipt) differs = difference_of(*recorded, *evidence, *receipt);
    if (differs)
        out.difference = fmt::format("{}: {}", differs->code, differs->detail);
    else if (recorded->is_resolved())
        out.reasons.push_back(fmt::format("{} by the admin: {}", recorded->outcome, recorded->reasons[0]));
    return out;
}

// Of the one unit that a file is of.
Result<std::optional<ledger::Receipt>> receipt_in(element root) {
    element receipt;
    if (root["receipt"].get(receipt) != simdjson::SUCCESS || receipt.is_null())
        return std::optional<ledger::Receipt>();
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
    const auto receipt = units.size() == 1 ? receipt_in(root) : Result<std::optional<ledger::Receipt>>{};
    if (!receipt) return fail(receipt.error());
    std::vector<Recomputed> out;
    for (const element unit : units) {
        if (element bundle; unit["evidence"].get(bundle) == simdjson::SUCCESS && bundle.is_null())
            continue;  // not judged yet
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
        json.end_object();
    }
    json.end_array().end_object();
    return text;
}

}  // namespace

int run_settlement_recompute(const RecomputeOptions& options, Context& context) {
    const auto report = [&](const Error& error) {
        context.err << fmt::format("eectl: {}: {}\n", error.code, error.detail);
        return exit_refused;
    };
    const auto content = attestation::read_whole_file(options.file, file_bytes_max);
    if (!content) return report(content.error());
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
        context.out << printable(fmt::format("{}  {} [{}]{}", one.unit, one.outcome,
                                             fmt::join(one.reasons, ", "),
                                             one.difference.empty() ? "" : "  BUT " + one.difference))
                    << '\n';
    return same ? exit_good : exit_refused;
}

}  // namespace ee::cli

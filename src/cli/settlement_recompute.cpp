#include <ostream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "cli/json_in_words.h"
#include "cli/ledger_file_commands.h"
#include "crypto/digest.h"
#include "ledger/outcome.h"

namespace ee::cli {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

constexpr std::size_t file_bytes_max = 64 * 1024 * 1024;
constexpr std::string_view resolved = "resolved: ";

// What was recorded of a unit, as far as the file says.
struct Recorded {
    bool known = false;
    std::string cell;
    std::string node;
    std::string app;
    std::string outcome;
    std::string sha256;
    std::vector<std::string> reasons;
};

struct Recomputed {
    std::string unit;
    std::string outcome;
    std::vector<std::string> reasons;
    std::string difference;  // empty: none
};

std::string text_of(element object, const char* name) {
    std::string_view text;
    return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

Recorded recorded_of(element item) {
    Recorded out{.known = true,
                 .cell = text_of(item, "cell"),
                 .node = text_of(item, "node_id"),
                 .app = text_of(item, "app_name"),
                 .outcome = text_of(item, "outcome"),
                 .sha256 = text_of(item, "evidence_sha256"),
                 .reasons = {}};
    array reasons;
    if (item["reasons"].get(reasons) != simdjson::SUCCESS) return out;
    for (const element reason : reasons)
        if (std::string_view text; reason.get(text) == simdjson::SUCCESS) out.reasons.emplace_back(text);
    return out;
}

// The admin decided what the evidence leaves open.
bool is_resolved(const Recorded& recorded) {
    return recorded.reasons.size() == 1 && recorded.reasons[0].starts_with(resolved) &&
           (recorded.outcome == "pass" || recorded.outcome == "fail");
}

std::string difference_of(const Recorded& recorded, const ledger::UnitEvidence& evidence,
                          const ledger::Judgement& judgement) {
    if (!recorded.known) return {};
    if (recorded.cell != to_text(evidence.unit.cell) || recorded.node != evidence.unit.node ||
        recorded.app != evidence.unit.app)
        return fmt::format("it is recorded for {} {} {}", recorded.cell, recorded.node, recorded.app);
    const std::string digest = to_hex(crypto::sha256(as_bytes(to_json(evidence))));
    if (digest != recorded.sha256)
        return fmt::format("its digest is {}, recorded is {}", digest, recorded.sha256);
    if (is_resolved(recorded) && judgement.outcome == ledger::Outcome::inconclusive) return {};
    if (to_word(judgement.outcome) != recorded.outcome || judgement.reasons != recorded.reasons)
        return fmt::format("recorded is {} [{}]", recorded.outcome, fmt::join(recorded.reasons, ", "));
    return {};
}

Result<Recomputed> recompute(element bundle, const Recorded& recorded) {
    const auto evidence = ledger::evidence_from_json(simdjson::minify(bundle));
    if (!evidence) return fail(evidence.error());
    if (evidence->rules != ledger::rule_version)
        return fail("rule_version_unsupported", fmt::format("it was judged by rules {}, these are {}",
                                                            evidence->rules, ledger::rule_version));
    const ledger::Judgement judgement = judge(*evidence);
    Recomputed out{.unit = fmt::format("{} {}", to_text(evidence->unit.cell), evidence->unit.node),
                   .outcome = std::string(to_word(judgement.outcome)),
                   .reasons = judgement.reasons,
                   .difference = difference_of(recorded, *evidence, judgement)};
    if (!evidence->unit.app.empty()) out.unit += " " + evidence->unit.app;
    if (out.difference.empty() && is_resolved(recorded))
        out.reasons.push_back(fmt::format("{} by the admin: {}", recorded.outcome, recorded.reasons[0]));
    return out;
}

Result<std::vector<Recomputed>> recompute_all(element root) {
    std::vector<element> units;
    array items;
    if (root["items"].get(items) == simdjson::SUCCESS)
        for (const element item : items) units.push_back(item);
    else
        units.push_back(root);
    std::vector<Recomputed> out;
    for (const element unit : units) {
        element bundle;
        const bool is_item = unit["evidence"].get(bundle) == simdjson::SUCCESS;
        if (is_item && bundle.is_null()) continue;  // not judged yet
        auto one = recompute(is_item ? bundle : unit, is_item ? recorded_of(unit) : Recorded{});
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

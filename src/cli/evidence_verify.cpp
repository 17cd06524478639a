#include <ostream>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "attestation/remedy.h"
#include "base/json_writer.h"
#include "base/printable.h"
#include "cli/evidence_commands.h"
#include "cli/evidence_judgement.h"
#include "cli/judging_files.h"
#include "cli/named_policy.h"
#include "cli/quote_commands.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

// A file that is malformed is bad usage here: no verdict of this command's is about it.
Error bad_file(const Error& error, std::string_view option, bool with_code) {
    if (error.code == "usage") return error;
    return {"usage", std::string(option) + ": " + (with_code ? error.code + ": " : "") + error.detail};
}

Result<EvidenceTerms> read_terms(const EvidenceVerifyOptions& options) {
    EvidenceTerms terms{.anchors = {},
                        .collateral = nullptr,
                        .allowlist = nullptr,
                        .policy = {},
                        .accept_policy = options.accept_policy,
                        .at = {}};
    if (!options.root.empty()) {
        auto anchors = att::TrustAnchors::with_simulated_root_file(options.root);
        if (!anchors) return fail("usage", "--root: " + anchors.error().detail);
        terms.anchors = std::move(*anchors);
    }
    if (!options.collateral.empty()) {
        auto collateral = open_collateral(options.collateral);
        if (!collateral) return fail(bad_file(collateral.error(), "--collateral", false));
        terms.collateral = std::move(*collateral);
    }
    if (!options.allowlist.empty()) {
        auto allowlist = read_allowlist(options.allowlist);
        if (!allowlist) return fail(bad_file(allowlist.error(), "--allowlist", true));
        terms.allowlist = std::make_shared<const att::Allowlist>(std::move(*allowlist));
    }
    if (!options.network.empty() || !options.policy.empty()) {
        auto policy = named_policy(options.network, options.policy, terms.anchors.has_simulated());
        if (!policy) return fail(std::move(policy.error()));
        terms.policy = std::move(policy->policy);
    }
    if (!options.at.empty()) {
        terms.at = parse_time(options.at);
        if (!terms.at)
            return fail("usage", "--at: \"" + options.at + "\" is neither Unix seconds nor RFC 3339 in UTC");
    }
    return terms;
}

// Texts of the file come from strangers.
std::string shown(std::string_view text) {
    return text.empty() ? "-" : printable(text);
}

// Empty where the refusal says itself what to do.
std::string remedy_of(const EvidenceOutcome& outcome) {
    return outcome.refusal ? att::remedy_of(outcome.refusal->code, outcome.verdict.advisory_ids) : "";
}

std::string joined(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : " ") + item;
    return out.empty() ? "none" : out;
}

void print(std::ostream& out, const att::Evidence& evidence, const EvidenceOutcome& outcome,
           bool own_allowlist) {
    const att::Verdict& verdict = outcome.verdict;
    out << fmt::format("{:<10}agent {}  {} {} of {}  {}  judged {}\n", outcome.result(), evidence.agent,
                       shown(evidence.app_name), shown(evidence.release.tag), shown(evidence.release.repo),
                       shown(evidence.network), to_rfc3339(evidence.verdict.judged_at));
    const auto line = [&out](std::string_view name, std::string_view text) {
        out << fmt::format("          {:<13}{}\n", name, shown(text));
    };
    if (outcome.refusal) line(outcome.refusal->code + " ", outcome.refusal->detail);
    if (const std::string remedy = remedy_of(outcome); !remedy.empty()) line("what to do", remedy);
    for (const std::string& difference : outcome.differences) line("differs", difference);
    line("evidence", evidence.id);
    if (verdict.checks.empty()) return;
    line("checked", joined(verdict.checks));
    line("not checked", joined(verdict.not_checked));
    if (!verdict.ok) return;
    line("root", verdict.simulated ? "the one given with --root (simulated)" : "Intel SGX Root CA");
    line("tcb status", verdict.tcb_status + (verdict.tcb_date.empty() ? "" : " of " + verdict.tcb_date));
    line("advisories", joined(verdict.advisory_ids));
    line("binding", std::string(to_string(verdict.binding)));
    line("sealed", verdict.sealed ? "yes" : "no");
    line("allowlist", verdict.allowlist_sha256.empty() ? "none: the measurements were compared with nothing"
                      : own_allowlist
                          ? verdict.allowlist_sha256
                          : verdict.allowlist_sha256 + ", as the file has it: compare the release's");
    line("mrtd", verdict.mrtd);
    for (std::size_t i = 0; i < verdict.rtmrs.size(); ++i) line(fmt::format("rtmr{}", i), verdict.rtmrs[i]);
}

void append_list(JsonWriter& json, const char* name, const std::vector<std::string>& items) {
    json.key(name).begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
}

void append(JsonWriter& json, const att::Evidence& evidence, const EvidenceOutcome& outcome) {
    const att::Verdict& verdict = outcome.verdict;
    json.begin_object()
        .field("agent", evidence.agent)
        .field("id", evidence.id)
        .field("result", outcome.result())
        .key("code");
    outcome.refusal ? json.value(outcome.refusal->code) : json.null();
    json.key("detail");
    outcome.refusal ? json.value(outcome.refusal->detail) : json.null();
    json.field_or_null("remedy", remedy_of(outcome));
    append_list(json, "differences", outcome.differences);
    json.field("network", evidence.network)
        .field("repo", evidence.release.repo)
        .field("release_tag", evidence.release.tag)
        .field("judged_at", to_rfc3339_millis(evidence.verdict.judged_at))
        .field("binding", to_string(verdict.binding))
        .field("sealed", verdict.sealed)
        .field("tcb_status", verdict.tcb_status);
    append_list(json, "advisory_ids", verdict.advisory_ids);
    append_list(json, "checks", verdict.checks);
    append_list(json, "not_checked", verdict.not_checked);
    json.end_object();
}

// What the outcome rests on: the reader's own, or what comes with the file.
void append_terms(JsonWriter& json, const EvidenceTerms& terms) {
    const auto given = [](bool is_given) { return is_given ? "given" : "evidence"; };
    json.key("judged_by")
        .begin_object()
        .field("root", terms.anchors.has_simulated() ? "given" : "intel")
        .field("rules", terms.policy || terms.accept_policy ? given(terms.policy.has_value()) : "built_in")
        .field("allowlist", given(terms.allowlist != nullptr))
        .field("collateral", given(terms.collateral != nullptr))
        .field("time", given(terms.at.has_value()))
        .end_object();
}

int usage(Context& context, const Error& why) {
    context.err << "eectl: " << why.detail << '\n';
    return exit_usage;
}

}  // namespace

int run_evidence_verify(const EvidenceVerifyOptions& options, Context& context) {
    const auto terms = read_terms(options);
    if (!terms) return usage(context, terms.error());
    const auto text = att::read_whole_file(options.file, att::evidence_file_size_max);
    if (!text) return usage(context, text.error());
    const auto file = att::parse_evidence_file(*text);
    if (!file) {
        context.err << fmt::format("eectl: {}: {}\n", file.error().code, file.error().detail);
        return exit_refused;
    }
    bool all_ok = !file->items.empty();
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("app_name", file->app_name).key("agents").begin_array();
    for (const att::Evidence& evidence : file->items) {
        const EvidenceOutcome outcome = judge_evidence(evidence, *file, *terms);
        all_ok = all_ok && outcome.result() == std::string_view("ok");
        if (options.json)
            append(json, evidence, outcome);
        else
            print(context.out, evidence, outcome, terms->allowlist != nullptr);
    }
    json.end_array();
    append_terms(json, *terms);
    json.field("complete", file->next_cursor.empty()).field("ok", all_ok).end_object();
    if (options.json) context.out << body << '\n';
    if (file->items.empty())
        context.err << "eectl: the file has no evidence: no agent of the app is connected\n";
    if (!file->next_cursor.empty())
        context.err << "eectl: one page of several; more agents are not in this file\n";
    return all_ok ? exit_good : exit_refused;
}

}  // namespace ee::cli

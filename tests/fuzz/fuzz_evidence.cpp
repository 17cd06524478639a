// A file of evidence of any bytes is parsed, written again and judged again, and never crashes.
#include "attestation/evidence_json.h"
#include "attestation/policy_json.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

namespace {

void judge_again(const Evidence& evidence, const EvidenceContents& contents) {
    const auto policy = policy_of(evidence, contents);
    const auto collateral = collateral_of(evidence, contents);
    const auto allowlist = allowlist_of(evidence, contents);
    static_cast<void>(check_consistency(evidence, "log"));
    if (!evidence.challenge) return;
    FixedCollateral given(collateral && *collateral ? **collateral : Collateral{});
    FixedRelease release(allowlist ? *allowlist : nullptr);
    const NetworkPolicy rules = policy ? *policy : sandbox_1_policy(false);
    const Repetition repeated = repeat_judgement(evidence, {.policy = rules,
                                                            .anchors = {},
                                                            .collateral = given,
                                                            .releases = release,
                                                            .now = evidence.verdict.judged_at});
    // No input holds a key of Intel's.
    EE_CHECK(!repeated.verdict.ok);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static_cast<void>(parse_policy_json(as_text({data, size})));
    const auto file = parse_evidence_file(as_text({data, size}));
    if (!file) {
        EE_CHECK(file.error().code.starts_with("evidence_malformed:/"));
        return 0;
    }
    EvidencePage page{.app_name = file->app_name,
                      .log_id = file->log_id,
                      .contents = file->contents,
                      .next_cursor = file->next_cursor};
    for (const Evidence& evidence : file->items) {
        page.items.push_back(evidence_json(evidence));
        judge_again(evidence, file->contents);
    }
    // What was understood is written the same way again, and understood.
    const std::string written = evidence_page_json(page);
    const auto again = parse_evidence_file(written);
    EE_CHECK(again.has_value());
    EE_CHECK(again->items.size() == file->items.size());
    for (std::size_t i = 0; i < page.items.size(); ++i)
        EE_CHECK(evidence_json(again->items[i]) == page.items[i]);
    return 0;
}

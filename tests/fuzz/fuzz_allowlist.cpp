// An allowlist of any bytes is parsed and compared, and never crashes.
#include "attestation/allowlist.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto allowlist = parse_allowlist(as_text({data, size}));
    if (!allowlist) {
        EE_CHECK(allowlist.error().code.starts_with("allowlist_invalid:/"));
        return 0;
    }
    for (const auto& [which, values] : allowlist->quote_measurements) EE_CHECK(!values.empty());
    for (const auto& [name, values] : allowlist->measurements) EE_CHECK(!values.empty());
    static_cast<void>(match_quote(*allowlist, TdReport{}));
    for (const AllowlistBuild& build : allowlist->builds) {
        EE_CHECK(allowlist->version == 2 && !build.name.empty());
        for (const auto& [which, values] : build.quote_measurements) EE_CHECK(!values.empty());
    }
    EE_CHECK(check_allowlist(*allowlist, allowlist->repo, allowlist->release_tag, WallTime::min()));
    // Whoever agrees with a whole build agrees with its registers.
    if (match_machine(*allowlist, TdReport{}, Claims{})) EE_CHECK(match_quote(*allowlist, TdReport{}));
    return 0;
}

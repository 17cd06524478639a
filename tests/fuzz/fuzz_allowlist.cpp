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
    static_cast<void>(match_claims(*allowlist, Claims{}));
    return 0;
}

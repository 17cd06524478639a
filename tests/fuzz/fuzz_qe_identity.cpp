// A QE identity of any bytes is refused with a code, or read and compared with a report.
#include "attestation/qe_identity.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto identity = parse_qe_identity(as_text({data, size}));
    if (!identity) {
        EE_CHECK(identity.error().code == "collateral_malformed:qe_identity" ||
                 identity.error().code == "collateral_mismatch:qe_identity_id");
        return 0;
    }
    EE_CHECK(!identity->levels.empty() && identity->issued_at <= identity->next_update);
    for (std::size_t i = 1; i < identity->levels.size(); ++i)
        EE_CHECK(identity->levels[i - 1].isv_svn > identity->levels[i].isv_svn);
    static_cast<void>(match_qe(*identity, QeReport{}));
    return 0;
}

// TCB info of any bytes is refused with a code, or read into levels that can be looked up.
#include "attestation/tcb_info.h"
#include "attestation/tcb_levels.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto info = parse_tcb_info(as_text({data, size}));
    if (!info) {
        EE_CHECK(info.error().code == "collateral_malformed:tcb_info" ||
                 info.error().code == "collateral_mismatch:tcb_info_id");
        return 0;
    }
    EE_CHECK(!info->levels.empty() && info->issued_at <= info->next_update);
    QeIdentity qe;
    qe.levels.push_back({});
    static_cast<void>(match_tdx_module(*info, {}));
    TdReport report;
    report.tee_tcb_svn.fill(0xff);
    for (const TdxModuleIdentity& identity : info->module_identities) {
        report.tee_tcb_svn[1] = identity.version;
        report.tee_tcb_svn2 = report.tee_tcb_svn;
        PckExtension pck;
        pck.cpu_svn.fill(0xff);
        pck.pce_svn = 0xffff;
        static_cast<void>(evaluate_tcb({*info, qe, pck, report, {}}));
    }
    return 0;
}

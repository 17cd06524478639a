// A collateral file of any bytes is parsed and labelled, its CRLs read, and never crashes.
#include "attestation/collateral.h"
#include "base/check.h"
#include "crypto/crl.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto collateral = parse_collateral(as_text({data, size}));
    if (!collateral) {
        EE_CHECK(collateral.error().code.starts_with("collateral_malformed"));
        return 0;
    }
    EE_CHECK(collateral->tcb_info.size() <= tcb_info_size_max);
    EE_CHECK(collateral->pck_crl.size() <= crl_size_max);
    static_cast<void>(read_collateral_label(*collateral));
    static_cast<void>(collateral->sha256());
    if (const auto crl = crypto::Crl::from_der(collateral->pck_crl)) static_cast<void>(crl->revokes({1}));
    return 0;
}

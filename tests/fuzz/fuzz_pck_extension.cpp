// A PCK extension of any bytes is refused with one code, or says the same SVNs twice.
#include "attestation/pck_extension.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto pck = parse_pck_extension({data, size});
    if (!pck) {
        EE_CHECK(pck.error().code == "certificate_chain_invalid");
        return 0;
    }
    EE_CHECK(pck->sgx_type <= 2);
    return 0;
}

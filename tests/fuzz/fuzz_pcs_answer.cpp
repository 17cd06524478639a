// An answer of a collateral service of any bytes is cut or refused, never changed, and never crashes.
#include "attestation/collateral.h"
#include "attestation/remote/pcs_answers.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    if (const auto cut = cut_signed_object(text, "tcbInfo", tcb_info_size_max)) {
        EE_CHECK(text.find(cut->text) != std::string_view::npos);
        EE_CHECK(cut->text.starts_with('{') && cut->text.ends_with('}') && !cut->signature.empty());
        EE_CHECK(cut->text.size() <= tcb_info_size_max);
    }
    if (const auto chain = decode_issuer_chain(text))
        EE_CHECK(!chain->empty() && chain->size() <= issuer_chain_size_max);
    if (const auto crl = decode_crl(text)) EE_CHECK(crl->front() == 0x30 && crl->size() <= crl_size_max);
    return 0;
}

// A quote of any bytes is parsed and verified up to Intel's root, and never crashes.
#include "attestation/quote_verifier.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

namespace {

// Has nothing, but must only ever be asked about chains that hold.
class NoCollateral final : public CollateralSource {
public:
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey&, WallTime) override {
        return fail("collateral_unavailable", "none");
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const QuoteVerifier verifier{TrustAnchors()};
    static NoCollateral collateral;
    const ByteSpan bytes(data, size);
    const auto quote = parse_quote(bytes);
    if (quote) {
        // Every byte is accounted for, once.
        EE_CHECK(quote->size + quote->padding == size);
        EE_CHECK(quote->signed_message.size() < quote->size);
    }
    const VerifyOptions options{.report_data = {}, .report_data_refusal = {}, .collateral = &collateral};
    const auto verification = verifier.verify(bytes, options, WallTime(std::chrono::seconds(1767225600)));
    EE_CHECK(verification.refusal.has_value());
    EE_CHECK(!verification.crypto_ok());
    return 0;
}

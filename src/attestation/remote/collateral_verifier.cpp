#include "attestation/remote/collateral_verifier.h"

#include <fmt/format.h>

#include "attestation/verified_collateral.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

tl::unexpected<Error> mismatch(std::string_view what, std::string_view found, std::string_view asked) {
    return fail(fmt::format("collateral_mismatch:{}", what),
                fmt::format("it is about {}, {} was asked for", found, asked));
}

Result<void> judge_key(const CollateralKey& found, const CollateralKey& asked) {
    if (found.anchor_spki_sha256 != asked.anchor_spki_sha256)
        return mismatch("anchor", to_hex(found.anchor_spki_sha256), to_hex(asked.anchor_spki_sha256));
    if (found.fmspc != asked.fmspc) return mismatch("fmspc", to_hex(found.fmspc), to_hex(asked.fmspc));
    if (found.ca != asked.ca) return mismatch("ca", to_string(found.ca), to_string(asked.ca));
    return {};
}

}  // namespace

VerifyCollateral make_collateral_verifier(TrustAnchors anchors) {
    return [anchors = std::move(anchors)](const CollateralKey& key, const Collateral& collateral,
                                          WallTime at) -> Result<void> {
        const auto verified = verify_collateral(collateral, anchors);
        if (!verified) return fail(verified.error());
        if (auto held = judge_key(verified->key(), key); !held) return held;
        return judge_collateral_time(*verified, std::chrono::seconds(0), at);
    };
}

}  // namespace ee::attestation

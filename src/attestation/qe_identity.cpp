#include "attestation/qe_identity.h"

#include <fmt/format.h>

#include "attestation/collateral.h"
#include "attestation/collateral_json.h"
#include "attestation/document_fields.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

template <std::size_t N>
ByteArray<N> masked(const ByteArray<N>& value, const ByteArray<N>& mask) {
    ByteArray<N> out;
    for (std::size_t i = 0; i < N; ++i) out[i] = value[i] & mask[i];
    return out;
}

// As it stands in the report.
ByteArray<4> little_endian(std::uint32_t number) {
    ByteArray<4> out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(number >> 8 * i);
    return out;
}

tl::unexpected<Error> mismatch(std::string_view field, std::string detail) {
    return fail(fmt::format("qe_identity_mismatch:{}", field), std::move(detail));
}

template <std::size_t N>
Result<void> match_masked(std::string_view field, const ByteArray<N>& actual, const ByteArray<N>& mask,
                          const ByteArray<N>& expected) {
    if (masked(actual, mask) == expected) return {};
    return mismatch(field, fmt::format("the QE report has {}, under the mask {} the QE identity asks for {}",
                                       to_hex(actual), to_hex(mask), to_hex(expected)));
}

}  // namespace

Result<QeIdentity> parse_qe_identity(std::string_view text) {
    CollateralJson json("qe_identity", text, qe_identity_size_max);
    const CollateralJson::Object identity = json.root();
    const std::string_view id = identity.text("id");
    if (!json.refusal() && id != "TD_QE") {
        return fail(
            "collateral_mismatch:qe_identity_id",
            fmt::format("the QE identity is about \"{}\", the quote's enclave is TD_QE", id.substr(0, 40)));
    }
    QeIdentity out;
    const DocumentLife life = read_document_life(identity, 2);
    out.issued_at = life.issued_at;
    out.next_update = life.next_update;
    out.evaluation_number = identity.number("tcbEvaluationDataNumber", 0xffffffff);
    out.misc_select = identity.hex<4>("miscselect");
    out.misc_select_mask = identity.hex<4>("miscselectMask");
    out.attributes = identity.hex<16>("attributes");
    out.attributes_mask = identity.hex<16>("attributesMask");
    out.mr_signer = identity.hex<32>("mrsigner");
    out.isv_prod_id = static_cast<std::uint16_t>(identity.number("isvprodid", 0xffff));
    out.levels = read_isvsvn_levels(identity);
    if (json.refusal()) return fail(*json.refusal());
    return out;
}

Result<void> match_qe(const QeIdentity& identity, const QeReport& report) {
    if (auto held = match_masked("miscselect", little_endian(report.misc_select), identity.misc_select_mask,
                                 identity.misc_select);
        !held) {
        return held;
    }
    if (auto held =
            match_masked("attributes", report.attributes, identity.attributes_mask, identity.attributes);
        !held) {
        return held;
    }
    // A mask that leaves the debug bit out would let anybody's debugger speak for the enclave.
    if (report.is_debug()) {
        return mismatch("attributes", fmt::format("the QE report has {}: a debug enclave, none is accepted",
                                                  to_hex(report.attributes)));
    }
    if (report.mr_signer != identity.mr_signer) {
        return mismatch("mrsigner", fmt::format("the QE is signed by {}, the QE identity asks for {}",
                                                to_hex(report.mr_signer), to_hex(identity.mr_signer)));
    }
    if (report.isv_prod_id != identity.isv_prod_id) {
        return mismatch("isvprodid", fmt::format("the QE is product {}, the QE identity asks for {}",
                                                 report.isv_prod_id, identity.isv_prod_id));
    }
    return {};
}

}  // namespace ee::attestation

#include "attestation/tcb_info.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "attestation/collateral.h"
#include "attestation/collateral_json.h"
#include "attestation/document_fields.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using Object = CollateralJson::Object;

constexpr std::size_t components = 16;
constexpr std::size_t levels_max = 256;
constexpr std::size_t identities_max = 256;

constexpr TcbStatusSet platform_statuses = {TcbStatus::up_to_date,
                                            TcbStatus::sw_hardening_needed,
                                            TcbStatus::configuration_needed,
                                            TcbStatus::configuration_and_sw_hardening_needed,
                                            TcbStatus::out_of_date,
                                            TcbStatus::out_of_date_configuration_needed,
                                            TcbStatus::revoked};

ByteArray<components> read_components(const Object& tcb, std::string_view key) {
    ByteArray<components> out{};
    std::size_t at = 0;
    tcb.objects(key, components, components, [&](const Object& component) {
        out[at++] = static_cast<std::uint8_t>(component.number("svn", 255));
    });
    return out;
}

auto rank(const TcbLevel& level) {
    return std::tie(level.sgx_components, level.pce_svn, level.tdx_components);
}

std::vector<TcbLevel> read_levels(const Object& info) {
    std::vector<TcbLevel> levels;
    info.objects("tcbLevels", 1, levels_max, [&](const Object& level) {
        const Object tcb = level.object("tcb");
        levels.push_back({.sgx_components = read_components(tcb, "sgxtcbcomponents"),
                          .pce_svn = static_cast<std::uint16_t>(tcb.number("pcesvn", 0xffff)),
                          .tdx_components = read_components(tcb, "tdxtcbcomponents"),
                          .verdict = read_verdict(level, platform_statuses)});
        for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
            if (rank(levels[i]) == rank(levels.back()))
                level.refuse("tcb", fmt::format("the same as of level {}", i));
        }
    });
    std::sort(levels.begin(), levels.end(),
              [](const TcbLevel& a, const TcbLevel& b) { return rank(a) > rank(b); });
    return levels;
}

TdxModule read_module(const Object& holder) {
    return {.mr_signer = holder.hex<48>("mrsigner"),
            .attributes = holder.hex<8>("attributes"),
            .attributes_mask = holder.hex<8>("attributesMask")};
}

// "TDX_" and two hex digits.
std::uint8_t read_module_version(const Object& identity) {
    constexpr std::string_view prefix = "TDX_";
    const std::string_view id = identity.text("id");
    if (id.starts_with(prefix)) {
        if (const auto version = from_hex_exact<1>(id.substr(prefix.size()))) return (*version)[0];
    }
    identity.refuse("id", fmt::format("\"{}\" is not TDX_ and two hex digits", id.substr(0, 40)));
    return 0;
}

std::vector<TdxModuleIdentity> read_module_identities(const Object& info) {
    std::vector<TdxModuleIdentity> identities;
    // There was none before modules had versions.
    if (!info.has("tdxModuleIdentities")) return identities;
    info.objects("tdxModuleIdentities", 0, identities_max, [&](const Object& identity) {
        const std::uint8_t version = read_module_version(identity);
        for (const TdxModuleIdentity& other : identities) {
            if (other.version == version) identity.refuse("id", "the identity is there twice");
        }
        identities.push_back(
            {.version = version, .module = read_module(identity), .levels = read_isvsvn_levels(identity)});
    });
    return identities;
}

}  // namespace

Result<TcbInfo> parse_tcb_info(std::string_view text) {
    CollateralJson json("tcb_info", text, tcb_info_size_max);
    const Object info = json.root();
    // First of all: another TEE's TCB info has other fields, but nothing is wrong with it.
    const std::string_view id = info.text("id");
    if (!json.refusal() && id != "TDX") {
        return fail("collateral_mismatch:tcb_info_id",
                    fmt::format("the TCB info is about \"{}\", the quote about \"TDX\"", id.substr(0, 40)));
    }
    TcbInfo out;
    const DocumentLife life = read_document_life(info, 3);
    out.issued_at = life.issued_at;
    out.next_update = life.next_update;
    out.fmspc = info.hex<6>("fmspc");
    out.pce_id = info.hex<2>("pceId");
    if (const std::uint64_t type = info.number("tcbType", 0xffff); type != 0)
        info.refuse("tcbType", fmt::format("{}, known is 0", type));
    out.evaluation_number = info.number("tcbEvaluationDataNumber", 0xffffffff);
    out.module = read_module(info.object("tdxModule"));
    out.module_identities = read_module_identities(info);
    out.levels = read_levels(info);
    if (json.refusal()) return fail(*json.refusal());
    return out;
}

}  // namespace ee::attestation

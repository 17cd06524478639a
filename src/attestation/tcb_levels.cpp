#include "attestation/tcb_levels.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using Svns = ByteArray<16>;

std::uint8_t module_svn(const Svns& tee_tcb_svn) {
    return tee_tcb_svn[0];
}
std::uint8_t module_version(const Svns& tee_tcb_svn) {
    return tee_tcb_svn[1];
}

std::string describe(const TcbVerdict& verdict) {
    return fmt::format("{} of {}{}{}", to_string(verdict.status), to_rfc3339(verdict.date),
                       verdict.advisory_ids.empty() ? "" : ", ", fmt::join(verdict.advisory_ids, ", "));
}

const TdxModuleIdentity* find_identity(const TcbInfo& info, std::uint8_t version) {
    const auto found =
        std::find_if(info.module_identities.begin(), info.module_identities.end(),
                     [version](const TdxModuleIdentity& identity) { return identity.version == version; });
    return found == info.module_identities.end() ? nullptr : &*found;
}

// The index of the first component that is below the level's, from `first` on.
std::optional<std::size_t> first_below(const Svns& level, const Svns& actual, std::size_t first) {
    for (std::size_t i = first; i < level.size(); ++i) {
        if (actual[i] < level[i]) return i;
    }
    return std::nullopt;
}

// A module with a version has levels of its own: the first two components are its SVN and version.
std::size_t first_tdx_component(const Svns& tee_tcb_svn) {
    return module_version(tee_tcb_svn) > 0 ? 2 : 0;
}

// Why the platform is not at this level; nullopt when it is.
std::optional<std::string> shortfall(const TcbLevel& level, const PckExtension& pck,
                                     const Svns& tee_tcb_svn) {
    if (const auto at = first_below(level.sgx_components, pck.cpu_svn, 0)) {
        return fmt::format("SGX component {} is {}, the level asks for {}", *at + 1, pck.cpu_svn[*at],
                           level.sgx_components[*at]);
    }
    if (pck.pce_svn < level.pce_svn)
        return fmt::format("the PCE's SVN is {}, the level asks for {}", pck.pce_svn, level.pce_svn);
    if (const auto at = first_below(level.tdx_components, tee_tcb_svn, first_tdx_component(tee_tcb_svn))) {
        return fmt::format("TDX component {} is {}, the level asks for {}", *at + 1, tee_tcb_svn[*at],
                           level.tdx_components[*at]);
    }
    return std::nullopt;
}

bool is_at(const TcbLevel& level, const PckExtension& pck, const Svns& tee_tcb_svn) {
    return !first_below(level.sgx_components, pck.cpu_svn, 0) && pck.pce_svn >= level.pce_svn &&
           !first_below(level.tdx_components, tee_tcb_svn, first_tdx_component(tee_tcb_svn));
}

Result<const TcbVerdict*> platform_level(const TcbInfo& info, const PckExtension& pck,
                                         const Svns& tee_tcb_svn) {
    for (const TcbLevel& level : info.levels) {
        if (is_at(level, pck, tee_tcb_svn)) return &level.verdict;
    }
    const TcbLevel& lowest = info.levels.back();
    return fail(
        "tcb_not_supported",
        fmt::format("the platform is below all {} levels; the lowest one ({}): {}", info.levels.size(),
                    describe(lowest.verdict), shortfall(lowest, pck, tee_tcb_svn).value_or("")));
}

Result<const TcbVerdict*> isvsvn_level(std::string_view whose, const std::vector<IsvSvnLevel>& levels,
                                       std::uint16_t svn) {
    for (const IsvSvnLevel& level : levels) {
        if (level.isv_svn <= svn) return &level.verdict;
    }
    return fail("tcb_not_supported",
                fmt::format("{} has SVN {}, the lowest of {} levels is {} ({})", whose, svn, levels.size(),
                            levels.back().isv_svn, describe(levels.back().verdict)));
}

// The levels found in one pass, and what they come to.
struct Pass {
    const TcbVerdict* platform = nullptr;
    const TcbVerdict* qe = nullptr;
    const TcbVerdict* module = nullptr;  // null: a module without a version
    TcbStatus status = TcbStatus::not_evaluated;
};

Result<Pass> evaluate_pass(const TcbInputs& inputs, const Svns& tee_tcb_svn) {
    const auto platform = platform_level(inputs.info, inputs.pck, tee_tcb_svn);
    if (!platform) return fail(platform.error());
    Pass pass{.platform = *platform};
    if (const std::uint8_t version = module_version(tee_tcb_svn); version > 0) {
        const TdxModuleIdentity* identity = find_identity(inputs.info, version);
        if (identity == nullptr)
            return fail("tcb_not_supported", fmt::format("no levels of TDX modules of version {}", version));
        const auto module = isvsvn_level("the TDX module", identity->levels, module_svn(tee_tcb_svn));
        if (!module) return fail(module.error());
        pass.module = *module;
    }
    const auto qe = isvsvn_level("the QE", inputs.qe_identity.levels, inputs.qe_report.isv_svn);
    if (!qe) return fail(qe.error());
    pass.qe = *qe;
    pass.status = converge(pass.platform->status, pass.qe->status,
                           pass.module != nullptr ? std::optional(pass.module->status) : std::nullopt);
    return pass;
}

void add_levels(const Pass& pass, TcbEvaluation& out) {
    for (const TcbVerdict* verdict : {pass.platform, pass.qe, pass.module}) {
        if (verdict == nullptr) continue;
        out.tcb_date = std::min(out.tcb_date.value_or(verdict->date), verdict->date);
        out.advisory_ids.insert(out.advisory_ids.end(), verdict->advisory_ids.begin(),
                                verdict->advisory_ids.end());
    }
}

bool asks_for_configuration(TcbStatus status) {
    return status == TcbStatus::configuration_needed ||
           status == TcbStatus::configuration_and_sw_hardening_needed ||
           status == TcbStatus::out_of_date_configuration_needed;
}

}  // namespace

Result<void> match_tdx_module(const TcbInfo& info, const TdReport& report) {
    const std::uint8_t version = module_version(report.tee_tcb_svn);
    const TdxModuleIdentity* identity = version > 0 ? find_identity(info, version) : nullptr;
    if (version > 0 && identity == nullptr) {
        std::vector<unsigned> known;
        for (const TdxModuleIdentity& other : info.module_identities) known.push_back(other.version);
        return fail("tdx_module_mismatch:version",
                    fmt::format("the TDX module has version {}, the TCB info knows [{}]", version,
                                fmt::join(known, ", ")));
    }
    const TdxModule& module = identity != nullptr ? identity->module : info.module;
    if (report.mr_signer_seam != module.mr_signer) {
        return fail("tdx_module_mismatch:mrsigner",
                    fmt::format("the TDX module is signed by {}, the TCB info asks for {}",
                                to_hex(report.mr_signer_seam), to_hex(module.mr_signer)));
    }
    ByteArray<8> attributes;
    bool equal = true;
    for (std::size_t i = 0; i < attributes.size(); ++i) {
        attributes[i] = static_cast<std::uint8_t>(report.seam_attributes >> 8 * i);
        equal = equal && (attributes[i] & module.attributes_mask[i]) == module.attributes[i];
    }
    if (report.seam_attributes != 0 || !equal) {
        return fail(
            "tdx_module_mismatch:attributes",
            fmt::format("the TDX module has {}, the TCB info asks for {} under {}, and none may be set",
                        to_hex(attributes), to_hex(module.attributes), to_hex(module.attributes_mask)));
    }
    return {};
}

TcbStatus converge(TcbStatus platform, TcbStatus qe, std::optional<TcbStatus> module) {
    if (qe == TcbStatus::revoked || module == TcbStatus::revoked) return TcbStatus::revoked;
    if (qe != TcbStatus::out_of_date && module != TcbStatus::out_of_date) return platform;
    switch (platform) {
        case TcbStatus::up_to_date:
        case TcbStatus::sw_hardening_needed: return TcbStatus::out_of_date;
        case TcbStatus::configuration_needed:
        case TcbStatus::configuration_and_sw_hardening_needed:
            return TcbStatus::out_of_date_configuration_needed;
        default: return platform;
    }
}

TcbStatus relaunch_status(TcbStatus launched, TcbStatus now) {
    constexpr TcbStatusSet stale = {TcbStatus::out_of_date, TcbStatus::out_of_date_configuration_needed};
    constexpr TcbStatusSet mended = {TcbStatus::up_to_date, TcbStatus::sw_hardening_needed,
                                     TcbStatus::configuration_needed,
                                     TcbStatus::configuration_and_sw_hardening_needed};
    if (!stale.contains(launched) || !mended.contains(now)) return launched;
    return asks_for_configuration(launched) || asks_for_configuration(now)
               ? TcbStatus::td_relaunch_advised_configuration_needed
               : TcbStatus::td_relaunch_advised;
}

Result<TcbEvaluation> evaluate_tcb(const TcbInputs& inputs) {
    const auto launched = evaluate_pass(inputs, inputs.report.tee_tcb_svn);
    if (!launched) return fail(launched.error());
    TcbEvaluation out;
    out.status = launched->status;
    out.evaluation_number = std::min(inputs.info.evaluation_number, inputs.qe_identity.evaluation_number);
    add_levels(*launched, out);
    if (inputs.report.tee_tcb_svn2) {
        const auto now = evaluate_pass(inputs, *inputs.report.tee_tcb_svn2);
        if (now) out.status = relaunch_status(launched->status, now->status);
        if (out.status != launched->status) add_levels(*now, out);
    }
    std::sort(out.advisory_ids.begin(), out.advisory_ids.end());
    out.advisory_ids.erase(std::unique(out.advisory_ids.begin(), out.advisory_ids.end()),
                           out.advisory_ids.end());
    return out;
}

}  // namespace ee::attestation

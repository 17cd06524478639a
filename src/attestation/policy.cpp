#include "attestation/policy.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

// Bits of TDATTRIBUTES (Intel TDX Module ABI Specification, "ATTRIBUTES").
constexpr unsigned sept_ve_disable_bit = 28;
constexpr unsigned migratable_bit = 29;
constexpr unsigned key_locker_bit = 31;
constexpr unsigned perfmon_bit = 63;

bool has_bit(std::uint64_t bits, unsigned bit) {
    return (bits >> bit & 1) != 0;
}

tl::unexpected<Error> attribute_refused(const NetworkPolicy& policy, std::uint64_t attributes, unsigned bit,
                                        std::string_view name) {
    const bool set = has_bit(attributes, bit);
    return fail(fmt::format("td_attributes:{}", bit),
                fmt::format("bit {} ({}) of the TD's attributes {:#018x} is {}, {} wants it {}", bit, name,
                            attributes, set ? "set" : "clear", policy.name, set ? "clear" : "set"));
}

Result<void> judge_attributes(const NetworkPolicy& policy, std::uint64_t attributes) {
    // The TUD group, bits 0 to 7, makes a TD untrusted; 0 is DEBUG, which has a code of its own.
    for (unsigned bit = 1; bit < 8; ++bit) {
        if (has_bit(attributes, bit))
            return attribute_refused(policy, attributes, bit, "reserved, untrusted");
    }
    if (policy.sept_ve_disable_required && !has_bit(attributes, sept_ve_disable_bit)) {
        return attribute_refused(policy, attributes, sept_ve_disable_bit, "SEPT_VE_DISABLE");
    }
    if (has_bit(attributes, migratable_bit))
        return attribute_refused(policy, attributes, migratable_bit, "MIGRATABLE");
    if (!policy.key_locker_allowed && has_bit(attributes, key_locker_bit)) {
        return attribute_refused(policy, attributes, key_locker_bit, "KL");
    }
    if (!policy.perfmon_allowed && has_bit(attributes, perfmon_bit)) {
        return attribute_refused(policy, attributes, perfmon_bit, "PERFMON");
    }
    return {};
}

// A few of them, and how many more there are.
template <class Values>
std::string shown(const Values& values) {
    constexpr std::size_t shown_max = 4;
    std::string out;
    std::size_t count = 0;
    for (const auto& value : values) {
        if (++count > shown_max) return fmt::format("{} and {} more", out, values.size() - shown_max);
        out.append(out.empty() ? "" : ", ").append(to_hex(value));
    }
    return out;
}

bool is_out_of_date(TcbStatus status) {
    return status == TcbStatus::out_of_date || status == TcbStatus::out_of_date_configuration_needed;
}

bool is_within_grace(const NetworkPolicy& policy, const TcbEvaluation& tcb, WallTime now) {
    if (!is_out_of_date(tcb.status)) return false;
    if (!policy.platform_grace) return true;
    return tcb.tcb_date && *policy.platform_grace > std::chrono::days{0} &&
           now <= *tcb.tcb_date + *policy.platform_grace;
}

std::string listed(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out.append(out.empty() ? "" : ", ").append(item);
    return out;
}

// " of 2024-03-13T00:00:00Z under INTEL-SA-00837": as far as it is known.
std::string facts_of(const TcbEvaluation& tcb) {
    std::string out;
    if (tcb.tcb_date) out += " of " + to_rfc3339(*tcb.tcb_date);
    if (!tcb.advisory_ids.empty()) out += " under " + listed(tcb.advisory_ids);
    return out;
}

std::string accepted_by(const NetworkPolicy& policy) {
    std::vector<std::string> statuses;
    for (const TcbStatus status : all_tcb_statuses())
        if (policy.tcb_accepted.contains(status)) statuses.emplace_back(to_string(status));
    if (!policy.platform_grace)
        statuses.emplace_back("any OutOfDate");
    else if (*policy.platform_grace > std::chrono::days{0})
        statuses.push_back(fmt::format("OutOfDate for {} days", policy.platform_grace->count()));
    return statuses.empty() ? "none" : listed(statuses);
}

Result<void> judge_platform_identity(const NetworkPolicy& policy, const std::optional<PckExtension>& pck) {
    if (!policy.fmspc_allowed.empty() && (!pck || !policy.fmspc_allowed.contains(pck->fmspc))) {
        return fail("fmspc_not_allowed",
                    fmt::format("FMSPC {}, {} allows {}", pck ? to_hex(pck->fmspc) : "unknown", policy.name,
                                shown(policy.fmspc_allowed)));
    }
    if (!policy.platforms_allowed.empty() &&
        (!pck || !policy.platforms_allowed.contains(crypto::sha256(pck->ppid)))) {
        return fail("platform_not_allowed", fmt::format("platform {}, {} allows {}",
                                                        pck ? to_hex(crypto::sha256(pck->ppid)) : "unknown",
                                                        policy.name, shown(policy.platforms_allowed)));
    }
    return {};
}

}  // namespace

std::string_view to_string(Binding binding) {
    constexpr std::array<std::string_view, 5> names = {"none", "nonce", "key", "ratls", "channel"};
    return names[static_cast<std::size_t>(binding)];
}

NetworkPolicy forge_1_policy() {
    NetworkPolicy policy;
    policy.name = "forge-1";
    policy.sealed_required = true;
    policy.tcb_accepted = {TcbStatus::up_to_date, TcbStatus::sw_hardening_needed};
    policy.sept_ve_disable_required = true;
    policy.mr_service_td_zero = true;
    policy.binding_min = Binding::channel;
    policy.registers_required = {QuoteRegister::mrtd, QuoteRegister::rtmr0, QuoteRegister::rtmr1,
                                 QuoteRegister::rtmr2};
    policy.claims_required = {"config_sha256"};
    policy.evidence_grace = std::chrono::seconds{21600};
    return policy;
}

NetworkPolicy sandbox_1_policy(bool simulated_root_configured) {
    NetworkPolicy policy;
    policy.name = "sandbox-1";
    // Every status but Revoked.
    policy.tcb_accepted = {
        TcbStatus::up_to_date,           TcbStatus::sw_hardening_needed,
        TcbStatus::configuration_needed, TcbStatus::configuration_and_sw_hardening_needed,
        TcbStatus::out_of_date,          TcbStatus::out_of_date_configuration_needed,
        TcbStatus::td_relaunch_advised,  TcbStatus::td_relaunch_advised_configuration_needed};
    policy.debug_allowed = true;
    policy.collateral_grace = std::chrono::seconds{86400};
    policy.platform_grace = std::nullopt;
    policy.simulated_root_allowed = simulated_root_configured;
    policy.binding_min = Binding::nonce;
    policy.legacy_none_allowed = true;
    policy.allowlist_may_be_absent = true;
    policy.evidence_grace = std::chrono::seconds{86400};
    return policy;
}

NetworkPolicies NetworkPolicies::built_in(bool simulated_root_configured) {
    std::vector<NetworkPolicy> policies;
    policies.push_back(forge_1_policy());
    policies.push_back(sandbox_1_policy(simulated_root_configured));
    return NetworkPolicies(std::move(policies));
}

const NetworkPolicy* NetworkPolicies::find(std::string_view name) const {
    const auto found = std::find_if(policies_.begin(), policies_.end(),
                                    [&](const NetworkPolicy& policy) { return policy.name == name; });
    return found == policies_.end() ? nullptr : &*found;
}

bool admits_legacy_ratls(const NetworkPolicy& policy) {
    return policy.legacy_ratls || policy.legacy_none_allowed;
}

Binding least_binding(const NetworkPolicy& policy) {
    return policy.legacy_ratls ? std::min(policy.binding_min, Binding::ratls) : policy.binding_min;
}

Result<void> judge_binding(const NetworkPolicy& policy, Binding binding, bool legacy) {
    if (legacy) {
        const bool enough = binding == Binding::ratls
                                ? admits_legacy_ratls(policy)
                                : binding == Binding::none && policy.legacy_none_allowed;
        if (enough) return {};
        return fail("binding_too_weak",
                    fmt::format("legacy layout: the answer is bound at level {}, {} takes such answers {}",
                                to_string(binding), policy.name,
                                policy.legacy_ratls ? "at level ratls only" : "at no level"));
    }
    const Binding least = least_binding(policy);
    // Only legacy answers are ever bound by nothing.
    if (binding != Binding::none && binding >= least) return {};
    return fail("binding_too_weak", fmt::format("the answer is bound at level {}, {} asks for {}",
                                                to_string(binding), policy.name, to_string(least)));
}

Result<void> judge_legacy_peer(const NetworkPolicy& policy, std::string_view peer) {
    if (policy.legacy_cidrs.empty()) return {};
    const auto ip = IpAddress::parse(peer);
    if (ip && contains(policy.legacy_cidrs, *ip)) return {};
    std::string networks;
    for (const Cidr& network : policy.legacy_cidrs)
        networks.append(networks.empty() ? "" : ", ").append(network.to_string());
    return fail("binding_too_weak", fmt::format("legacy layout from {}: {} takes it from {} only",
                                                ip ? peer : "an unknown peer", policy.name, networks));
}

Result<void> judge_tcb_status(const NetworkPolicy& policy, const TcbEvaluation& tcb, WallTime now) {
    // No policy can be content with a platform that nobody has evaluated.
    if (tcb.status == TcbStatus::not_evaluated) {
        return fail(
            fmt::format("tcb_unacceptable:{}", to_string(tcb.status)),
            fmt::format("{} asks for a TCB status, and there is no collateral to find it by", policy.name));
    }
    if (policy.tcb_accepted.contains(tcb.status) || is_within_grace(policy, tcb, now)) return {};
    return fail(fmt::format("tcb_unacceptable:{}", to_string(tcb.status)),
                fmt::format("TCB status {}{}, {} accepts {}", to_string(tcb.status), facts_of(tcb),
                            policy.name, accepted_by(policy)));
}

Result<void> judge_tcb_details(const NetworkPolicy& policy, const TcbEvaluation& tcb) {
    if (policy.tcb_evaluation_min && tcb.evaluation_number.value_or(0) < *policy.tcb_evaluation_min) {
        return fail("collateral_too_old",
                    fmt::format("evaluated by data of number {}, {} asks for {}",
                                tcb.evaluation_number.value_or(0), policy.name, *policy.tcb_evaluation_min));
    }
    for (const std::string& advisory : tcb.advisory_ids) {
        if (policy.advisories_refused.contains(advisory)) {
            return fail(
                "advisory_refused:" + advisory,
                fmt::format("the platform is under {}, {} refuses {}", listed(tcb.advisory_ids), policy.name,
                            listed({policy.advisories_refused.begin(), policy.advisories_refused.end()})));
        }
    }
    return {};
}

Result<void> judge_td(const NetworkPolicy& policy, const TdReport& report) {
    if (report.is_debug() && !policy.debug_allowed) {
        return fail("debug_td", fmt::format("the TD can be debugged, {} refuses that", policy.name));
    }
    if (auto held = judge_attributes(policy, report.td_attributes); !held) return held;
    if (policy.xfam_allowed && (report.xfam & ~*policy.xfam_allowed) != 0) {
        return fail("xfam", fmt::format("XFAM {:#x}, {} allows {:#x}", report.xfam, policy.name,
                                        *policy.xfam_allowed));
    }
    if (policy.mr_service_td_zero && report.mr_service_td && !all_zero(*report.mr_service_td)) {
        return fail("mr_servicetd", fmt::format("a service TD {} is bound, {} asks for none",
                                                to_hex(*report.mr_service_td), policy.name));
    }
    return {};
}

Result<void> judge_platform(const NetworkPolicy& policy, const VerifiedQuote& quote, WallTime now) {
    if (quote.anchor().simulated && !policy.simulated_root_allowed) {
        return fail("simulated_root",
                    fmt::format("the chain ends in the configured root, {} takes Intel's only", policy.name));
    }
    if (auto held = judge_tcb_status(policy, quote.tcb(), now); !held) return held;
    if (auto held = judge_td(policy, quote.report()); !held) return held;
    if (auto held = judge_tcb_details(policy, quote.tcb()); !held) return held;
    return judge_platform_identity(policy, quote.pck());
}

Result<void> judge_allowlist(const NetworkPolicy& policy, const Allowlist& allowlist, bool config_waived) {
    for (const QuoteRegister which : policy.registers_required) {
        if (!allowlist.names(which)) {
            return fail(fmt::format("allowlist_invalid:/quote_measurements/{}", to_string(which)),
                        fmt::format("{} needs an allowlist that names it", policy.name));
        }
    }
    for (const std::string& claim : policy.claims_required) {
        if (config_waived && claim == "config_sha256") continue;
        if (!allowlist.names(claim)) {
            return fail(fmt::format("allowlist_invalid:/measurements/{}", claim),
                        fmt::format("{} needs an allowlist that names it", policy.name));
        }
    }
    return {};
}

}  // namespace ee::attestation

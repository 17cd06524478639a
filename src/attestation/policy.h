#pragma once
// Network policies: which machines a network admits.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/allowlist.h"
#include "attestation/quote_verifier.h"
#include "attestation/tcb_status.h"
#include "base/ip_address.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// How tightly an answer is tied to the challenge, weakest first.
enum class Binding {
    none,     // legacy layout, no nonce in the quote: replayable
    nonce,    // fresh, but relayable
    key,      // says who answered, not where the traffic goes
    ratls,    // the tunnel's TLS client certificate carries a quote over its key
    channel,  // bound to this very TLS 1.3 session
};
std::string_view to_string(Binding binding);

enum class Join { open, node, listed };
enum class EvidenceVisibility { public_, private_ };

struct NetworkPolicy {
    std::string name;

    bool sealed_required = false;
    TcbStatusSet tcb_accepted;
    bool debug_allowed = false;
    bool sept_ve_disable_required = false;
    bool mr_service_td_zero = false;
    std::optional<std::uint64_t> xfam_allowed;  // bits that may be set; nullopt: any
    bool perfmon_allowed = true;
    bool key_locker_allowed = true;
    std::optional<std::uint64_t> tcb_evaluation_min;
    std::chrono::seconds collateral_grace{0};            // extends nextUpdate, never a certificate
    std::optional<std::chrono::days> platform_grace{0};  // how long OutOfDate* is accepted; nullopt: for ever
    std::set<std::string> advisories_refused;
    bool simulated_root_allowed = false;

    Binding binding_min = Binding::channel;
    bool legacy_ratls = false;         // `ratls` is enough, and waives config_sha256 for legacy answers
    bool legacy_none_allowed = false;  // legacy answers at level `none`
    std::vector<Cidr> legacy_cidrs;    // peers from which legacy answers are taken; empty: any

    std::set<QuoteRegister> registers_required;  // what an allowlist must name at least
    std::set<std::string> claims_required;
    bool allowlist_may_be_absent = false;

    Join join = Join::open;
    bool stake_required = false;
    bool price_required = false;
    bool funded_required = false;
    std::map<std::string, std::int64_t> stake_min_usd;  // whole dollars by tier
    EvidenceVisibility evidence = EvidenceVisibility::public_;
    std::chrono::seconds evidence_grace{0};

    std::set<ByteArray<6>> fmspc_allowed;        // empty: any
    std::set<crypto::Sha256> platforms_allowed;  // SHA-256 of the PPID; empty: any

    friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

// The two built-in networks. `simulated_root_configured` says whether EE_TDX_ROOT_CA is set: sandbox-1
// then admits that root.
NetworkPolicy forge_1_policy();
NetworkPolicy sandbox_1_policy(bool simulated_root_configured);

// The networks this control plane serves.
class NetworkPolicies {
public:
    explicit NetworkPolicies(std::vector<NetworkPolicy> policies) : policies_(std::move(policies)) {}
    static NetworkPolicies built_in(bool simulated_root_configured);

    // nullptr for an unknown name. The answer lives as long as this object.
    const NetworkPolicy* find(std::string_view name) const;
    const std::vector<NetworkPolicy>& all() const { return policies_; }

private:
    std::vector<NetworkPolicy> policies_;
};

// Whether legacy answers at level `ratls`, and certificates of deployed agents' layout, count for anything:
// their key lies on the machine's disk.
bool admits_legacy_ratls(const NetworkPolicy& policy);

// The least level at which answers of layout 2 are let in: binding_min, or `ratls` with legacy_ratls.
Binding least_binding(const NetworkPolicy& policy);

// Whether an answer bound this tightly is let in; `binding_too_weak` names both levels. Legacy answers are
// let in by legacy_none_allowed (at any level) and legacy_ratls (at `ratls`) alone, others from
// least_binding() on.
Result<void> judge_binding(const NetworkPolicy& policy, Binding binding, bool legacy);

// Whether a legacy answer is taken from this peer, an IP address as text: `binding_too_weak` names the peer
// and the networks of `legacy_cidrs`. Text that is no address is in none of them.
Result<void> judge_legacy_peer(const NetworkPolicy& policy, std::string_view peer);

// `tcb_unacceptable:<status>`, `collateral_too_old`, `advisory_refused:<id>`: the part of the platform's
// judgement that depends on the TCB evaluation alone. Split in two because of the order of refusals.
Result<void> judge_tcb_status(const NetworkPolicy& policy, const TcbEvaluation& tcb, WallTime now);
Result<void> judge_tcb_details(const NetworkPolicy& policy, const TcbEvaluation& tcb);

// `debug_td`, `td_attributes:<bit>`, `xfam`, `mr_servicetd`.
Result<void> judge_td(const NetworkPolicy& policy, const TdReport& report);

// All of a platform's judgement, in this order: simulated_root, tcb_unacceptable, debug_td, td_attributes,
// xfam, mr_servicetd, the rest.
Result<void> judge_platform(const NetworkPolicy& policy, const VerifiedQuote& quote, WallTime now);

// Whether an allowlist says enough for the network: `allowlist_invalid:/quote_measurements/<register>`,
// `allowlist_invalid:/measurements/<claim>`.
Result<void> judge_allowlist(const NetworkPolicy& policy, const Allowlist& allowlist, bool config_waived);

}  // namespace ee::attestation

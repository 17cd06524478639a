#pragma once
// The one doorway to attestation: a challenge and its answer go in, a verdict comes out.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "attestation/collateral_source.h"
#include "attestation/policies_in_force.h"
#include "attestation/policy.h"
#include "attestation/quote_verifier.h"
#include "attestation/release_source.h"
#include "attestation/report_data.h"
#include "base/bytes.h"
#include "base/claims.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// What was asked, of whom, on which connection.
struct Challenge {
    ByteArray<32> nonce{};
    std::string wire;  // "1" or "2"
    Bytes channel;     // TLS 1.3 exporter of the tunnel, 32 bytes; empty without
    AgentIdentity identity;
    // The agent's address, as trusted front ends say it, for `legacy_cidrs` and the limit on look-ups of
    // allowlists.
    std::string requester{};
    // DER, from the tunnel's TLS handshake, which has proven that the agent holds its key; empty without.
    Bytes client_certificate{};
    // The answer came with the token of the node it names. A quote of another challenge is then judged to its
    // end, for the record: one that holds otherwise was made for somebody else.
    bool node_proven = false;
};

// What the agent sent back.
struct Answer {
    Bytes quote;
    Bytes report_data;
    Claims measurements;
    std::optional<int> layout;  // 2, or absent: legacy
    Bytes agent_key;            // DER SubjectPublicKeyInfo, empty without
    Bytes signature;            // by that key, over session_message()
};

// What a source is fetching for a verdict.
using Awaited = std::variant<CollateralKey, ReleaseId>;

// The checks of a verdict in their order, a letter each, as the specification of attestation names them.
inline constexpr std::string_view checks_of_verdict = "ABCDEFGHIJKLMNOP";

// Ok with a status the network's policy accepts, or one refusal: there is nothing in between.
struct Verdict {
    bool ok = false;
    Error refusal;  // empty when ok
    // The refusal is `collateral_pending` or `allowlist_pending`: no verdict yet. The same answer is to be
    // judged again after Appraiser::when_settled.
    std::optional<Awaited> awaits;

    Binding binding = Binding::none;
    bool legacy = false;   // its quote and claims are a credential: never shown to the public
    bool unbound = false;  // legacy at level `none`: to be marked so wherever it is shown
    // Why the client certificate does not earn `ratls`, "<code>: <detail>"; empty when it does, or was not
    // looked at.
    std::string certificate_refusal;
    bool sealed = false;  // claim and allowlist say so, and the TD is not a debug one
    bool debug = false;
    bool simulated = false;  // the chain ends in the configured root, not in Intel's
    Bytes agent_key;         // DER; only when its signature over this session verified

    TcbStatus tcb = TcbStatus::not_evaluated;
    std::string tcb_status = "NotEvaluated";
    std::string tcb_date;  // RFC 3339, empty when not evaluated
    std::vector<std::string> advisory_ids;

    // Of a quote that fails check C and nothing else of A to N, on a tunnel with its node's token: perhaps it
    // was made for another challenge.
    std::optional<ReportData> foreign_report_data;

    CheckList checks;  // made, in order; the last one refused, if any did
    CheckList not_checked;

    // From the quote, lower-case hex; empty until its signature chain has held.
    std::string mrtd;
    std::vector<std::string> rtmrs;
    std::string report_data;
    std::string fmspc;

    // Which platform and which TD the quote is of, by digest; empty until its signature chain has held. Known
    // of an inconclusive verdict, too: nobody can say whether such a quote is good, but whether it is of what
    // was judged good before.
    Bytes subject;
    CollateralDigests collateral_sha256;
    bool allowlist_found = false;
    bool allowlist_fresh = true;   // looked up, or found to be absent, within EE_ALLOWLIST_TTL_SEC
    std::string allowlist_sha256;  // hex
    WallTime judged_at{};

    // What judged, for whoever keeps it as evidence; null where it did not come to that.
    std::shared_ptr<const NetworkPolicy> policy;
    std::shared_ptr<const Collateral> collateral;
    std::shared_ptr<const Allowlist> allowlist;
};

// Thread-safe. Blocks where its sources do: call it on a worker.
class Appraiser {
public:
    // The sources must outlive this object.
    Appraiser(NetworkPolicies policies, TrustAnchors anchors, CollateralSource& collateral,
              ReleaseSource& releases);

    // The allowlist is asked for only after everything about the quote itself has held.
    // A release without one is let in (`allowlist_found` false) where the network's policy says so: whether
    // this app was made by its operator is for the caller to judge.
    // `now` judges; an unknown network is `invalid_network`.
    Verdict appraise(const Challenge& challenge, const Answer& answer, WallTime now) const;

    // Calls back once, on any thread, when what was awaited has come or will not.
    void when_settled(const Awaited& awaited, std::function<void()> on_settled) const;

    // The digest, in hex, of the allowlist by which this network judges the release now; empty when there is
    // none that counts. nullopt when that was not looked up within EE_ALLOWLIST_TTL_SEC.
    std::optional<std::string> fresh_allowlist(const ReleaseId& release, std::string_view network,
                                               WallTime now) const;

    // The policies that judge from now on; verdicts under way keep those they began with.
    void set_policies(NetworkPolicies policies) { policies_.replace(std::move(policies)); }
    std::shared_ptr<const NetworkPolicies> policies() const { return policies_.get(); }

private:
    Result<void> judge(const Challenge& challenge, const Answer& answer, WallTime now,
                       Verdict& verdict) const;

    PoliciesInForce policies_;
    QuoteVerifier verifier_;
    CollateralSource& collateral_;
    ReleaseSource& releases_;
};

}  // namespace ee::attestation

#pragma once
// Asks a collateral service (Intel PCS API version 4, or a caching service that speaks it) for what is
// published about one platform. Belongs to the thread of its Fetch.

#include <functional>
#include <memory>
#include <string_view>

#include "attestation/collateral.h"
#include "base/result.h"
#include "http/client.h"
#include "net/url.h"

namespace ee::attestation {

inline constexpr std::string_view intel_pcs_url = "https://api.trustedservices.intel.com";
inline constexpr std::string_view intel_root_crl_url =
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

// Where a service is. Accepts the form in which Intel's client is configured too, which ends in
// /sgx/certification/v4/. Refuses with `invalid_url` all but http and https without a query.
Result<net::Url> parse_pcs_url(std::string_view text);

class PcsClient {
public:
    using OnDone = std::function<void(Result<Collateral>)>;

    PcsClient(net::Url service, std::chrono::milliseconds timeout, http::Fetch fetch);

    // TCB info, QE identity, PCK CRL and root CRL, unverified. Early updates are asked for; when TCB info and
    // QE identity are then of different evaluations, because one of them was published in between or comes
    // from a cache, both are asked for once more without. One call, not before fetch() has returned; none
    // after this object's Fetch has ended. Refusals: `collateral_service_failed` (no whole answer; names the
    // service's address, which is not for agents), `collateral_unavailable` (another status than 200, a
    // redirect: those are not followed), `collateral_malformed:<part>`, `collateral_mismatch:tcb_evaluation`.
    void fetch(const CollateralKey& key, OnDone on_done) const;

private:
    struct Round;
    void ask_documents(const std::shared_ptr<Round>& round) const;
    void ask(const std::shared_ptr<Round>& round, net::Url url, std::size_t body_bytes_max,
             std::function<Result<void>(const http::ClientAnswer&)> take) const;
    void finish(const std::shared_ptr<Round>& round) const;
    net::Url url(std::string_view path) const;

    net::Url service_;
    bool is_intel_;  // the root CRL is elsewhere
    std::chrono::milliseconds timeout_;
    http::Fetch fetch_;
};

}  // namespace ee::attestation

#pragma once
// What verifications have in common, kept: PCK chains, QE reports and collateral whose signatures held. Only
// facts that no time can change are here. Dates, revocation, what a quote and a policy ask for are judged at
// every verification, and what was refused is refused anew.

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "attestation/certificate_chain.h"
#include "attestation/collateral.h"
#include "attestation/collateral_parts.h"
#include "attestation/pck_extension.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace ee::attestation {

struct CacheLimits {
    std::size_t chains_max = 2048;    // about 10 KiB each
    std::size_t collateral_max = 64;  // about 40 KiB each; one for each FMSPC and CA, and its predecessor
};

// Check G held; what check J says of it is a fact as well.
struct KnownPck {
    PckChain chain;
    Result<PckExtension> extension;
};

// Of each part, lower-case hex.
using CollateralDigests = std::map<std::string, std::string, std::less<>>;

// Belongs to one verifier and its trust anchors. Thread-safe; holds its locks for look-ups only, so two
// threads may do the same work once. The entry used least recently gives way.
class VerificationCache {
public:
    explicit VerificationCache(const CacheLimits& limits);
    ~VerificationCache();
    VerificationCache(const VerificationCache&) = delete;
    VerificationCache& operator=(const VerificationCache&) = delete;

    // By SHA-256 of the chain's text as the quote has it; nullptr when it is not known.
    std::shared_ptr<const KnownPck> find_pck(const crypto::Sha256& chain) const;
    std::shared_ptr<const KnownPck> keep_pck(const crypto::Sha256& chain, KnownPck pck);

    // Whether the leaf of this chain is known to have signed a QE report: `signed_report` is SHA-256 of
    // report and signature. A platform's QE makes one for its attestation key and shows it with every quote,
    // so the last one of each chain is remembered. Only what held may be kept, and only of a chain that is
    // known.
    bool knows_qe_report(const crypto::Sha256& chain, const crypto::Sha256& signed_report) const;
    void keep_qe_report(const crypto::Sha256& chain, const crypto::Sha256& signed_report);

    // Of this very collateral (every byte is compared with a copy) under this root's key and CA's key.
    // nullptr when it is not known. `keep_parts` keeps nothing unless every part held.
    std::shared_ptr<const CollateralParts> find_parts(const Collateral& collateral,
                                                      const CollateralAuthority& authority) const;
    std::shared_ptr<const CollateralParts> keep_parts(const Collateral& collateral,
                                                      const CollateralAuthority& authority,
                                                      CollateralParts parts);

    // Of this object: hashing it takes as long as half a signature. Kept alive while it is remembered.
    std::shared_ptr<const CollateralDigests> digests_of(const std::shared_ptr<const Collateral>& collateral);

    std::size_t chains() const;
    std::size_t collateral() const;

private:
    struct Entries;
    std::unique_ptr<Entries> entries_;
};

}  // namespace ee::attestation

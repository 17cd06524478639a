#include "attestation/verification_cache.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/check.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

struct DigestHash {
    std::size_t operator()(const crypto::Sha256& digest) const {
        std::size_t hash;
        std::memcpy(&hash, digest.data(), sizeof hash);
        return hash;
    }
};

struct ChainEntry {
    crypto::Sha256 chain;
    std::shared_ptr<const KnownPck> pck;
    std::optional<crypto::Sha256> qe_report{};
};

struct CollateralEntry {
    crypto::Sha256 root_spki;
    crypto::Sha256 ca_spki;
    Collateral collateral;
    std::shared_ptr<const CollateralParts> parts;

    bool is_of(const Collateral& other, const CollateralAuthority& authority) const {
        return root_spki == authority.root.spki_sha256() && ca_spki == authority.ca.spki_sha256() &&
               collateral == other;
    }
};

struct DigestsEntry {
    std::shared_ptr<const Collateral> collateral;
    std::shared_ptr<const CollateralDigests> digests;
};

bool all_held(const CollateralParts& parts) {
    return parts.root_crl && parts.pck_crl && parts.tcb_info_signers && parts.tcb_info &&
           parts.qe_identity_signers && parts.qe_identity;
}

}  // namespace

// The lists have the entry used last in front.
struct VerificationCache::Entries {
    CacheLimits limits;
    std::mutex chains_mutex;
    std::list<ChainEntry> chains;
    std::unordered_map<crypto::Sha256, std::list<ChainEntry>::iterator, DigestHash> chain_of;
    std::mutex collateral_mutex;
    std::list<CollateralEntry> collateral;
    std::mutex digests_mutex;
    std::list<DigestsEntry> digests;
};

VerificationCache::VerificationCache(const CacheLimits& limits) : entries_(std::make_unique<Entries>()) {
    EE_CHECK(limits.chains_max > 0 && limits.collateral_max > 0);
    entries_->limits = limits;
}

VerificationCache::~VerificationCache() = default;

std::shared_ptr<const KnownPck> VerificationCache::find_pck(const crypto::Sha256& chain) const {
    const std::lock_guard lock(entries_->chains_mutex);
    const auto found = entries_->chain_of.find(chain);
    if (found == entries_->chain_of.end()) return nullptr;
    entries_->chains.splice(entries_->chains.begin(), entries_->chains, found->second);
    return found->second->pck;
}

std::shared_ptr<const KnownPck> VerificationCache::keep_pck(const crypto::Sha256& chain, KnownPck pck) {
    const auto kept = std::make_shared<const KnownPck>(std::move(pck));
    const std::lock_guard lock(entries_->chains_mutex);
    if (entries_->chain_of.contains(chain)) return kept;
    entries_->chains.push_front({chain, kept});
    entries_->chain_of.emplace(chain, entries_->chains.begin());
    if (entries_->chains.size() > entries_->limits.chains_max) {
        entries_->chain_of.erase(entries_->chains.back().chain);
        entries_->chains.pop_back();
    }
    return kept;
}

bool VerificationCache::knows_qe_report(const crypto::Sha256& chain,
                                        const crypto::Sha256& signed_report) const {
    const std::lock_guard lock(entries_->chains_mutex);
    const auto found = entries_->chain_of.find(chain);
    return found != entries_->chain_of.end() && found->second->qe_report == signed_report;
}

void VerificationCache::keep_qe_report(const crypto::Sha256& chain, const crypto::Sha256& signed_report) {
    const std::lock_guard lock(entries_->chains_mutex);
    const auto found = entries_->chain_of.find(chain);
    if (found != entries_->chain_of.end()) found->second->qe_report = signed_report;
}

std::shared_ptr<const CollateralParts> VerificationCache::find_parts(
    const Collateral& collateral, const CollateralAuthority& authority) const {
    const std::lock_guard lock(entries_->collateral_mutex);
    auto& entries = entries_->collateral;
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const CollateralEntry& entry) {
        return entry.is_of(collateral, authority);
    });
    if (found == entries.end()) return nullptr;
    entries.splice(entries.begin(), entries, found);
    return found->parts;
}

std::shared_ptr<const CollateralParts> VerificationCache::keep_parts(const Collateral& collateral,
                                                                     const CollateralAuthority& authority,
                                                                     CollateralParts parts) {
    const auto kept = std::make_shared<const CollateralParts>(std::move(parts));
    if (!all_held(*kept)) return kept;
    CollateralEntry entry{.root_spki = authority.root.spki_sha256(),
                          .ca_spki = authority.ca.spki_sha256(),
                          .collateral = collateral,
                          .parts = kept};
    const std::lock_guard lock(entries_->collateral_mutex);
    auto& entries = entries_->collateral;
    const bool known = std::any_of(entries.begin(), entries.end(), [&](const CollateralEntry& other) {
        return other.is_of(collateral, authority);
    });
    if (known) return kept;
    entries.push_front(std::move(entry));
    if (entries.size() > entries_->limits.collateral_max) entries.pop_back();
    return kept;
}

std::shared_ptr<const CollateralDigests> VerificationCache::digests_of(
    const std::shared_ptr<const Collateral>& collateral) {
    auto& entries = entries_->digests;
    {
        const std::lock_guard lock(entries_->digests_mutex);
        const auto found = std::ranges::find(entries, collateral, &DigestsEntry::collateral);
        if (found != entries.end()) {
            entries.splice(entries.begin(), entries, found);
            return found->digests;
        }
    }
    CollateralDigests digests;
    for (const auto& [part, digest] : collateral->sha256()) digests.emplace(part, to_hex(digest));
    auto kept = std::make_shared<const CollateralDigests>(std::move(digests));
    const std::lock_guard lock(entries_->digests_mutex);
    entries.push_front({collateral, kept});
    if (entries.size() > entries_->limits.collateral_max) entries.pop_back();
    return kept;
}

std::size_t VerificationCache::chains() const {
    const std::lock_guard lock(entries_->chains_mutex);
    return entries_->chains.size();
}

std::size_t VerificationCache::collateral() const {
    const std::lock_guard lock(entries_->collateral_mutex);
    return entries_->collateral.size();
}

}  // namespace ee::attestation

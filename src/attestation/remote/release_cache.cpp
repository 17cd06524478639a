#include "attestation/remote/release_cache.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

// Judges and look-ups read the clock apart: what is this little in the future has just been.
constexpr std::chrono::minutes skew_max{1};

// How long ago. A time well in the future, of a clock that was set back since, says nothing: for ever.
std::chrono::milliseconds age(WallTime then, WallTime now) {
    if (then > now + skew_max) return std::chrono::milliseconds::max();
    return std::max(now - then, std::chrono::milliseconds(0));
}

tl::unexpected<Error> unavailable(std::string detail) {
    return fail("allowlist_unavailable", std::move(detail));
}

}  // namespace

ReleaseCache::ReleaseCache(const ReleaseCacheLimits& limits)
    : limits_(limits),
      requesters_(limits.requester_fetches_max, std::chrono::minutes(1), limits.requesters_max) {}

ReleaseCache::Lookup ReleaseCache::find(const ReleaseQuery& query, WallTime now) {
    Lookup out{.answer = unavailable(""), .fetch = false};
    if (!entries_.contains(query.release) && !make_room(1, 0, now, out.forgotten)) {
        out.answer =
            unavailable(fmt::format("{} releases are being looked up, as many as are kept", entries_.size()));
        return out;
    }
    Entry& entry = entries_[query.release];
    entry.used_at = now;
    const bool has_copy = entry.published != nullptr && !entry.miss;
    const bool current = entry.miss ? age(entry.miss->at, now) <= limits_.miss_ttl
                                    : has_copy && age(entry.checked_at, now) <= limits_.ttl;
    std::string why_not;
    if (!current && !entry.fetching) {
        const bool stranger = !serves(query.release.repo, now);
        if (auto may = may_fetch(entry, query.requester, stranger, now)) {
            entry.fetching = out.fetch = true;
            entry.stranger = stranger;
            ++fetches_;
            if (entry.stranger) ++strangers_fetches_;
        } else {
            why_not = std::move(may.error().detail);
        }
    }
    if (current && entry.miss)
        out.answer = fail("allowlist_missing", entry.miss->detail);
    else if (has_copy &&
             age(entry.checked_at, now) <= std::max<std::chrono::seconds>(limits_.ttl, limits_.stale_max))
        out.answer = answer_by(entry, query.sealed, current);
    else if (entry.fetching)
        out.answer = fail("allowlist_pending", fmt::format("the allowlist of {} {} is being looked up",
                                                           query.release.repo, query.release.tag));
    else
        out.answer = unavailable(std::move(why_not));
    return out;
}

Result<PublishedAllowlist> ReleaseCache::answer_by(const Entry& entry, bool sealed, bool fresh) const {
    const Copy& copy = sealed && entry.accepted != nullptr ? *entry.accepted : *entry.published;
    if (!copy.allowlist) return fail(copy.allowlist.error());
    return PublishedAllowlist{*copy.allowlist, fresh};
}

Result<void> ReleaseCache::may_fetch(const Entry& entry, std::string_view requester, bool stranger,
                                     WallTime now) {
    // No wait is longer than an hour: one that is stems from a clock that was set back.
    const auto waits = [&](WallTime until) { return now < until && until <= now + std::chrono::hours(2); };
    if (waits(wait_until_))
        return fail("", fmt::format("GitHub asks to wait until {} (rate limit)", to_rfc3339(wait_until_)));
    if (waits(entry.retry_at)) return fail("", entry.failure);
    if (fetches_ >= limits_.fetches_max)
        return fail("", fmt::format("{} look-ups are under way, as many as may be", fetches_));
    // Anybody can name releases; those that serve must not wait for them.
    if (stranger) {
        if (strangers_fetches_ >= limits_.strangers_fetches_max) {
            return fail("", fmt::format("{} look-ups are under way for releases that have let nobody in, "
                                        "as many as may be",
                                        strangers_fetches_));
        }
        if (budget_ && waits(budget_->resets_at) && budget_->remaining < budget_->limit / 2) {
            return fail("", fmt::format("what is left of GitHub's rate limit, {} of {} until {}, is kept for "
                                        "releases that have let agents in",
                                        budget_->remaining, budget_->limit, to_rfc3339(budget_->resets_at)));
        }
    }
    if (!requester.empty() && !requesters_.take(requester, now)) {
        return fail("", fmt::format("{} has caused {} look-ups within a minute, as many as it may",
                                    address_block(requester), limits_.requester_fetches_max));
    }
    return {};
}

std::optional<KnownAsset> ReleaseCache::known(const ReleaseId& release) const {
    const auto found = entries_.find(release);
    if (found == entries_.end() || found->second.published == nullptr || found->second.miss)
        return std::nullopt;
    return found->second.known;
}

ReleaseCache::Copy ReleaseCache::copy_of(std::string asset) {
    auto allowlist = parse_allowlist(asset);
    Copy out{
        .allowlist = nullptr, .invalid_asset = {}, .digest_hex = to_hex(crypto::sha256(as_bytes(asset)))};
    if (allowlist) {
        out.allowlist = std::make_shared<const Allowlist>(std::move(*allowlist));
    } else {
        out.allowlist = fail(std::move(allowlist.error()));
        out.invalid_asset = std::move(asset);
    }
    return out;
}

std::optional<StoredRelease> ReleaseCache::stored(const ReleaseId& release) const {
    const auto found = entries_.find(release);
    if (found == entries_.end()) return std::nullopt;
    const Entry& entry = found->second;
    // The digest alone is kept where it came from.
    if (entry.accepted == nullptr || !entry.accepted->allowlist) return std::nullopt;
    StoredRelease out{.release = release,
                      .accepted_asset = entry.accepted->asset(),
                      .published_asset = std::nullopt,
                      .known = entry.known,
                      .checked_at = entry.checked_at};
    // What is published no longer judges nobody after a restart, unless it is found again.
    if (entry.miss) out.checked_at = {};
    if (entry.published == entry.accepted) return out;
    // One that was not taken has no bytes: it is looked up again before anything counts as published.
    if (entry.published->asset().empty())
        out.checked_at = {};
    else
        out.published_asset = entry.published->asset();
    return out;
}

ReleaseCache::Recorded ReleaseCache::record(const ReleaseId& release, FetchOutcome outcome, WallTime now) {
    Recorded out;
    if (outcome.wait_until) wait_until_ = std::max(wait_until_, *outcome.wait_until);
    if (outcome.budget) budget_ = outcome.budget;
    const auto found = entries_.find(release);
    if (found == entries_.end() || !found->second.fetching) return out;
    Entry& entry = found->second;
    --fetches_;
    if (entry.stranger) --strangers_fetches_;
    // Not sooner: while it is set, no room is made of this one.
    const auto settle = [&entry] { entry.fetching = false; };
    if (auto* failure = std::get_if<AskingFailed>(&outcome.what)) {
        settle();
        failed(entry, std::move(failure->detail), now);
        return out;
    }
    CopyPtr copy;
    if (auto* published = std::get_if<AssetPublished>(&outcome.what)) {
        if (!make_room(0, published->bytes.size(), now, out.forgotten)) {
            settle();
            failed(entry,
                   fmt::format("the assets of releases that are being looked up fill the {} bytes kept",
                               limits_.asset_bytes_max),
                   now);
            return out;
        }
        copy = std::make_shared<const Copy>(copy_of(std::move(published->bytes)));
    } else if (auto* refused = std::get_if<AssetRefused>(&outcome.what)) {
        copy = std::make_shared<const Copy>(Copy{fail(std::move(refused->why)), {}, {}});
    }
    settle();
    entry.failures = 0;
    entry.failure.clear();
    entry.retry_at = {};
    if (auto* missing = std::get_if<AssetMissing>(&outcome.what)) {
        // What was accepted stays: the next asset under this tag is compared with it.
        entry.miss = Miss{std::move(missing->detail), now};
        out.save = entry.accepted != nullptr;
        return out;
    }
    entry.miss.reset();
    entry.checked_at = now;
    entry.known = outcome.known;
    if (copy != nullptr) publish(release, entry, std::move(copy), out);
    out.save = entry.accepted != nullptr;
    return out;
}

void ReleaseCache::publish(const ReleaseId& release, Entry& entry, CopyPtr copy, Recorded& out) {
    const CopyPtr before = entry.published != nullptr ? entry.published : entry.accepted;
    if (before != nullptr && before->digest_hex != copy->digest_hex)
        out.change = AllowlistChange{release, before->digest_hex, copy->digest_hex};
    entry.published = std::move(copy);
    if (entry.accepted == nullptr && entry.published->allowlist) entry.accepted = entry.published;
    if (entry.accepted == nullptr || entry.accepted->digest_hex != entry.published->digest_hex) return;
    // The same bytes again, perhaps after others: one copy of them is enough.
    if (entry.accepted->allowlist)
        entry.published = entry.accepted;
    else
        entry.accepted = entry.published;
}

void ReleaseCache::failed(Entry& entry, std::string detail, WallTime now) const {
    entry.failure = std::move(detail);
    const auto doubled = limits_.retry_min * (1 << std::min(entry.failures, 10));
    entry.retry_at = now + std::min<std::chrono::seconds>(doubled, limits_.retry_max);
    ++entry.failures;
}

Result<void> ReleaseCache::accept(const ReleaseId& release, const crypto::Sha256& digest) {
    const auto found = entries_.find(release);
    if (found == entries_.end() || found->second.published == nullptr) {
        return fail(
            "allowlist_not_seen",
            fmt::format("no allowlist of {} {} has been fetched from GitHub yet", release.repo, release.tag));
    }
    Entry& entry = found->second;
    const Copy& published = *entry.published;
    if (published.digest_hex != to_hex(digest)) {
        return fail(
            "allowlist_differs",
            fmt::format("the published allowlist of {} {} has digest {}, the request names {}", release.repo,
                        release.tag,
                        published.digest_hex.empty() ? "none (it was not taken)" : published.digest_hex,
                        to_hex(digest)));
    }
    if (!published.allowlist) return fail(published.allowlist.error());
    entry.accepted = entry.published;
    return {};
}

bool ReleaseCache::restore(const StoredRelease& from) {
    if (entries_.size() >= limits_.releases_max || entries_.contains(from.release)) return false;
    if (asset_bytes() + from.accepted_asset.size() + from.published_asset.value_or("").size() >
        limits_.asset_bytes_max)
        return false;
    auto accepted = std::make_shared<const Copy>(copy_of(from.accepted_asset));
    if (!accepted->allowlist) return false;
    Entry entry;
    entry.accepted = entry.published = std::move(accepted);
    if (from.published_asset) entry.published = std::make_shared<const Copy>(copy_of(*from.published_asset));
    entry.known = from.known;
    entry.known.sha256 = crypto::sha256(as_bytes(entry.published->asset()));
    entry.checked_at = entry.used_at = from.checked_at;
    entries_.emplace(from.release, std::move(entry));
    return true;
}

bool ReleaseCache::has_accepted(const ReleaseId& release) const {
    const auto found = entries_.find(release);
    return found != entries_.end() && found->second.accepted != nullptr;
}

void ReleaseCache::remember_accepted(const ReleaseId& release, const std::string& sha256_hex) {
    const auto found = entries_.find(release);
    if (found == entries_.end() || found->second.accepted != nullptr) return;
    auto gone = unavailable(
        fmt::format("of {} {} the allowlist with digest {} was accepted, which is no longer kept, "
                    "and another one is published: sealed networks wait until that one is "
                    "accepted, or the old one is published again",
                    release.repo, release.tag, sha256_hex));
    found->second.accepted = std::make_shared<const Copy>(Copy{std::move(gone), {}, sha256_hex});
}

bool ReleaseCache::is_fetching(const ReleaseId& release) const {
    const auto found = entries_.find(release);
    return found != entries_.end() && found->second.fetching;
}

std::size_t ReleaseCache::Entry::asset_bytes() const {
    return (accepted == nullptr ? 0 : accepted->asset().size()) +
           (published == nullptr || published == accepted ? 0 : published->asset().size());
}

std::size_t ReleaseCache::asset_bytes() const {
    std::size_t sum = 0;
    for (const auto& [release, entry] : entries_) sum += entry.asset_bytes();
    return sum;
}

void ReleaseCache::admitted(const ReleaseId& release, WallTime now) {
    const auto found = entries_.find(release);
    if (found != entries_.end()) found->second.admitted_at = now;
}

bool ReleaseCache::in_use(const Entry& entry, WallTime now) const {
    return entry.admitted_at && age(*entry.admitted_at, now) < limits_.in_use;
}

bool ReleaseCache::serves(std::string_view repo, WallTime now) const {
    for (auto it = entries_.lower_bound({std::string(repo), ""});
         it != entries_.end() && it->first.repo == repo; ++it)
        if (in_use(it->second, now)) return true;
    return false;
}

// Of those that are not in use the longest unused, first one without a copy. Where all are in use, the
// longest unused of the owner who has most: so nobody who fills the place with releases of his own makes us
// forget another's.
ReleaseCache::Entries::iterator ReleaseCache::least_worth(bool takes_bytes, WallTime now) {
    const std::size_t entry_bytes = limits_.asset_bytes_max / std::max<std::size_t>(limits_.releases_max, 1);
    struct Owned {
        std::size_t bytes = 0;
        Entries::iterator oldest;
    };
    std::map<std::string_view, Owned> owners;  // of those in use
    auto unused = entries_.end();
    const auto worth = [](const Entry& entry) {
        return std::pair(entry.published != nullptr, entry.used_at);
    };
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        const Entry& entry = it->second;
        if (entry.fetching || (takes_bytes && entry.asset_bytes() == 0)) continue;
        if (!in_use(entry, now)) {
            if (unused == entries_.end() || worth(entry) < worth(unused->second)) unused = it;
            continue;
        }
        const std::string_view repo = it->first.repo;
        Owned& owned = owners.try_emplace(repo.substr(0, repo.find('/')), Owned{0, it}).first->second;
        owned.bytes += entry_bytes + entry.asset_bytes();
        if (entry.used_at < owned.oldest->second.used_at) owned.oldest = it;
    }
    if (unused != entries_.end() || owners.empty()) return unused;
    return std::max_element(owners.begin(), owners.end(),
                            [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; })
        ->second.oldest;
}

// Which asset was accepted is never forgotten.
bool ReleaseCache::make_room(std::size_t releases, std::size_t bytes, WallTime now,
                             std::vector<ForgottenRelease>& forgotten) {
    const auto fits = [&] {
        return entries_.size() + releases <= limits_.releases_max &&
               (bytes == 0 || asset_bytes() + bytes <= limits_.asset_bytes_max);
    };
    while (!fits()) {
        const auto least = least_worth(releases == 0, now);
        if (least == entries_.end()) return false;
        if (const CopyPtr& accepted = least->second.accepted; accepted != nullptr && accepted->allowlist)
            forgotten.push_back({least->first, accepted->digest_hex});
        entries_.erase(least);
    }
    return true;
}

}  // namespace ee::attestation

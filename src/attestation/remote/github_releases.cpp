#include "attestation/remote/github_releases.h"

#include <mutex>

#include "base/hex.h"

namespace ee::attestation {

class GitHubReleases::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(net::Loop& loop, http::Fetch fetch, GitHubSettings settings, ReleaseArchive archive,
         const telemetry::Log& log)
        : loop_(loop),
          fetch_(std::move(fetch)),
          settings_(std::move(settings)),
          archive_(std::move(archive)),
          log_(log),
          cache_(settings_.limits) {}

    void restore(const std::vector<StoredRelease>& stored) {
        for (const StoredRelease& release : stored)
            if (!cache_.restore(release))
                log_.warn("allowlist.not_restored",
                          {{"repo", release.release.repo}, {"tag", release.release.tag}});
    }

    Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime now) {
        const std::lock_guard lock(mutex_);
        ReleaseCache::Lookup lookup = cache_.find(query, now);
        if (!lookup.forgotten.empty())
            loop_.post([self = weak_from_this(), forgotten = std::move(lookup.forgotten)] {
                if (const auto impl = self.lock()) impl->forget(forgotten);
            });
        if (lookup.fetch)
            loop_.post([self = weak_from_this(), release = query.release] {
                if (const auto impl = self.lock()) impl->start(release);
            });
        return std::move(lookup.answer);
    }

    void admitted(const ReleaseId& release, WallTime now) {
        const std::lock_guard lock(mutex_);
        cache_.admitted(release, now);
    }

    void when_settled(const ReleaseId& release, std::function<void()> done) {
        {
            const std::lock_guard lock(mutex_);
            if (cache_.is_fetching(release)) {
                waiting_[release].push_back(std::move(done));
                return;
            }
        }
        done();
    }

    Result<void> accept(const ReleaseId& release, const crypto::Sha256& digest) {
        const std::lock_guard lock(mutex_);
        if (auto accepted = cache_.accept(release, digest); !accepted) return accepted;
        log_.info("allowlist.accepted",
                  {{"repo", release.repo}, {"tag", release.tag}, {"sha256", to_hex(digest)}});
        loop_.post([self = weak_from_this(), release] {
            if (const auto impl = self.lock()) impl->save(release);
        });
        return {};
    }

    void set_token(Secret token) {
        loop_.post([self = weak_from_this(), token = std::move(token)] {
            if (const auto impl = self.lock()) impl->settings_.github.token = token;
        });
    }

    void on_changed(std::function<void(const AllowlistChange&)> hear) { on_changed_ = std::move(hear); }

private:
    // All of these on the loop's thread.
    void start(const ReleaseId& release) {
        if (auto remembered = remember(release); !remembered) {
            written(remembered, release);
            return ended(
                release,
                {.what = AskingFailed{std::move(remembered.error().detail)}, .known = {}, .wait_until = {}});
        }
        std::optional<KnownAsset> known;
        {
            const std::lock_guard lock(mutex_);
            known = cache_.known(release);
        }
        ask(std::make_shared<ReleaseFetch>(settings_.github, release, std::move(known), wall_now()), release);
    }

    // What the disk knows of one that is new to the cache, before anything can be accepted as the first.
    Result<void> remember(const ReleaseId& release) {
        {
            const std::lock_guard lock(mutex_);
            if (cache_.has_accepted(release)) return {};
        }
        auto accepted = archive_.accepted(release);
        if (!accepted) return fail(std::move(accepted.error()));
        const std::lock_guard lock(mutex_);
        if (*accepted) cache_.remember_accepted(release, **accepted);
        return {};
    }

    void ask(std::shared_ptr<ReleaseFetch> look_up, const ReleaseId& release) {
        http::ClientRequest request = look_up->request(wall_now());
        fetch_(std::move(request), [self = weak_from_this(), look_up = std::move(look_up),
                                    release](const Result<http::ClientAnswer>& answer) {
            const auto impl = self.lock();
            if (impl == nullptr) return;
            auto outcome = look_up->answered(answer, wall_now());
            if (outcome) return impl->ended(release, std::move(*outcome));
            impl->ask(look_up, release);
        });
    }

    void ended(const ReleaseId& release, FetchOutcome outcome) {
        const Outcome said = said_of(outcome);
        ReleaseCache::Recorded recorded;
        std::vector<std::function<void()>> waiting;
        {
            const std::lock_guard lock(mutex_);
            recorded = cache_.record(release, std::move(outcome), wall_now());
            if (auto found = waiting_.extract(release)) waiting = std::move(found.mapped());
        }
        if (recorded.save) save(release);
        forget(recorded.forgotten);
        log_outcome(release, said);  // What it says is in use, and on disk.
        if (recorded.change) {
            log_.warn("allowlist.changed", {{"repo", release.repo},
                                            {"tag", release.tag},
                                            {"sha256_before", recorded.change->before},
                                            {"sha256", recorded.change->now_published}});
            if (on_changed_) on_changed_(*recorded.change);
        }
        for (const auto& done : waiting) done();
    }

    // What the log says of an outcome, which is given away before.
    struct Outcome {
        std::size_t kind;
        std::string detail;
    };
    static Outcome said_of(const FetchOutcome& outcome) {
        Outcome said{outcome.what.index(), ""};
        if (const auto* failure = std::get_if<AskingFailed>(&outcome.what)) said.detail = failure->detail;
        if (const auto* missing = std::get_if<AssetMissing>(&outcome.what)) said.detail = missing->detail;
        return said;
    }
    void log_outcome(const ReleaseId& release, const Outcome& said) const {
        constexpr std::string_view words[] = {"published", "unchanged", "refused", "missing", "failed"};
        const std::string_view word = words[said.kind];
        const telemetry::Fields of_all = {
            {"repo", release.repo}, {"tag", release.tag}, {"detail", said.detail}};
        if (word == "failed") return log_.warn("allowlist.fetch_failed", of_all);
        if (word == "missing") return log_.info("allowlist.missing", of_all);
        log_.debug("allowlist.fetched", {{"repo", release.repo}, {"tag", release.tag}, {"outcome", word}});
    }

    // As it is now, however late this comes: an older state never replaces a newer one.
    void save(const ReleaseId& release) {
        std::optional<StoredRelease> stored;
        {
            const std::lock_guard lock(mutex_);
            stored = cache_.stored(release);
        }
        if (stored) written(archive_.save(*stored), release);
    }
    void forget(const std::vector<ForgottenRelease>& releases) const {
        for (const ForgottenRelease& one : releases) written(archive_.forget(one), one.release);
    }
    void written(const Result<void>& result, const ReleaseId& release) const {
        if (result) return;
        log_.error("allowlist.not_saved", {{"repo", release.repo},
                                           {"tag", release.tag},
                                           {"code", result.error().code},
                                           {"detail", result.error().detail}});
    }

    net::Loop& loop_;
    const http::Fetch fetch_;
    GitHubSettings settings_;  // on the loop's thread
    const ReleaseArchive archive_;
    const telemetry::Log& log_;
    std::function<void(const AllowlistChange&)> on_changed_;
    std::mutex mutex_;  // of what follows
    ReleaseCache cache_;
    std::map<ReleaseId, std::vector<std::function<void()>>> waiting_;
};

GitHubReleases::GitHubReleases(net::Loop& loop, http::Fetch fetch, GitHubSettings settings,
                               ReleaseArchive archive, const std::vector<StoredRelease>& stored,
                               const telemetry::Log& log)
    : impl_(std::make_shared<Impl>(loop, std::move(fetch), std::move(settings), std::move(archive), log)) {
    impl_->restore(stored);
}

GitHubReleases::~GitHubReleases() = default;

Result<PublishedAllowlist> GitHubReleases::find(const ReleaseQuery& query, WallTime now) {
    return impl_->find(query, now);
}
void GitHubReleases::admitted(const ReleaseId& release, WallTime now) {
    impl_->admitted(release, now);
}
void GitHubReleases::when_settled(const ReleaseId& release, std::function<void()> done) {
    impl_->when_settled(release, std::move(done));
}
Result<void> GitHubReleases::accept(const ReleaseId& release, const crypto::Sha256& digest) {
    return impl_->accept(release, digest);
}
void GitHubReleases::set_token(Secret token) {
    impl_->set_token(std::move(token));
}
void GitHubReleases::on_changed(std::function<void(const AllowlistChange&)> hear) {
    impl_->on_changed(std::move(hear));
}

}  // namespace ee::attestation

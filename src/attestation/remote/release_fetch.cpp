#include "attestation/remote/release_fetch.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "attestation/remote/release_answer.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

constexpr std::string_view api_version = "2022-11-28";
constexpr std::chrono::seconds wait_without_a_word{60};
constexpr std::chrono::hours wait_max{1};

bool same_text(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

bool same_origin(const net::Url& a, const net::Url& b) {
    return a.scheme == b.scheme && same_text(a.host, b.host) && a.port == b.port;
}

net::Url release_address(const net::Url& api, const ReleaseId& release) {
    const std::size_t slash = std::min(release.repo.find('/'), release.repo.size());
    const std::string_view repo = release.repo;
    net::Url out = api;
    out.path += fmt::format("/repos/{}/{}/releases/tags/{}", percent_encoded_segment(repo.substr(0, slash)),
                            percent_encoded_segment(repo.substr(std::min(slash + 1, repo.size()))),
                            percent_encoded_segment(release.tag));
    return out;
}

std::optional<std::int64_t> number(const http::ClientAnswer& answer, std::string_view field) {
    const auto text = answer.field(field);
    std::int64_t value = 0;
    if (!text) return std::nullopt;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    // At most a year or the year 2200: sums stay within their range.
    if (error != std::errc{} || end != text->data() + text->size() || value < 0 || value > 7'258'118'400)
        return std::nullopt;
    return value;
}

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

ReleaseFetch::ReleaseFetch(const GitHubAddress& github, ReleaseId release, std::optional<KnownAsset> known,
                           WallTime now)
    : github_(github),
      release_(std::move(release)),
      known_(std::move(known)),
      deadline_(now + timeout),
      at_(release_address(github.api, release_)) {}

bool ReleaseFetch::at_api() const {
    return same_origin(at_, github_.api);
}

// For messages: without the query, which may hold a signature.
std::string ReleaseFetch::where() const {
    return at_.scheme + "://" + at_.authority() + at_.path.substr(0, at_.path.find('?'));
}

http::ClientRequest ReleaseFetch::request(WallTime now) const {
    http::ClientRequest out;
    out.url = at_;
    out.timeout =
        std::clamp<std::chrono::milliseconds>(deadline_ - now, std::chrono::milliseconds(1), answer_timeout);
    out.body_bytes_max = asking_for_asset_ ? allowlist_size_max : release_answer_size_max;
    out.fields.push_back(
        {"Accept", asking_for_asset_ ? "application/octet-stream" : "application/vnd.github+json"});
    if (at_api()) {
        out.fields.push_back({"X-GitHub-Api-Version", std::string(api_version)});
        if (!github_.token.empty())
            out.fields.push_back({"Authorization", "Bearer " + std::string(github_.token.reveal())});
    }
    if (std::string etag = if_none_match(); !etag.empty())
        out.fields.push_back({"If-None-Match", std::move(etag)});
    return out;
}

std::string ReleaseFetch::if_none_match() const {
    if (!known_) return {};
    if (!asking_for_asset_) return known_->release_etag;
    // Another asset has another address, and its tag means another thing.
    return known_->asset_url == asset_url_ ? known_->asset_etag : std::string();
}

ReleaseFetch::Step ReleaseFetch::ended(decltype(FetchOutcome::what) what) {
    return FetchOutcome{.what = std::move(what), .known = {}, .wait_until = wait_until_, .budget = budget_};
}

// GitHub's "Rate limits for the REST API": Retry-After in seconds, else x-ratelimit-reset in Unix seconds
// once x-ratelimit-remaining is 0.
void ReleaseFetch::note_rate_limit(const http::ClientAnswer& answer, WallTime now) {
    const bool refuses = answer.status == 403 || answer.status == 429;
    const auto limit = number(answer, "X-RateLimit-Limit");
    const auto remaining = number(answer, "X-RateLimit-Remaining");
    const auto reset = number(answer, "X-RateLimit-Reset");
    if (limit && remaining && reset)
        budget_ = RateBudget{*limit, *remaining, WallTime(std::chrono::seconds(*reset))};
    std::optional<WallTime> until;
    if (const auto seconds = number(answer, "Retry-After"); seconds && refuses) {
        until = now + std::chrono::seconds(*seconds);
    } else if (remaining == 0) {
        until = reset ? WallTime(std::chrono::seconds(*reset)) : now + wait_without_a_word;
    } else if (answer.status == 429) {
        until = now + wait_without_a_word;
    }
    if (!until) return;
    // A clock that goes behind theirs has them ask for a time that is over.
    if (refuses) until = std::max(*until, now + std::chrono::seconds(1));
    if (*until > now) wait_until_ = std::min(*until, now + wait_max);
}

ReleaseFetch::Step ReleaseFetch::answered(const Result<http::ClientAnswer>& answer, WallTime now) {
    if (!answer) return failed(fmt::format("{}: {}", answer.error().code, answer.error().detail));
    if (at_api()) note_rate_limit(*answer, now);
    if (is_redirect(answer->status)) {
        if (auto end = redirected(*answer)) return end;
    } else if (answer->status == 200) {
        if (auto end = asking_for_asset_ ? asset_answered(*answer) : release_answered(*answer)) return end;
    } else if (answer->status == 304 && !if_none_match().empty()) {
        auto end = ended(AssetUnchanged{});
        end->known = *known_;
        if (asking_for_asset_) end->known.release_etag = release_etag_;
        return end;
    } else {
        return refused(*answer);
    }
    if (now >= deadline_) return failed(fmt::format("the look-up took longer than {} s", timeout.count()));
    if (wait_until_ && at_api()) return failed("GitHub's rate limit is used up");
    return std::nullopt;
}

ReleaseFetch::Step ReleaseFetch::redirected(const http::ClientAnswer& answer) {
    if (++redirects_ > redirects_max)
        return failed(fmt::format("{} redirects again, after {} times", where(), redirects_max));
    std::string location(answer.field("Location").value_or(""));
    location = location.substr(0, location.find('#'));
    if (location.starts_with("//"))
        location.insert(0, at_.scheme + ":");
    else if (location.starts_with('/'))
        location.insert(0, at_.scheme + "://" + at_.authority());
    auto target = net::parse_url(location);
    if (!target) return failed(fmt::format("{} redirects to no usable address", where()));
    const bool allowed =
        target->scheme == "https" || (target->scheme == "http" && github_.api.scheme == "http");
    if (!allowed) {
        return failed(fmt::format("{} redirects to {}://{}, only https is followed", where(), target->scheme,
                                  target->authority()));
    }
    at_ = std::move(*target);
    return std::nullopt;
}

ReleaseFetch::Step ReleaseFetch::refused(const http::ClientAnswer& answer) {
    if (answer.status == 404 || answer.status == 410) {
        return ended(AssetMissing{
            fmt::format("{} answers {}: no such release is published, or {}", where(), answer.status,
                        github_.token.empty() ? "the repository is private and EE_GITHUB_TOKEN is not set"
                                              : "EE_GITHUB_TOKEN may not read it")});
    }
    if (wait_until_ && at_api()) {
        return failed(
            fmt::format("{} answers {}: the rate limit is used up until {}; EE_GITHUB_TOKEN raises it",
                        where(), answer.status, to_rfc3339(*wait_until_)));
    }
    if (answer.status == 401 && at_api() && !github_.token.empty())
        return failed(fmt::format("{} answers 401: it does not know EE_GITHUB_TOKEN", where()));
    return failed(fmt::format("{} answers {}", where(), answer.status));
}

ReleaseFetch::Step ReleaseFetch::release_answered(const http::ClientAnswer& answer) {
    const auto asset = parse_release_answer(answer.body, release_.tag, github_.asset_name);
    if (!asset) {
        if (asset.error().code == "asset_missing") return ended(AssetMissing{asset.error().detail});
        return failed(fmt::format("{}: {}", where(), asset.error().detail));
    }
    auto address = net::parse_url(asset->url);
    if (!address || !same_origin(*address, github_.api)) {
        return failed(fmt::format("{} says that its asset is elsewhere: {}://{} is asked for releases",
                                  where(), github_.api.scheme, github_.api.authority()));
    }
    if (asset->size && *asset->size > allowlist_size_max) {
        return ended(
            AssetRefused{{"allowlist_invalid:/", fmt::format("the asset has {} bytes, at most {} are taken",
                                                             *asset->size, allowlist_size_max)}});
    }
    release_etag_ = answer.field("ETag").value_or("");
    if (known_ && asset->sha256 == known_->sha256 && asset->url == known_->asset_url) {
        auto end = ended(AssetUnchanged{});
        end->known = *known_;
        end->known.release_etag = release_etag_;
        return end;
    }
    asset_url_ = asset->url;
    size_ = asset->size;
    sha256_ = asset->sha256;
    at_ = std::move(*address);
    asking_for_asset_ = true;
    redirects_ = 0;
    return std::nullopt;
}

ReleaseFetch::Step ReleaseFetch::asset_answered(const http::ClientAnswer& answer) {
    // An answer that ends with its connection may have been cut short.
    if (size_ && *size_ != answer.body.size()) {
        return failed(
            fmt::format("{} gave {} bytes, the release says {}", where(), answer.body.size(), *size_));
    }
    const crypto::Sha256 digest = crypto::sha256(as_bytes(answer.body));
    if (sha256_ && *sha256_ != digest) {
        return failed(fmt::format("{} gave bytes of digest {}, the release says {}", where(), to_hex(digest),
                                  to_hex(*sha256_)));
    }
    auto end = ended(AssetPublished{answer.body});
    end->known = {.release_etag = release_etag_,
                  .asset_etag = std::string(answer.field("ETag").value_or("")),
                  .asset_url = asset_url_,
                  .sha256 = digest};
    return end;
}

}  // namespace ee::attestation

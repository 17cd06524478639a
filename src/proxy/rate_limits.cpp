#include "proxy/rate_limits.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/client_address.h"
#include "base/siphash.h"

namespace ee::proxy {
namespace {

// When one of many open requests ends is anybody's guess.
constexpr std::uint32_t retry_streams_s = 1;

std::chrono::nanoseconds interval_of(std::uint32_t per_second) {
    return std::chrono::nanoseconds(1'000'000'000 / per_second);
}

RateLimits::Exceeded exceeded(const Buckets::Exceeded& why, bool is_client, std::uint32_t rps) {
    using Limit = RateLimits::Limit;
    const std::string_view whose = is_client ? "of one client address" : "to one app";
    if (why.is_rate)
        return {is_client ? Limit::client_rate : Limit::app_rate, why.retry_after_s,
                fmt::format("more than {} requests a second {}, and {} at once", rps, whose, burst_of(rps))};
    return {is_client ? Limit::client_streams : Limit::app_streams, why.retry_after_s,
            fmt::format("{} requests {} are open, as many as may be", streams_of(rps), whose)};
}

}  // namespace

void Buckets::set_rate(std::uint32_t per_second) {
    per_second_ = per_second;
    if (is_on() && buckets_.empty()) buckets_.resize(sets_ * (ways + 1));
}

Buckets::Bucket& Buckets::find(std::uint64_t key, MonoTime now) {
    Bucket* const set = &buckets_[(key % sets_) * (ways + 1)];
    Bucket* vacant = nullptr;
    for (Bucket* bucket = set; bucket < set + ways; ++bucket) {
        if (bucket->key == key) return *bucket;
        if (vacant == nullptr && bucket->open == 0 && bucket->full_at <= now) vacant = bucket;
    }
    if (vacant == nullptr) return set[ways];
    *vacant = {.key = key};
    return *vacant;
}

// The tokens of a bucket are the time until it is full (a virtual schedule, as ATM's GCRA has it).
tl::expected<Buckets::Pass, Buckets::Exceeded> Buckets::take(std::uint64_t key, MonoTime now) {
    if (!is_on()) return Pass();
    Bucket& bucket = find(key, now);
    if (bucket.open >= streams_of(per_second_)) return tl::unexpected(Exceeded{false, retry_streams_s});
    const auto interval = interval_of(per_second_);
    const MonoTime full_at = std::max(bucket.full_at, now) + interval;
    const auto short_of = full_at - (now + interval * burst_of(per_second_));
    if (short_of.count() > 0) {
        const auto wait = std::chrono::ceil<std::chrono::seconds>(short_of).count();
        return tl::unexpected(Exceeded{true, static_cast<std::uint32_t>(wait)});
    }
    bucket.full_at = full_at;
    ++bucket.open;
    return Pass(*this, static_cast<std::uint32_t>(&bucket - buckets_.data()));
}

RateLimits::RateLimits(const RateLimitSettings& settings, const ByteArray<16>& secret) : secret_(secret) {
    set(settings);
}

void RateLimits::set(const RateLimitSettings& settings) {
    clients_.set_rate(settings.client_rps);
    apps_.set_rate(settings.app_rps);
}

RateLimits::Taken RateLimits::take_client(const IpAddress& client, MonoTime now) {
    if (!clients_.is_on()) return {};
    const IpAddress counted_as = client_address(client);
    auto taken = clients_.take(siphash(secret_, counted_as.bytes()), now);
    if (!taken) return tl::unexpected(exceeded(taken.error(), true, clients_.per_second()));
    return std::move(*taken);
}

RateLimits::Taken RateLimits::take_app(std::string_view app, MonoTime now) {
    if (!apps_.is_on()) return {};
    auto taken = apps_.take(siphash(secret_, as_bytes(app)), now);
    if (!taken) return tl::unexpected(exceeded(taken.error(), false, apps_.per_second()));
    return std::move(*taken);
}

std::string_view to_word(RateLimits::Limit limit) {
    switch (limit) {
        case RateLimits::Limit::client_rate: return "client_rate";
        case RateLimits::Limit::client_streams: return "client_streams";
        case RateLimits::Limit::app_rate: return "app_rate";
        case RateLimits::Limit::app_streams: return "app_streams";
    }
    return "";
}

}  // namespace ee::proxy

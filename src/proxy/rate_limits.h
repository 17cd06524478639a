#pragma once
// How many requests a second, and how many at once, one client and one app may have. No clock: times are
// arguments. Does no I/O; not thread-safe.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ip_address.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::proxy {

// Requests a second; 0: no limit of any kind.
struct RateLimitSettings {
    std::uint32_t client_rps = 0;
    std::uint32_t app_rps = 0;
};

// One second's worth may come at once, a page with its pictures in any case.
constexpr std::uint32_t burst_of(std::uint32_t rps) {
    return rps < 10 ? 10 : rps;
}
// Who stays below its rate has no more open, as long as requests take ten seconds on average.
constexpr std::uint32_t streams_of(std::uint32_t rps) {
    return rps < 10 ? 100 : 10 * rps;
}

// Token buckets of many keys, in memory that does not grow: each key has eight places to look for its own in.
// A bucket's place is given away only when the bucket is full and nothing of it is open, so nobody's is ever
// reset by others. Where all eight are in use, newcomers share a ninth.
class Buckets {
public:
    // A request that goes on; ends with it.
    class Pass {
    public:
        Pass() = default;
        Pass(Buckets& buckets, std::uint32_t place) : buckets_(&buckets), place_(place) {}
        Pass(Pass&& other) noexcept
            : buckets_(std::exchange(other.buckets_, nullptr)), place_(other.place_) {}
        Pass& operator=(Pass&& other) noexcept {
            std::swap(buckets_, other.buckets_);
            std::swap(place_, other.place_);
            return *this;
        }
        ~Pass() {
            if (buckets_ != nullptr) --buckets_->buckets_[place_].open;
        }

    private:
        Buckets* buckets_ = nullptr;
        std::uint32_t place_ = 0;
    };
    struct Exceeded {
        bool is_rate;                 // Else too much is open.
        std::uint32_t retry_after_s;  // Until there is a token; of open ones, nobody knows.
    };

    // `places`: at least eight.
    explicit Buckets(std::size_t places) : sets_(places / ways) {}
    Buckets(const Buckets&) = delete;
    Buckets& operator=(const Buckets&) = delete;

    // What goes on stays counted. Memory is taken once it is not 0.
    void set_rate(std::uint32_t per_second);
    bool is_on() const { return per_second_ != 0; }
    std::uint32_t per_second() const { return per_second_; }

    // Takes a token, unless it is refused. `key`: a hash that strangers cannot aim.
    tl::expected<Pass, Exceeded> take(std::uint64_t key, MonoTime now);

private:
    static constexpr std::size_t ways = 8;

    struct Bucket {
        std::uint64_t key = 0;
        MonoTime full_at{};  // When its last token will have come back.
        std::uint32_t open = 0;
    };
    Bucket& find(std::uint64_t key, MonoTime now);

    std::size_t sets_;
    std::uint32_t per_second_ = 0;
    std::vector<Bucket> buckets_;  // Of each set its ways, then the one that is shared.
};

class RateLimits {
public:
    enum class Limit : std::uint8_t { client_rate, client_streams, app_rate, app_streams };
    static constexpr std::size_t limits = 4;
    struct Exceeded {
        Limit limit;
        std::uint32_t retry_after_s;
        std::string detail;
    };
    using Taken = tl::expected<Buckets::Pass, Exceeded>;

    // `secret`: random bytes, drawn once.
    RateLimits(const RateLimitSettings& settings, const ByteArray<16>& secret);

    void set(const RateLimitSettings& settings);

    // Of IPv6 the /64, which is one customer's.
    Taken take_client(const IpAddress& client, MonoTime now);
    Taken take_app(std::string_view app, MonoTime now);

private:
    // Of each kind: 1.8 MB.
    static constexpr std::size_t places = 64 * 1024;

    ByteArray<16> secret_;
    Buckets clients_{places};
    Buckets apps_{places};
};

// A word for metrics: "client_rate".
std::string_view to_word(RateLimits::Limit limit);

}  // namespace ee::proxy

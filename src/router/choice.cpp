#include "router/choice.h"

#include <limits>

#include <fmt/format.h>

namespace ee::router {
namespace {

// A price times a trust times a percentage takes 77 bits.
__extension__ using Wide = __int128;

bool has_room(const Candidate& candidate) {
    return candidate.open_streams < candidate.stream_limit;
}

// price(a) / trust(a) times trust(a) * trust(b): what comparing the two quotients comes to.
Wide crossed(const Candidate& a, const Candidate& b) {
    return static_cast<Wide>(*a.price) * b.trust;
}

bool is_better(const Candidate& a, const Candidate& b) {
    if (a.price.has_value() != b.price.has_value()) return a.price.has_value();
    if (!a.price || (*a.price == 0 && *b.price == 0)) return a.trust > b.trust;
    return crossed(a, b) < crossed(b, a);
}

bool is_equal_to_best(const Candidate& candidate, const Candidate& best) {
    if (candidate.price.has_value() != best.price.has_value()) return false;
    if (best.price && *best.price > 0)
        return crossed(candidate, best) * 100 <= crossed(best, candidate) * 101;
    if (best.price && *candidate.price > 0) return false;
    return std::uint64_t{candidate.trust} * 100 >= std::uint64_t{best.trust} * 99;
}

// Those that share the first place.
class Equals {
public:
    explicit Equals(std::span<const Candidate> candidates) : candidates_(candidates) {
        for (const Candidate& candidate : candidates)
            if (has_room(candidate) && (best_ == nullptr || is_better(candidate, *best_))) best_ = &candidate;
        for (const Candidate& candidate : candidates) size_ += contains(candidate) ? 1 : 0;
    }
    std::size_t size() const { return size_; }
    // The index of the nth of them.
    std::size_t nth(std::size_t n) const {
        std::size_t index = 0;
        while (!contains(candidates_[index]) || n-- > 0) ++index;
        return index;
    }

private:
    bool contains(const Candidate& candidate) const {
        return has_room(candidate) && is_equal_to_best(candidate, *best_);
    }
    std::span<const Candidate> candidates_;
    const Candidate* best_ = nullptr;
    std::size_t size_ = 0;
};

std::size_t pick(double random, std::size_t count) {
    const auto n = static_cast<std::size_t>(random * static_cast<double>(count));
    return n < count ? n : count - 1;
}

}  // namespace

Result<std::size_t> choose(std::span<const Candidate> candidates, RandomPair random) {
    if (candidates.empty()) return fail("offline", "no agent is eligible");
    const Equals equals(candidates);
    if (equals.size() == 0)
        return fail("overloaded",
                    fmt::format("all {} eligible agents are at their stream limit", candidates.size()));
    if (equals.size() == 1) return equals.nth(0);
    const std::size_t first = pick(random.first, equals.size());
    // Of the others: two different ones are compared.
    std::size_t second = pick(random.second, equals.size() - 1);
    if (second >= first) ++second;
    const std::size_t a = equals.nth(first);
    const std::size_t b = equals.nth(second);
    return candidates[b].open_streams < candidates[a].open_streams ? b : a;
}

std::int64_t effective_price(std::int64_t price, Millionths trust) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    const Wide exact = static_cast<Wide>(price) * one / (trust > 0 ? trust : 1);
    return exact < most ? static_cast<std::int64_t>(exact) : most;
}

}  // namespace ee::router

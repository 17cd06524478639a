#include "control_plane/outages.h"

#include <algorithm>
#include <set>

namespace ee::control_plane {

using ledger::LedgerTime;
using ledger::Outage;

namespace {

constexpr std::string_view mass_loss_cause = "mass_loss";

// Challenges look back no further than their own deadline.
constexpr std::size_t known_max = 64;

}  // namespace

// One that has begun is recorded again once it is over; the newer record replaces it.
void Outages::record(Outage outage) {
    std::erase_if(known_, [&](const Outage& other) { return other.from == outage.from; });
    known_.push_back(outage);
    if (known_.size() > known_max) known_.pop_front();
    to_record_.push_back(std::move(outage));
}

void Outages::begin(std::optional<Open>& open, LedgerTime from, std::string_view cause) {
    // Each is recorded under its beginning.
    while (std::ranges::any_of(known_, [&](const Outage& other) { return other.from == from; }))
        from += std::chrono::microseconds{1};
    open = Open{.from = from, .cause = cause};
    record({.from = from, .to = std::nullopt, .cause = std::string(cause)});
}

void Outages::end(std::optional<Open>& open, LedgerTime to) {
    // An outage has a length, however short.
    const LedgerTime end = std::max(to, open->from + std::chrono::microseconds{1});
    record({.from = open->from, .to = end, .cause = std::string(open->cause)});
    open.reset();
}

std::vector<Outage> Outages::take() {
    return std::exchange(to_record_, {});
}

bool Outages::overlaps(LedgerTime from, LedgerTime to) const {
    return std::ranges::any_of(
        known_, [&](const Outage& outage) { return outage.from < to && (!outage.to || from < *outage.to); });
}

// ---- The process and its clock ----

void Outages::started(std::optional<LedgerTime> last_mark, const std::vector<Outage>& open, LedgerTime now) {
    // First: what else is recorded shows the next start that this one was there.
    if (last_mark && now - *last_mark > liveness_gap_max)
        record({.from = *last_mark, .to = now + window_, .cause = "not_running"});
    else if (last_mark && *last_mark - now > clock_step_max)
        record({.from = now, .to = *last_mark, .cause = "clock_step"});
    for (Outage outage : open) {
        const LedgerTime latest = outage.cause == mass_loss_cause ? outage.from + 2 * window_ : now;
        outage.to = std::max(std::min(now, latest), outage.from + std::chrono::microseconds{1});
        const auto same = std::ranges::find(known_, outage.from, &Outage::from);
        if (same == known_.end()) record(std::move(outage));  // Else it is over with that one.
    }
}

void Outages::tick(MonoTime mono, LedgerTime now) {
    if (last_tick_) {
        const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(mono - last_tick_->mono);
        const auto shown = now - last_tick_->wall;
        const auto step = shown > passed ? shown - passed : passed - shown;
        const bool stood_still = passed > liveness_gap_max, stepped = step > clock_step_max;
        if (stood_still || stepped) {
            const auto [from, to] = std::minmax(last_tick_->wall, now);
            record({.from = from,
                    .to = stood_still ? to + window_ : to,
                    .cause = stood_still ? "stood_still" : "clock_step"});
        }
    }
    last_tick_ = Tick{.mono = mono, .wall = now};
    end_what_is_over(now);
}

// ---- Tunnels ----

void Outages::tunnel_came(const SlotName& name, LedgerTime now) {
    ++present_[name];
    std::erase_if(losses_, [&](const Loss& loss) { return loss.slot == name; });
    if (const auto stale = stale_.find(name); stale != stale_.end()) stale->second.reset();
    end_what_is_over(now);
}

void Outages::tunnel_left(const SlotName& name, bool is_loss, LedgerTime now) {
    const auto found = present_.find(name);
    if (found == present_.end()) return;
    if (--found->second > 0) return;
    present_.erase(found);
    if (const auto stale = stale_.find(name); stale != stale_.end()) stale->second = now + 2 * window_;
    if (!is_loss || mass_loss_) return;
    losses_.push_back({.at = now, .slot = name});
    look_for_mass_loss(now);
}

void Outages::look_for_mass_loss(LedgerTime now) {
    while (!losses_.empty() && now - losses_.front().at > mass_loss_time) losses_.pop_front();
    const std::size_t lost = losses_.size(), before = present_.size() + lost;
    if (lost < mass_loss_min || 2 * lost < before) return;
    std::set<std::string_view> nodes;
    for (const Loss& loss : losses_) nodes.insert(loss.slot.node);
    if (nodes.size() < mass_loss_nodes_min) return;
    before_loss_ = before;
    begin(mass_loss_, losses_.front().at, mass_loss_cause);
    losses_.clear();
}

void Outages::end_what_is_over(LedgerTime now) {
    if (mass_loss_) {
        const LedgerTime latest = mass_loss_->from + 2 * window_;
        if (10 * present_.size() >= 8 * before_loss_ || now >= latest) end(mass_loss_, std::min(now, latest));
    }
    std::erase_if(stale_, [&](const auto& entry) { return entry.second && now >= *entry.second; });
    if (collateral_ && stale_.empty()) end(collateral_, now);
}

// ---- Collateral ----

void Outages::collateral_stale(const SlotName& name, LedgerTime now) {
    const bool is_present = present_.contains(name);
    stale_.insert_or_assign(name, is_present ? std::nullopt : std::optional(now + 2 * window_));
    if (!collateral_) begin(collateral_, now, "collateral");
}

void Outages::collateral_fresh(const SlotName& name, LedgerTime now) {
    if (stale_.erase(name) > 0) end_what_is_over(now);
}

}  // namespace ee::control_plane
